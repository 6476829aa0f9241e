package manifest

// This file is the errors of the package: what a decoder can find wrong, where
// damage lies, and what a record can contradict.

import (
	"errors"
	"fmt"
)

// What a decoder finds wrong, in the order in which it looks.
var (
	// ErrNotOurs: the bytes do not begin with the magic of the structure.
	ErrNotOurs = errors.New("manifest: not a manifest structure")
	// ErrNewerVersion: written by a newer version of the format, or with a flag
	// that must be understood and is not. Upgrade before opening.
	ErrNewerVersion = errors.New("manifest: written by a newer version")
	// ErrTruncated: the bytes end before the structure does.
	ErrTruncated = errors.New("manifest: truncated")
	// ErrCorrupt: a checksum does not match.
	ErrCorrupt = errors.New("manifest: checksum mismatch")
	// ErrInvalid: the checksum matches, the content cannot be meant.
	ErrInvalid = errors.New("manifest: invalid content")
	// ErrTooLarge: a record, field or file is larger than the format allows.
	ErrTooLarge = errors.New("manifest: larger than the format allows")
	// ErrMissing: a file, or records that others prove to have existed.
	ErrMissing = errors.New("manifest: missing")
)

// What stops a Writer or an open.
var (
	// ErrPoisoned: a write or sync failed; the state of the bytes since the last
	// successful sync is unknown. Nothing more is written. Mend the disk and open
	// again.
	ErrPoisoned = errors.New("manifest: poisoned by a failed write or sync")
	// ErrClosed: the Writer is closed.
	ErrClosed = errors.New("manifest: closed")
	// ErrWrongLog: a file carries the id of another log.
	ErrWrongLog = errors.New("manifest: belongs to another log")
	// ErrInvalidOptions: an option is out of its range.
	ErrInvalidOptions = errors.New("manifest: invalid options")
)

// What a record can contradict. Apply and Append wrap these in a
// [ContradictionError].
var (
	// ErrUnknownSegment: no SegmentOpened came before.
	ErrUnknownSegment = errors.New("segment is not known")
	// ErrNotSealed: the segment is still being written.
	ErrNotSealed = errors.New("segment is not sealed")
	// ErrNoIntent: the step has no record that announced it.
	ErrNoIntent = errors.New("no intent was recorded before")
	// ErrLastCopy: the step would drop the last good copy of records that are not
	// trimmed.
	ErrLastCopy = errors.New("this is the last good copy")
	// ErrConflict: an earlier record says something else.
	ErrConflict = errors.New("conflicts with an earlier record")
	// ErrStaleEpoch: a newer owner was recorded before.
	ErrStaleEpoch = errors.New("epoch is not newer than the owner's")
)

// DamageError locates bytes that do not verify, or that are missing, and are not
// a torn tail. Nothing was deleted; what lies before and behind it was read.
type DamageError struct {
	// Path is the file.
	Path string
	// Chunk is the chunk's index, 0 for a snapshot.
	Chunk uint64
	// Offset and LengthBytes are the range in the file.
	Offset, LengthBytes int64
	// FirstOrdinal and LastOrdinal are the records that are lost with it, both
	// included. LastOrdinal < FirstOrdinal: none. Behind the last good record of
	// all the range is an upper bound.
	FirstOrdinal, LastOrdinal uint64
	// Cause is one of the decoders' errors.
	Cause error
}

// LostRecords is how many ordinals the damage costs.
func (e *DamageError) LostRecords() uint64 {
	if e.LastOrdinal < e.FirstOrdinal {
		return 0
	}
	return e.LastOrdinal - e.FirstOrdinal + 1
}

// Error says what and where.
func (e *DamageError) Error() string {
	where := fmt.Sprintf("%s: offset %d, %d bytes", e.Path, e.Offset, e.LengthBytes)
	if n := e.LostRecords(); n > 0 {
		where += fmt.Sprintf(", records %d to %d", e.FirstOrdinal, e.LastOrdinal)
	}
	return fmt.Sprintf("manifest damaged: %s: %v", where, e.Cause)
}

// Hint says what to do next.
func (e *DamageError) Hint() string {
	return "nothing was deleted; run 'aof-nats manifest check --repair' to rebuild what is missing from segments, bucket and the chunks that are good"
}

// Unwrap gives the cause.
func (e *DamageError) Unwrap() error { return e.Cause }

// ContradictionError says that a record does not fit the state before it. The
// state is unchanged.
type ContradictionError struct {
	// Ordinal is the record's, 0 if it was never written.
	Ordinal   uint64
	Type      RecordType
	SegmentID uint64
	// Cause is one of ErrUnknownSegment, ErrNotSealed, ErrNoIntent, ErrLastCopy,
	// ErrConflict, ErrStaleEpoch, ErrInvalid.
	Cause error
	// Detail names the values that disagree.
	Detail string
}

// Error says which record contradicts what.
func (e *ContradictionError) Error() string {
	text := fmt.Sprintf("manifest: %s of segment %d", e.Type, e.SegmentID)
	if e.Ordinal > 0 {
		text += fmt.Sprintf(" (record %d)", e.Ordinal)
	}
	text += ": " + e.Cause.Error()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap gives the cause.
func (e *ContradictionError) Unwrap() error { return e.Cause }
