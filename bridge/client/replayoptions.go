package client

import (
	"encoding/json"
	"fmt"
	"time"
)

// FromLastMax bounds ReplayOptions.FromLast: a bridge searches backwards for these
// records and refuses more.
const FromLastMax = 1 << 20

// ReplayOptions say which records of a log to read. At most one of the From
// fields is set; with none it begins at the first record.
type ReplayOptions struct {
	FromSeq      uint64
	FromTime     time.Time
	FromRecordID uint64
	// FromLast begins with the last so many records that match Subjects, at most
	// FromLastMax; FromEnd with what comes next.
	FromLast uint64
	FromEnd  bool
	// ToSeq is the last sequence to read; 0: no such end.
	ToSeq uint64
	// Subjects are filters with NATS wildcards; a record that matches any is
	// read. None: all records.
	Subjects []string
	// RecordsMax ends after so many records; 0: no such end.
	RecordsMax uint64
	// RecordsPerSecond bounds the rate; 0: as fast as they are taken.
	RecordsPerSecond uint64
	// Follow waits for new records at the end. Without it the replay ends with
	// what is durable when it begins.
	Follow bool
	// OnDamaged is called for each damaged range, which is then skipped. Nil:
	// Next fails with the *DamagedError.
	OnDamaged func(*DamagedError)
	// WindowBytes bounds what is under way and not yet taken. Default 1 MiB.
	WindowBytes int64
	// Heartbeat is how often the bridge shows that it is there while there is
	// nothing to read; after three that do not come the replay begins anew where
	// it was. Default 2 seconds.
	Heartbeat time.Duration
	// ResumeFor is how long to try to go on when the connection or the bridge is
	// lost, before Next fails. Default 1 minute.
	ResumeFor time.Duration
	// Prefix is that of the bridge's subjects. Default "AOF".
	Prefix string
}

const (
	prefixDefault      = "AOF"
	heartbeatDefault   = 2 * time.Second
	heartbeatsMissed   = 3
	resumeForDefault   = time.Minute
	replayWindow       = 1 << 20
	replayWindowMax    = 32 << 20
	metadataOfReplays  = "full"
	lineBytesMin       = 64 // of a record as the bridge counts it
	marksUnderWayCount = 1024
)

func (o *ReplayOptions) ensureDefaults() {
	if o.WindowBytes == 0 {
		o.WindowBytes = replayWindow
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = heartbeatDefault
	}
	if o.ResumeFor == 0 {
		o.ResumeFor = resumeForDefault
	}
	if o.Prefix == "" {
		o.Prefix = prefixDefault
	}
}

func (o *ReplayOptions) validate() error {
	starts := 0
	for _, given := range []bool{o.FromSeq != 0, !o.FromTime.IsZero(), o.FromRecordID != 0, o.FromLast != 0, o.FromEnd} {
		if given {
			starts++
		}
	}
	switch {
	case starts > 1:
		return fmt.Errorf("%w: give one of sequence, time, record id, last and end to read from", ErrOptions)
	case o.FromLast > FromLastMax:
		return fmt.Errorf("%w: more than the last %d records", ErrOptions, FromLastMax)
	case o.WindowBytes < 0 || o.WindowBytes > replayWindowMax:
		return fmt.Errorf("%w: a window is 1 byte to %d bytes", ErrOptions, replayWindowMax)
	case o.Heartbeat < 0 || o.ResumeFor < 0:
		return fmt.Errorf("%w: a duration is negative", ErrOptions)
	}
	return nil
}

// replayBody is a request as the bridge reads it.
type replayBody struct {
	FromSeq          uint64     `json:"from_seq,omitempty"`
	FromTime         *time.Time `json:"from_time,omitempty"`
	FromRecordID     uint64     `json:"from_record_id,omitempty"`
	FromLast         uint64     `json:"from_last,omitempty"`
	FromEnd          bool       `json:"from_end,omitempty"`
	ToSeq            uint64     `json:"to_seq,omitempty"`
	Subjects         []string   `json:"subjects,omitempty"`
	RecordsMax       uint64     `json:"max_records,omitempty"`
	RecordsPerSecond uint64     `json:"max_records_per_second,omitempty"`
	WindowBytes      int64      `json:"window_bytes,omitempty"`
	Follow           bool       `json:"follow,omitempty"`
	IdleHeartbeatMs  int64      `json:"idle_heartbeat_ms,omitempty"`
	Metadata         string     `json:"metadata,omitempty"`
	SkipDamaged      bool       `json:"skip_damaged,omitempty"`
	Stop             bool       `json:"stop,omitempty"`
}

// body is the request for what is left: everything if next is 0, else what
// comes from that sequence on.
func (o *ReplayOptions) body(next, taken uint64) ([]byte, error) {
	b := replayBody{
		ToSeq: o.ToSeq, Subjects: o.Subjects, RecordsPerSecond: o.RecordsPerSecond, WindowBytes: max(o.WindowBytes, 4<<10),
		Follow: o.Follow, IdleHeartbeatMs: max(o.Heartbeat.Milliseconds(), 50), Metadata: metadataOfReplays, SkipDamaged: o.OnDamaged != nil,
	}
	if o.RecordsMax > 0 {
		b.RecordsMax = o.RecordsMax - taken
	}
	if next > 0 {
		b.FromSeq = next
		return json.Marshal(b)
	}
	b.FromSeq, b.FromRecordID, b.FromLast, b.FromEnd = o.FromSeq, o.FromRecordID, o.FromLast, o.FromEnd
	if !o.FromTime.IsZero() {
		b.FromTime = &o.FromTime
	}
	return json.Marshal(b)
}

// placeIsKnown reports whether a first mark that has looked at nothing says
// where the replay begins: a time or a record id is only found with its record.
func (o *ReplayOptions) placeIsKnown() bool { return o.FromTime.IsZero() && o.FromRecordID == 0 }
