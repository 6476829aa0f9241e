package segment

import "fmt"

// Sizes and limits of the format, in bytes.
const (
	// Version is the format version of segment headers and footers.
	Version = 3
	// HeaderBytes is the length of the segment header; the first record
	// follows.
	HeaderBytes = 128
	// FooterBytes is the length of the footer, the last bytes of a sealed
	// segment.
	FooterBytes = 192
	// RecordHeaderBytes is the length of a record's header.
	RecordHeaderBytes = 48
	// RecordBytesMin is the length of the shortest record.
	RecordBytesMin = 56
	// SectorBytes is the unit that a disk writes whole.
	SectorBytes = 512
	// FrameBytes is the length of records at which the next frame begins: at
	// the first record that starts this far behind the start of the frame.
	FrameBytes = 128 << 10
	// SegmentBytesMax is the length of the longest segment file.
	SegmentBytesMax = 2 << 30
	// FileBytesMax bounds the length of a file that damage left no room to be sealed
	// in: seal mark, index and footer stand behind the end that it was made with.
	FileBytesMax = SegmentBytesMax + SegmentBytesMax/16
	// SeqMax is the highest sequence number that a segment may hold.
	SeqMax = 1<<63 - 2
)

const headerMagic = "AOF2SEGM"

// Offsets of the header's fields.
const (
	headerMagicAt     = 0
	headerVersionAt   = 8
	headerBytesAt     = 10
	headerFlagsAt     = 12
	headerLogIDAt     = 16
	headerIDAt        = 24
	headerBaseSeqAt   = 32
	headerCreatedAt   = 40
	headerEpochAt     = 48
	headerSaltAt      = 56
	headerAllocatedAt = 64
	headerReservedAt  = 72
	headerChecksumAt  = 124
)

// incompatibleFlags masks the half of a 32-bit flags field whose unknown bits
// are a version error; the other half is kept and otherwise ignored.
const incompatibleFlags = 0xffff

// Header identifies a segment. It is written once, before the first record.
type Header struct {
	LogID   uint64
	ID      uint64 // segment id: grows by log, is never reused
	BaseSeq uint64 // sequence of the first data record, at least 1
	Created int64  // nanoseconds since the epoch, UTC
	Epoch   uint64 // of the owner that created the segment
	Salt    uint64 // random; its low half seeds the checksums of all records
	Flags   uint32 // low half incompatible, high half compatible; none is defined
	// AllocatedBytes is the length of the file from before it got its name until
	// it is sealed; 0: not known.
	AllocatedBytes uint64
}

// Encode writes the header with its checksum into b.
func (h *Header) Encode(b *[HeaderBytes]byte) {
	clear(b[:])
	copy(b[headerMagicAt:], headerMagic)
	littleEndian.PutUint16(b[headerVersionAt:], Version)
	littleEndian.PutUint16(b[headerBytesAt:], HeaderBytes)
	littleEndian.PutUint32(b[headerFlagsAt:], h.Flags)
	littleEndian.PutUint64(b[headerLogIDAt:], h.LogID)
	littleEndian.PutUint64(b[headerIDAt:], h.ID)
	littleEndian.PutUint64(b[headerBaseSeqAt:], h.BaseSeq)
	littleEndian.PutUint64(b[headerCreatedAt:], uint64(h.Created))
	littleEndian.PutUint64(b[headerEpochAt:], h.Epoch)
	littleEndian.PutUint64(b[headerSaltAt:], h.Salt)
	littleEndian.PutUint64(b[headerAllocatedAt:], h.AllocatedBytes)
	littleEndian.PutUint32(b[headerChecksumAt:], crc32c(b[:headerChecksumAt]))
}

// DecodeHeader reads the header at the start of b; bytes behind it are
// ignored. It fails with ErrNotSegment, VersionError, ErrShort, ErrCorrupt, or
// FlagsError (with the header filled in).
func DecodeHeader(b []byte) (Header, error) {
	var h Header
	if err := checkEnvelope(b, whatHeader, headerMagic, HeaderBytes, ErrNotSegment); err != nil {
		return h, fmt.Errorf("decode segment header: %w", err)
	}
	h.Flags = littleEndian.Uint32(b[headerFlagsAt:])
	h.LogID = littleEndian.Uint64(b[headerLogIDAt:])
	h.ID = littleEndian.Uint64(b[headerIDAt:])
	h.BaseSeq = littleEndian.Uint64(b[headerBaseSeqAt:])
	h.Created = int64(littleEndian.Uint64(b[headerCreatedAt:]))
	h.Epoch = littleEndian.Uint64(b[headerEpochAt:])
	h.Salt = littleEndian.Uint64(b[headerSaltAt:])
	h.AllocatedBytes = littleEndian.Uint64(b[headerAllocatedAt:])
	if unknown := h.Flags & incompatibleFlags; unknown != 0 {
		return h, fmt.Errorf("decode segment header: %w", &FlagsError{What: whatHeader, Unknown: unknown})
	}
	if h.BaseSeq == 0 || h.BaseSeq > SeqMax {
		return Header{}, fmt.Errorf("decode segment header: base sequence %d: %w", h.BaseSeq, ErrCorrupt)
	}
	if n := h.AllocatedBytes; n > SegmentBytesMax || n > 0 && n < HeaderBytes {
		return Header{}, fmt.Errorf("decode segment header: %d bytes allocated: %w", n, ErrCorrupt)
	}
	return h, nil
}

// checkEnvelope checks what header and footer have in common, in this order:
// magic (8 bytes), version (u16 at 8), length (u16 at 10), checksum (CRC-32C
// in the last 4 bytes over the bytes before).
func checkEnvelope(b []byte, what, magic string, size int, notOurs error) error {
	if len(b) < len(magic) {
		return ErrShort
	}
	if string(b[:len(magic)]) != magic {
		return notOurs
	}
	if len(b) < 12 {
		return ErrShort
	}
	checksumAt := size - 4
	verified := len(b) >= size &&
		crc32c(b[:checksumAt]) == littleEndian.Uint32(b[checksumAt:])
	if version := littleEndian.Uint16(b[8:]); version != Version {
		return &VersionError{What: what, Version: version, Verified: verified}
	}
	if int(littleEndian.Uint16(b[10:])) != size {
		return fmt.Errorf("length field: %w", ErrCorrupt)
	}
	if len(b) < size {
		return ErrShort
	}
	if !verified {
		return fmt.Errorf("checksum: %w", ErrCorrupt)
	}
	return nil
}
