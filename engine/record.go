package engine

import (
	"bytes"
	"math"
	"slices"
	"time"
)

// Record is one event of a log.
//
// A record that a reader or iterator returns borrows its Subject, Headers and
// Payload from mapped memory: they are valid until the next step of that reader
// and must not be written to. Clone keeps one for longer.
//
// A record that is handed to Append is copied before the call returns; the
// caller keeps its slices. Seq is ignored there: the log assigns it.
type Record struct {
	// Seq is the record's number in its log, dense from 1.
	Seq uint64
	// Timestamp is nanoseconds since the Unix epoch, UTC, as the source gave
	// it. Zero on append means now.
	Timestamp int64
	// ExtID is the number of the event at its source (a stream sequence, a log
	// index); 0 means none.
	ExtID uint64
	// Subject is what readers filter on: 1 to 65,535 bytes. Empty on append
	// means the log's name.
	Subject []byte
	// Headers holds `Key: value\r\n` lines with the keys in byte order; see
	// EncodeHeaders and Header.
	Headers []byte
	// Payload is the event's bytes; it may be empty.
	Payload []byte
	// SnapshotBoundary marks a record that ends a consistent state of the
	// application's own; the log carries it and gives it no meaning.
	SnapshotBoundary bool
}

// Time is Timestamp as a UTC time.
func (r Record) Time() time.Time { return time.Unix(0, r.Timestamp).UTC() }

// TimestampAt is a time as a timestamp. One that nanoseconds since the Unix epoch
// cannot say, before 1677 or after 2262, becomes the nearest that they can.
func TimestampAt(at time.Time) int64 {
	switch {
	case at.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case at.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return at.UnixNano()
}

// Header returns the first value of key, without blanks in front, and whether the
// record has it. Keys compare byte by byte.
func (r Record) Header(key string) (string, bool) {
	value, ok := findHeader(r.Headers, key)
	return string(value), ok
}

// Clone returns a copy that owns its memory.
func (r Record) Clone() Record {
	r.Subject = bytes.Clone(r.Subject)
	r.Headers = bytes.Clone(r.Headers)
	r.Payload = bytes.Clone(r.Payload)
	return r
}

// sizeLimits of one record's parts, in bytes.
const (
	subjectBytesMax = 1<<16 - 1
	headersBytesMax = 1 << 20
)

// RecordID is a record's place: the segment's id in the high and the byte
// offset inside the segment in the low 32 bits. It stays valid for the life of
// the segment, whatever tier holds it.
type RecordID uint64

// NewRecordID packs a segment id and an offset.
func NewRecordID(segmentID uint64, offset int64) RecordID {
	return RecordID(segmentID<<32 | uint64(uint32(offset)))
}

// Segment is the id of the segment that holds the record.
func (id RecordID) Segment() uint64 { return uint64(id) >> 32 }

// Offset is the record's byte offset inside the segment file.
func (id RecordID) Offset() int64 { return int64(uint32(id)) }

// Level says how safe a record is when an append is acknowledged.
type Level uint8

const (
	// Durable means that fdatasync has returned: the record survives power
	// loss. It is the zero value and the default everywhere.
	Durable Level = iota
	// Written means that the record is in the page cache: it survives a crash
	// of the process, not one of the machine.
	Written
	// Cold means that the object store has confirmed the object that holds the
	// record and that no newer owner exists: it survives loss of the machine.
	Cold
)

// String is the level's name as users write it.
func (l Level) String() string {
	switch l {
	case Durable:
		return "durable"
	case Written:
		return "written"
	case Cold:
		return "cold"
	}
	return "unknown"
}

// ParseLevel is the inverse of Level.String.
func ParseLevel(s string) (Level, bool) {
	for _, level := range []Level{Durable, Written, Cold} {
		if s == level.String() {
			return level, true
		}
	}
	return 0, false
}

// EncodeHeaders writes headers in the stored form: keys in byte order, the
// values of a key in the order given. It fails with ErrInvalidRecord if a key
// is empty or holds ':', CR, LF or leading or trailing blanks, or a value holds
// CR or LF.
func EncodeHeaders(headers map[string][]string) ([]byte, error) {
	keys := make([]string, 0, len(headers))
	for key := range headers {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var out []byte
	for _, key := range keys {
		for _, value := range headers[key] {
			out = append(out, key...)
			out = append(out, ": "...)
			out = append(out, value...)
			out = append(out, "\r\n"...)
		}
	}
	if err := validateHeaders(out); err != nil {
		return nil, err
	}
	if len(out) > 0 && countHeaderLines(out) != countValues(headers) {
		return nil, invalidRecord("a header value holds a line break")
	}
	return out, nil
}

func countValues(headers map[string][]string) (n int) {
	for _, values := range headers {
		n += len(values)
	}
	return n
}
