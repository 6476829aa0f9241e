package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// How a replay tells what a record's sequence, time and subject are.
const (
	metadataSubject = "subject" // R.<seq>.<time ns>.<subject>
	metadataFull    = "full"    // R.<seq>.<time ns>.<previous seq>.<ext id>.<subject>
	metadataHeaders = "headers" // R.<seq>, and the headers of ADR-31
)

const (
	windowBytesDefault   = 1 << 20
	windowBytesMin       = 4 << 10
	windowBytesMax       = 32 << 20
	idleHeartbeatDefault = 5 * time.Second
	idleHeartbeatMin     = 50 * time.Millisecond
	replaySubjectsMax    = 256
	fromLastMax          = 1 << 20
)

// replayRequest is the body of a request on REPLAY.<log>. The zero value asks
// for all records.
type replayRequest struct {
	FromSeq      uint64     `json:"from_seq"`
	FromTime     *time.Time `json:"from_time"`
	FromRecordID uint64     `json:"from_record_id"`
	FromLast     uint64     `json:"from_last"` // the last so many that match
	FromEnd      bool       `json:"from_end"`  // only what is new
	ToSeq        uint64     `json:"to_seq"`
	Subjects     []string   `json:"subjects"`

	RecordsMax       uint64 `json:"max_records"`
	BytesMax         uint64 `json:"max_bytes"`
	WindowBytes      int64  `json:"window_bytes"`
	RecordsPerSecond uint64 `json:"max_records_per_second"`

	Follow          bool   `json:"follow"`
	IdleHeartbeatMs int64  `json:"idle_heartbeat_ms"`
	Metadata        string `json:"metadata"`
	SkipDamaged     bool   `json:"skip_damaged"`

	// Stop ends the replay to the same reply subject.
	Stop bool `json:"stop"`
}

// decodeReplayRequest reads and checks a body; an empty one asks for all records.
// The error is for the reader.
func decodeReplayRequest(body []byte) (*replayRequest, error) {
	r := &replayRequest{}
	if len(body) > readRequestBytesMax {
		return nil, fmt.Errorf("the request is longer than %d bytes", readRequestBytesMax)
	}
	if len(bytes.TrimSpace(body)) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields() // a misspelt filter must not deliver everything
		if err := decoder.Decode(r); err != nil {
			return nil, fmt.Errorf("the request is not understood: %w", err)
		}
	}
	r.ensureDefaults()
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *replayRequest) ensureDefaults() {
	if r.WindowBytes == 0 {
		r.WindowBytes = windowBytesDefault
	}
	if r.IdleHeartbeatMs == 0 {
		r.IdleHeartbeatMs = idleHeartbeatDefault.Milliseconds()
	}
	if r.Metadata == "" {
		r.Metadata = metadataSubject
	}
}

func (r *replayRequest) check() error {
	starts := 0
	for _, given := range []bool{r.FromSeq != 0, r.FromTime != nil, r.FromRecordID != 0, r.FromLast != 0, r.FromEnd} {
		if given {
			starts++
		}
	}
	switch {
	case starts > 1:
		return fmt.Errorf("give one of from_seq, from_time, from_record_id, from_last and from_end")
	case r.FromLast > fromLastMax:
		return fmt.Errorf("from_last is over %d", fromLastMax)
	case r.WindowBytes < windowBytesMin || r.WindowBytes > windowBytesMax:
		return fmt.Errorf("window_bytes is not between %d and %d", windowBytesMin, windowBytesMax)
	case r.IdleHeartbeatMs < idleHeartbeatMin.Milliseconds() || r.IdleHeartbeatMs > time.Hour.Milliseconds():
		return fmt.Errorf("idle_heartbeat_ms is not between %d and %d", idleHeartbeatMin.Milliseconds(), time.Hour.Milliseconds())
	case r.Metadata != metadataSubject && r.Metadata != metadataFull && r.Metadata != metadataHeaders:
		return fmt.Errorf("metadata %q: use %s, %s or %s", r.Metadata, metadataSubject, metadataFull, metadataHeaders)
	case len(r.Subjects) > replaySubjectsMax:
		return fmt.Errorf("more than %d subjects", replaySubjectsMax)
	}
	for _, subject := range r.Subjects {
		if err := validatePattern(subject); err != nil {
			return fmt.Errorf("subject filter: %w", err)
		}
	}
	return nil
}

// place says where the reading begins and ends. A replay that does not follow
// ends with what is durable now. It reports false if there is nothing to read.
func (r *replayRequest) place(ctx context.Context, log *engine.Log) (o engine.ReadOptions, ok bool, err error) {
	durable := log.Watermarks().Durable
	o = engine.ReadOptions{FromSeq: r.FromSeq, FromRecordID: engine.RecordID(r.FromRecordID), ToSeq: r.ToSeq, Follow: r.Follow}
	if !r.Follow && (r.ToSeq == 0 || r.ToSeq > durable) {
		o.ToSeq = durable
	}
	ok = r.Follow || durable > 0
	switch at := r.FromTime; {
	case at != nil:
		o.FromTime = max(0, engine.TimestampAt(*at))
	case r.FromEnd:
		o.FromSeq = durable + 1
	case r.FromLast > 0:
		seq, found, err := log.SeqOfLast(ctx, r.FromLast, r.Subjects)
		damaged := errors.Is(err, engine.ErrDamaged) // the reader meets it from there on
		if err != nil && !damaged {
			return o, ok, err
		}
		if o.FromSeq = durable + 1; found > 0 || damaged {
			o.FromSeq = seq
		}
	}
	return o, ok, nil
}
