package manifest

// This file is the record: its header, its checksums and its place in a chunk.
//
//	 0 u64 CRC-64/NVME of bytes 8 to the end of the padding
//	 8 u16 type
//	10 u16 flags: low half must be understood, high half may be ignored
//	12 u32 payload length
//	16 u64 segment id
//	24 u64 logical offset
//	32 i64 timestamp, ns since the epoch, UTC
//	40 u64 ordinal
//	48 u32 unsynced: bytes before this record in this chunk that were not yet
//	       durable when it was written
//	52 u32 CRC-32C of bytes 8 to 51
//	56     payload, then zeros to a multiple of 8

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

const (
	recordHeaderBytes = 56
	recordAlignment   = 8
	// recordBytesMax is what fits in the largest chunk.
	recordBytesMax = ChunkBytesMax - chunkHeaderBytes

	recordFlagsKnown        = 0x0000
	recordFlagsIncompatible = 0x00ff
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is one entry of the manifest log.
type Record struct {
	// Flags: the low byte must be understood by a reader, the high byte is kept.
	// None is defined yet.
	Flags uint16
	// SegmentID is the segment that the record is about; 0 for none.
	SegmentID uint64
	// LogicalOffset is the beginning of the index block in a SealSegment, the
	// user's own in CustomEvent and user types, else 0.
	LogicalOffset uint64
	// TimestampNs is when it happened. 0 in Append: now.
	TimestampNs int64
	// Ordinal counts records over the log's life, from 1, without gaps. Append
	// sets it.
	Ordinal uint64
	// UnsyncedBytes were before this record in its chunk and not durable yet when
	// it was written. Commit sets it.
	UnsyncedBytes uint32
	// Payload says what happened. Its type is the record's type.
	Payload Payload
}

// Type is the payload's type.
func (r *Record) Type() RecordType { return r.Payload.RecordType() }

// EncodeRecord appends the encoded record to b. Errors match ErrTooLarge.
func EncodeRecord(b []byte, r *Record) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, recordHeaderBytes)...)
	b, err := encodeStructure(b, r.Payload)
	if err != nil {
		return b[:start], fmt.Errorf("encode payload of %s: %w", r.Type(), err)
	}
	payloadBytes := len(b) - start - recordHeaderBytes
	for (len(b)-start)%recordAlignment != 0 {
		b = append(b, 0)
	}
	if len(b)-start > recordBytesMax {
		return b[:start], fmt.Errorf("encode %s of %d bytes, at most %d: %w", r.Type(), len(b)-start, recordBytesMax, ErrTooLarge)
	}
	header := b[start:]
	binary.LittleEndian.PutUint16(header[8:], uint16(r.Type()))
	binary.LittleEndian.PutUint16(header[10:], r.Flags)
	binary.LittleEndian.PutUint32(header[12:], uint32(payloadBytes))
	binary.LittleEndian.PutUint64(header[16:], r.SegmentID)
	binary.LittleEndian.PutUint64(header[24:], r.LogicalOffset)
	binary.LittleEndian.PutUint64(header[32:], uint64(r.TimestampNs))
	binary.LittleEndian.PutUint64(header[40:], r.Ordinal)
	finishRecord(header, r.UnsyncedBytes)
	return b, nil
}

// finishRecord sets what is known only when a record gets its place, and the
// checksums.
func finishRecord(record []byte, unsynced uint32) {
	binary.LittleEndian.PutUint32(record[48:], unsynced)
	binary.LittleEndian.PutUint32(record[52:], crc32.Checksum(record[8:52], castagnoli))
	binary.LittleEndian.PutUint64(record, crc64nvme.Checksum(record[8:]))
}

// DecodeRecord reads the record at the beginning of b and says how many bytes it
// takes. The record keeps nothing of b. Errors match ErrTruncated, ErrCorrupt,
// ErrNewerVersion or ErrInvalid; with the last two, length is known all the same.
func DecodeRecord(b []byte) (r Record, length int, err error) {
	length, err = verifyRecord(b)
	if err != nil {
		return Record{}, 0, err
	}
	r, err = interpretRecord(b[:length])
	return r, length, err
}

// verifyRecord checks bounds and checksums of the record at the beginning of b.
func verifyRecord(b []byte) (length int, err error) {
	length, err = recordExtent(b)
	if err != nil {
		return 0, err
	}
	if length > len(b) {
		return 0, fmt.Errorf("record of %d bytes in %d: %w", length, len(b), ErrTruncated)
	}
	if crc64nvme.Checksum(b[8:length]) != binary.LittleEndian.Uint64(b) {
		return 0, fmt.Errorf("record: %w", ErrCorrupt)
	}
	return length, nil
}

// recordExtent is the length that a verified header gives, padding included. It
// may reach beyond b.
func recordExtent(b []byte) (int, error) {
	if len(b) < recordHeaderBytes {
		return 0, fmt.Errorf("record header in %d bytes: %w", len(b), ErrTruncated)
	}
	if crc32.Checksum(b[8:52], castagnoli) != binary.LittleEndian.Uint32(b[52:]) {
		return 0, fmt.Errorf("record header: %w", ErrCorrupt)
	}
	payload := binary.LittleEndian.Uint32(b[12:])
	if payload > recordBytesMax-recordHeaderBytes {
		return 0, fmt.Errorf("payload of %d bytes: %w", payload, ErrInvalid)
	}
	return aligned(recordHeaderBytes + int(payload)), nil
}

// interpretRecord decodes a verified record. Flags are judged before the
// payload: they may change what it means.
func interpretRecord(b []byte) (Record, error) {
	r := Record{
		Flags:         binary.LittleEndian.Uint16(b[10:]),
		SegmentID:     binary.LittleEndian.Uint64(b[16:]),
		LogicalOffset: binary.LittleEndian.Uint64(b[24:]),
		TimestampNs:   int64(binary.LittleEndian.Uint64(b[32:])),
		Ordinal:       binary.LittleEndian.Uint64(b[40:]),
		UnsyncedBytes: binary.LittleEndian.Uint32(b[48:]),
	}
	payload := b[recordHeaderBytes : recordHeaderBytes+binary.LittleEndian.Uint32(b[12:])]
	kind := RecordType(binary.LittleEndian.Uint16(b[8:]))
	if unknown := r.Flags & recordFlagsIncompatible &^ recordFlagsKnown; unknown != 0 {
		r.Payload = &Raw{Type: kind, Bytes: copied(payload)}
		return r, fmt.Errorf("record flags %#04x: %w", unknown, ErrNewerVersion)
	}
	r.Payload = newPayload(kind)
	if err := decodeStructure(payload, r.Payload); err != nil {
		r.Payload = &Raw{Type: kind, Bytes: copied(payload)}
		return r, fmt.Errorf("decode payload of %s: %w", kind, err)
	}
	return r, nil
}

// Fields of a verified record that scanning needs before it interprets.
func ordinalOf(record []byte) uint64 { return binary.LittleEndian.Uint64(record[40:]) }

func recordTypeOf(record []byte) RecordType {
	return RecordType(binary.LittleEndian.Uint16(record[8:]))
}

func unsyncedOf(record []byte) int64 { return int64(binary.LittleEndian.Uint32(record[48:])) }

func aligned(n int) int { return (n + recordAlignment - 1) &^ (recordAlignment - 1) }
