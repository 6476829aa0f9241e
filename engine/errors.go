package engine

import (
	"errors"
	"fmt"
	"time"
)

// Sentinels for errors.Is. The typed errors below match them and carry detail.
var (
	// ErrBackpressure: a limit was hit and nothing was appended; a
	// *BackpressureError says which and when to try again.
	ErrBackpressure = errors.New("engine: backpressure")
	// ErrPoisoned: a write or a sync of the log failed. Nothing more is
	// appended or acknowledged; reading the durable prefix goes on. Mend the
	// disk and open the log again.
	ErrPoisoned = errors.New("engine: log is poisoned by a failed write or sync")
	// ErrClosed: the engine, log or reader is closed.
	ErrClosed = errors.New("engine: closed")
	// ErrUnwritten: Close found no room for what was appended last, which was never
	// acknowledged at any level. Everything before it is durable, and the log is
	// closed cleanly. It comes with ErrClosed, and alone.
	ErrUnwritten = errors.New("engine: there was no room to write what was appended last")
	// ErrNotFound: no such log, or a sequence outside what the log holds.
	ErrNotFound = errors.New("engine: not found")
	// ErrTrimmed: the sequence was removed by retention.
	ErrTrimmed = errors.New("engine: trimmed by retention")
	// ErrDamaged: bytes on disk do not verify; a *DamageError says where and
	// which sequences.
	ErrDamaged = errors.New("engine: damaged")
	// ErrTooLarge: the record cannot fit in the largest segment, or the atomic
	// batch in one.
	ErrTooLarge = errors.New("engine: too large for a segment")
	// ErrInvalidRecord: a record's parts break a rule of the format.
	ErrInvalidRecord = errors.New("engine: invalid record")
	// ErrInvalidOptions: an option or name is out of its range.
	ErrInvalidOptions = errors.New("engine: invalid options")
	// ErrConflict: a condition of AppendIf did not hold; a *ConflictError has
	// the actual value.
	ErrConflict = errors.New("engine: condition does not hold")
	// ErrDuplicate: the message id was appended before, inside the dedup
	// window; the sequence returned with it is the original's.
	ErrDuplicate = errors.New("engine: duplicate message id")
	// ErrRootInUse: another process or engine has the root open for writing.
	ErrRootInUse = errors.New("engine: root is in use by another process")
	// ErrNewerFormat: the root or a file was written by a newer version.
	ErrNewerFormat = errors.New("engine: written by a newer version")
	// ErrReadOnly: the engine was opened without the right to write.
	ErrReadOnly = errors.New("engine: opened read-only")
	// ErrBucketRefused: the bucket will not take uploads as it is, because this
	// process may not write to it, or because no claim of an owner can hold there.
	// The error says which. Mend the bucket, or open without it.
	ErrBucketRefused = errors.New("engine: the bucket cannot be the cold tier")
	// ErrUploadsStopped: nothing of the log goes to the bucket any more, because
	// another owner has claimed it there, has put another object where one of this
	// log belongs, or has put records that this root has not. Appends and reads go
	// on locally; the error says what was found and what to do.
	ErrUploadsStopped = errors.New("engine: uploads of the log have stopped")
	// ErrNextSeqUnknown: the manifest lost records and the bucket, which may hold
	// what they said, does not answer; or the bucket was found to go on behind the
	// end of this root. Reads go on with what the disk has; open the log again when
	// the bucket answers.
	ErrNextSeqUnknown = errors.New("engine: the next sequence is not known")
	// ErrUnsupported: the configuration cannot give what was asked for, such
	// as the cold level without a bucket.
	ErrUnsupported = errors.New("engine: not supported by this configuration")
)

// BackpressureKind names the limit that was hit.
type BackpressureKind uint8

// The kinds of backpressure.
const (
	// Admission: the hot budget is full, or the disk is, and nothing that is good
	// elsewhere is left to drop.
	Admission BackpressureKind = iota + 1
	// Rollover: the next segment is not ready, or two are unsealed already.
	Rollover
	// Flush: unsynced bytes are over the limit.
	Flush
	// Hydration: the cold read pool is full.
	Hydration
	// Tail: the reader is ahead of what is durable.
	Tail
	// ColdLag: the cold tier is behind or unreachable.
	ColdLag
)

var backpressureNames = [...]string{"", "Admission", "Rollover", "Flush", "Hydration", "Tail", "Cold"}

// String is the kind's name as it stands in replies, events and metrics.
func (k BackpressureKind) String() string {
	if int(k) < len(backpressureNames) {
		return backpressureNames[k]
	}
	return "unknown"
}

// BackpressureError says what is full. Nothing was appended.
type BackpressureError struct {
	Log        string
	Kind       BackpressureKind
	RetryAfter time.Duration // a hint
	Full       string        // what is full and by how much
	Cause      error         // what the operating system said, if it was asked
}

func (e *BackpressureError) Error() string {
	return fmt.Sprintf("engine: log %s: %s backpressure: %s; try again in %s", e.Log, e.Kind, e.Full, e.RetryAfter)
}

// Is matches ErrBackpressure.
func (e *BackpressureError) Is(target error) bool { return target == ErrBackpressure }

// Unwrap returns the cause.
func (e *BackpressureError) Unwrap() error { return e.Cause }

// DamageError is damage to bytes that had been acknowledged. Records before and
// behind it are readable; the sequences in it are not, until they are repaired
// from another tier.
type DamageError struct {
	Log      string
	Segment  uint64
	Path     string
	Offset   int64 // first damaged byte
	Bytes    int64 // length of the damaged range
	FirstSeq uint64
	LastSeq  uint64 // less than FirstSeq: no sequence is lost
	Reason   string
}

func (e *DamageError) Error() string {
	sequences := fmt.Sprintf("sequences %d to %d", e.FirstSeq, e.LastSeq)
	if !e.CostsRecords() {
		sequences = "no record"
	}
	return fmt.Sprintf("engine: log %s: segment %d is damaged at offset %d for %d bytes (%s, %s): %s; keep the file, run fsck, and restore it from another tier or a copy",
		e.Log, e.Segment, e.Offset, e.Bytes, sequences, e.Reason, e.Path)
}

// CostsRecords reports whether there are sequences in the range: damage to a mark
// has none.
func (e *DamageError) CostsRecords() bool { return e.FirstSeq <= e.LastSeq }

// Is matches ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// ConflictKind names the condition of AppendIf that did not hold.
type ConflictKind uint8

// The conditions, in the order in which they are checked.
const (
	ConflictLastSubjectSeq ConflictKind = iota + 1
	ConflictLastSeq
	ConflictLastMsgID
)

// ConflictError carries the actual value beside the expected one.
type ConflictError struct {
	Kind        ConflictKind
	ActualSeq   uint64 // for the sequence conditions
	ActualMsgID string // for ConflictLastMsgID
}

func (e *ConflictError) Error() string {
	switch e.Kind {
	case ConflictLastSubjectSeq:
		return fmt.Sprintf("engine: wrong last sequence of the subject: %d", e.ActualSeq)
	case ConflictLastSeq:
		return fmt.Sprintf("engine: wrong last sequence: %d", e.ActualSeq)
	default:
		return fmt.Sprintf("engine: wrong last message id: %q", e.ActualMsgID)
	}
}

// Is matches ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

func invalidRecord(why string) error { return fmt.Errorf("%w: %s", ErrInvalidRecord, why) }
func invalidOption(why string) error { return fmt.Errorf("%w: %s", ErrInvalidOptions, why) }
