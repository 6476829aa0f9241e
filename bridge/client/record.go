package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Record is one record of a log. It owns its memory.
type Record struct {
	Seq     uint64
	Time    time.Time // as the source gave it, UTC
	Subject string
	ExtID   uint64 // number of the event at its source; 0: none
	// Header holds the stored headers; nil: none.
	Header map[string][]string
	Data   []byte
}

// DamagedError is a range of a log that does not verify. Records before and
// behind it can be read.
type DamagedError struct {
	Log      string
	Segment  uint64
	Path     string // of the file, on the bridge's machine
	Offset   int64  // of the first damaged byte
	Bytes    int64
	FirstSeq uint64
	LastSeq  uint64 // less than FirstSeq: no sequence is lost
	Reason   string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("log %s: segment %d is damaged at offset %d for %d bytes (sequences %d to %d, %s): %s; run fsck on the bridge's root, and restore the file from a copy or another tier",
		e.Log, e.Segment, e.Offset, e.Bytes, e.FirstSeq, e.LastSeq, e.Reason, e.Path)
}

// Is matches ErrDamaged.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// errMalformed is what a delivery gives that does not keep to the contract.
var errMalformed = errors.New("client: malformed delivery")

// delivery is a record and what shows that none is missing before it.
type delivery struct {
	record   Record
	previous uint64 // the sequence that was delivered before it, 0 for the first
}

// decodeDelivery reads a message below the reply subject of a replay: `<seq>.<time
// ns>.<previous>.<ext id>.<subject>`, or `<seq>` with the rest in headers.
func decodeDelivery(rest string, m *nats.Msg) (d delivery, err error) {
	fields := strings.SplitN(rest, ".", 5)
	d.record.Data = m.Data
	switch len(fields) {
	case 1:
		err = d.fromHeaders(fields[0], m.Header)
	case 5:
		err = d.fromSubject(fields)
		d.record.Header = m.Header
	default:
		err = errMalformed
	}
	if err != nil {
		return d, fmt.Errorf("decode subject %q: %w", m.Subject, err)
	}
	return d, nil
}

func (d *delivery) fromSubject(fields []string) (err error) {
	var ns int64
	numbers := [...]*uint64{&d.record.Seq, nil, &d.previous, &d.record.ExtID}
	for i, number := range numbers {
		if number == nil {
			ns, err = strconv.ParseInt(fields[i], 10, 64)
		} else {
			*number, err = strconv.ParseUint(fields[i], 10, 64)
		}
		if err != nil {
			return errors.Join(errMalformed, err)
		}
	}
	d.record.Time, d.record.Subject = time.Unix(0, ns).UTC(), fields[4]
	if d.record.Seq == 0 || d.previous >= d.record.Seq || d.record.Subject == "" {
		return errMalformed
	}
	return nil
}

// bridgeHeaders are not stored ones.
var bridgeHeaders = []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Last-Sequence", "Aof-Ext-Id"}

func (d *delivery) fromHeaders(seq string, h nats.Header) (err error) {
	if d.record.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
		return errors.Join(errMalformed, err)
	}
	if d.previous, err = number(h, "Nats-Last-Sequence"); err != nil {
		return err
	}
	if d.record.ExtID, err = number(h, "Aof-Ext-Id"); err != nil {
		return err
	}
	if d.record.Time, err = time.Parse(time.RFC3339Nano, h.Get("Nats-Time-Stamp")); err != nil {
		return errors.Join(errMalformed, err)
	}
	if d.record.Subject = h.Get("Nats-Subject"); d.record.Seq == 0 || d.previous >= d.record.Seq || d.record.Subject == "" {
		return errMalformed
	}
	for _, key := range bridgeHeaders {
		h.Del(key)
	}
	if len(h) > 0 {
		d.record.Header = h
	}
	return nil
}

// number reads a header that is a number; 0 if there is none.
func number(h nats.Header, key string) (uint64, error) {
	text := h.Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: header %s: %w", errMalformed, key, err)
	}
	return n, nil
}

// decodeDamage reads the body of a mark about a damaged range.
func decodeDamage(body []byte) (*DamagedError, error) {
	var fields struct {
		Log      string `json:"log"`
		Segment  uint64 `json:"segment"`
		Path     string `json:"path"`
		Offset   int64  `json:"offset"`
		Bytes    int64  `json:"bytes"`
		FirstSeq uint64 `json:"first_seq"`
		LastSeq  uint64 `json:"last_seq"`
		Reason   string `json:"reason"`
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("%w: damaged range: %w", errMalformed, err)
	}
	damage := DamagedError(fields)
	return &damage, nil
}
