package segment

import (
	"fmt"
	"hash/crc32"
	"slices"
)

// Offsets of the record header's fields.
const (
	recordChecksumAt       = 0
	recordBodyBytesAt      = 4
	recordSeqAt            = 8
	recordTimestampAt      = 16
	recordExtIDAt          = 24
	recordUnsyncedAt       = 32
	recordHeadersBytesAt   = 36
	recordSubjectBytesAt   = 40
	recordFlagsAt          = 42
	recordHeaderChecksumAt = 44
)

// Flags of a record. The low byte is incompatible: an unknown bit of it is a
// version error. The high byte is compatible: unknown bits are kept.
type Flags uint16

const (
	// FlagSnapshotBoundary marks the record behind which a snapshot of the
	// user's state was taken.
	FlagSnapshotBoundary Flags = 1 << iota
	// FlagControl marks a control record: no sequence of its own, never
	// delivered.
	FlagControl
	// FlagBatchContinues says that the next record belongs to the same atomic
	// batch; it is clear on the batch's last record.
	FlagBatchContinues

	knownRecordFlags        = FlagSnapshotBoundary | FlagControl | FlagBatchContinues
	incompatibleRecordFlags = Flags(0xff)
)

const (
	// SubjectBytesMax is the length of the longest subject.
	SubjectBytesMax = 1<<16 - 1
	// RecordBytesMax is the length of the longest record of any segment: it
	// leaves room for the segment's header, marks, index and footer.
	RecordBytesMax = SegmentBytesMax - SegmentBytesMax/16
)

// Record is one record. Decoded slices alias the bytes that were decoded.
type Record struct {
	Seq       uint64 // of a control record: that of the data record before it
	Timestamp int64  // nanoseconds, as clock or source gave it
	ExtID     uint64 // 0: none
	Unsynced  uint32 // bytes of this segment before the record, not yet durable when it was encoded
	Flags     Flags
	Subject   []byte
	Headers   []byte
	Payload   []byte
}

// RecordBytes returns the encoded length, padding included, of a record whose
// parts have these lengths.
func RecordBytes(subjectBytes, headersBytes, payloadBytes int) int {
	return align8(RecordHeaderBytes + subjectBytes + headersBytes + payloadBytes)
}

// CheckSizes fails with ErrSize if no record can have parts of these lengths:
// no byte at all, a subject over SubjectBytesMax, or a whole over
// RecordBytesMax.
func CheckSizes(subjectBytes, headersBytes, payloadBytes int) error {
	switch {
	case subjectBytes|headersBytes|payloadBytes == 0:
		return fmt.Errorf("%w: empty body", ErrSize)
	case subjectBytes > SubjectBytesMax:
		return fmt.Errorf("%w: subject of %d bytes", ErrSize, subjectBytes)
	case headersBytes > RecordBytesMax, payloadBytes > RecordBytesMax,
		int64(RecordHeaderBytes)+int64(subjectBytes)+int64(headersBytes)+int64(payloadBytes) > RecordBytesMax:
		return fmt.Errorf("%w: over %d bytes", ErrSize, RecordBytesMax)
	}
	return nil
}

// AppendRecord appends the encoded record and its padding to dst. It does not
// allocate when dst has room, and retains nothing of r. The record's parts must
// have passed CheckSizes: a record that no reader would accept is a bug of the
// caller and panics.
func AppendRecord(dst []byte, salt uint64, r *Record) []byte {
	subjectBytes, headersBytes := len(r.Subject), len(r.Headers)
	bodyBytes := subjectBytes + headersBytes + len(r.Payload)
	if bodyBytes == 0 || bodyBytes > RecordBytesMax || subjectBytes > SubjectBytesMax {
		panic("segment: AppendRecord: sizes not checked")
	}
	start := len(dst)
	end := start + align8(RecordHeaderBytes+bodyBytes)
	if cap(dst) < end {
		dst = slices.Grow(dst, end-start)
	}
	dst = dst[:end]
	b := dst[start:end:end]
	littleEndian.PutUint64(b[len(b)-8:], 0) // padding; the body's share is written next
	littleEndian.PutUint32(b[recordBodyBytesAt:], uint32(bodyBytes))
	littleEndian.PutUint64(b[recordSeqAt:], r.Seq)
	littleEndian.PutUint64(b[recordTimestampAt:], uint64(r.Timestamp))
	littleEndian.PutUint64(b[recordExtIDAt:], r.ExtID)
	littleEndian.PutUint32(b[recordUnsyncedAt:], r.Unsynced)
	littleEndian.PutUint32(b[recordHeadersBytesAt:], uint32(headersBytes))
	littleEndian.PutUint16(b[recordSubjectBytesAt:], uint16(subjectBytes))
	littleEndian.PutUint16(b[recordFlagsAt:], uint16(r.Flags))
	body := b[RecordHeaderBytes:]
	copy(body, r.Subject)
	copy(body[subjectBytes:], r.Headers)
	copy(body[subjectBytes+headersBytes:], r.Payload)
	sealChecksums(b, salt)
	return dst
}

// sealChecksums writes both checksums of the encoded record b. One pass does:
// the header's checksum covers bytes 4 to 43, and going on from it over bytes
// 44 to the end gives the record's, which covers bytes 4 to the end.
func sealChecksums(b []byte, salt uint64) {
	crc := crc32.Update(uint32(salt), castagnoli, b[recordBodyBytesAt:recordHeaderChecksumAt])
	littleEndian.PutUint32(b[recordHeaderChecksumAt:], crc)
	crc = crc32.Update(crc, castagnoli, b[recordHeaderChecksumAt:])
	littleEndian.PutUint32(b[recordChecksumAt:], crc)
}

// DecodeRecord verifies and decodes the record at the start of b into r and
// returns its length, padding included. The slices of r alias b, capped at
// their length. Nothing is allocated. It fails, with n = 0, with ErrShort if
// the header does not fit or a verified length passes the end of b, and with
// ErrCorrupt if a checksum does not hold or the lengths contradict each other.
// A record that verifies but has an unknown incompatible flag gives FlagsError
// with r filled in and its length, so that a caller may step over it.
func DecodeRecord(b []byte, salt uint64, r *Record) (n int, err error) {
	if len(b) < RecordHeaderBytes {
		return 0, errRecordShort
	}
	crc := crc32.Update(uint32(salt), castagnoli, b[recordBodyBytesAt:recordHeaderChecksumAt])
	if crc != littleEndian.Uint32(b[recordHeaderChecksumAt:]) {
		return 0, errRecordHeader
	}
	// From here on the length is the one that was written.
	bodyBytes := uint64(littleEndian.Uint32(b[recordBodyBytesAt:]))
	size := RecordHeaderBytes + (bodyBytes+7)&^7
	if size > uint64(len(b)) {
		return 0, errRecordShort
	}
	if crc32.Update(crc, castagnoli, b[recordHeaderChecksumAt:size]) != littleEndian.Uint32(b) {
		return 0, errRecordChecksum
	}
	subjectBytes := uint64(littleEndian.Uint16(b[recordSubjectBytesAt:]))
	payloadAt := subjectBytes + uint64(littleEndian.Uint32(b[recordHeadersBytesAt:]))
	r.Flags = Flags(littleEndian.Uint16(b[recordFlagsAt:]))
	if bodyBytes == 0 || payloadAt > bodyBytes || r.Flags&FlagControl != 0 && payloadAt != 0 {
		return 0, errRecordStructure
	}
	r.Seq = littleEndian.Uint64(b[recordSeqAt:])
	r.Timestamp = int64(littleEndian.Uint64(b[recordTimestampAt:]))
	r.ExtID = littleEndian.Uint64(b[recordExtIDAt:])
	r.Unsynced = littleEndian.Uint32(b[recordUnsyncedAt:])
	body := b[RecordHeaderBytes : RecordHeaderBytes+bodyBytes : RecordHeaderBytes+bodyBytes]
	r.Subject = body[:subjectBytes:subjectBytes]
	r.Headers = body[subjectBytes:payloadAt:payloadAt]
	r.Payload = body[payloadAt:]
	if unknown := r.Flags & incompatibleRecordFlags &^ knownRecordFlags; unknown != 0 {
		return int(size), &FlagsError{What: whatRecord, Unknown: uint32(unknown)}
	}
	return int(size), nil
}
