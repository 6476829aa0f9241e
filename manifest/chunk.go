package manifest

// This file is the chunk header and the names of chunk files.
//
//	  0 u8[8] magic AOF2MLOG
//	  8 u16 version = 2
//	 10 u16 header length = 128
//	 12 u32 flags: bit 0 sealed; low half must be understood
//	 16 u64 log id
//	 24 u64 chunk index, from 1
//	 32 u64 base record: ordinal of its first record
//	 40 u64 epoch of the owner that made it
//	 48 u64 CRC-64/NVME of the chunk before, behind its header; 0 for the first
//	 56 u64 sealed: record count
//	 64 u64 sealed: byte length behind the header
//	 72 u64 sealed: CRC-64/NVME of these bytes
//	 80 u64 allocated: length of the file while it is not sealed
//	 88     reserved, zero
//	124 u32 CRC-32C of bytes 0 to 123

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	// ChunkBytesMin is the least length of a chunk file while it is written.
	ChunkBytesMin = 64 << 10
	// ChunkBytesMax is the greatest length of a chunk file.
	ChunkBytesMax = 1 << 20
	// ChunkBytesDefault is the length where Options says nothing.
	ChunkBytesDefault = 256 << 10

	chunkMagic       = "AOF2MLOG"
	chunkVersion     = 2
	chunkHeaderBytes = 128

	chunkFlagSealed        = 1 << 0
	chunkFlagsKnown        = chunkFlagSealed
	chunkFlagsIncompatible = 0x0000ffff

	chunkNameSuffix = ".mlog"
	nameDigits      = 20
)

// ChunkHeader is the first 128 bytes of a chunk.
type ChunkHeader struct {
	Flags      uint32
	LogID      uint64
	ChunkIndex uint64
	// BaseRecord is the ordinal of the chunk's first record.
	BaseRecord uint64
	Epoch      uint64
	// PreviousCRC64 chains the chunks: it is of what stands behind the header of
	// the chunk before.
	PreviousCRC64 uint64
	// RecordCount, RecordBytes and RecordsCRC64 are those of a sealed chunk, else
	// 0. RecordCount is the ordinals that the chunk takes: where a record was
	// lost to damage, it is counted.
	RecordCount  uint64
	RecordBytes  uint64
	RecordsCRC64 uint64
	// AllocatedBytes is the length of the file from before its first record until
	// it is sealed: a file that is shorter and not sealed was truncated.
	AllocatedBytes uint64
}

// Sealed reports whether the chunk is complete.
func (h *ChunkHeader) Sealed() bool { return h.Flags&chunkFlagSealed != 0 }

func (h *ChunkHeader) fields(c *codec) {
	field32(c, "flags", &h.Flags)
	field64(c, "log id", &h.LogID)
	field64(c, "chunk index", &h.ChunkIndex)
	field64(c, "base record", &h.BaseRecord)
	field64(c, "epoch", &h.Epoch)
	field64(c, "previous crc64", &h.PreviousCRC64)
	field64(c, "record count", &h.RecordCount)
	field64(c, "record bytes", &h.RecordBytes)
	field64(c, "records crc64", &h.RecordsCRC64)
	field64(c, "allocated bytes", &h.AllocatedBytes)
}

// encodeChunkHeader returns the header's 128 bytes.
func encodeChunkHeader(h *ChunkHeader) []byte {
	return encodeFixedHeader(chunkMagic, chunkVersion, h)
}

// DecodeChunkHeader reads the first bytes of a chunk. Errors match ErrTruncated,
// ErrNotOurs, ErrNewerVersion, ErrCorrupt or ErrInvalid.
func DecodeChunkHeader(b []byte) (ChunkHeader, error) {
	var h ChunkHeader
	if err := decodeFixedHeader(b, chunkMagic, chunkVersion, &h); err != nil {
		return ChunkHeader{}, fmt.Errorf("chunk header: %w", err)
	}
	if unknown := h.Flags & chunkFlagsIncompatible &^ chunkFlagsKnown; unknown != 0 {
		return h, fmt.Errorf("chunk flags %#08x: %w", unknown, ErrNewerVersion)
	}
	if h.ChunkIndex == 0 || h.BaseRecord == 0 || h.RecordBytes > ChunkBytesMax-chunkHeaderBytes ||
		h.RecordBytes%recordAlignment != 0 || h.AllocatedBytes > ChunkBytesMax {
		return h, fmt.Errorf("chunk header: %w", ErrInvalid)
	}
	return h, nil
}

// encodeFixedHeader lays out a header of 128 bytes: magic, version, length,
// fields, zeros, checksum. Chunks and snapshots share it.
func encodeFixedHeader(magic string, version uint16, fields structure) []byte {
	b := make([]byte, 12, chunkHeaderBytes)
	copy(b, magic)
	binary.LittleEndian.PutUint16(b[8:], version)
	binary.LittleEndian.PutUint16(b[10:], chunkHeaderBytes)
	b, _ = encodeStructure(b, fields) // fixed-size fields cannot fail
	b = append(b, make([]byte, chunkHeaderBytes-len(b))...)
	binary.LittleEndian.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
	return b
}

func decodeFixedHeader(b []byte, magic string, version uint16, fields structure) error {
	if len(b) < 12 {
		return fmt.Errorf("%d bytes: %w", len(b), ErrTruncated)
	}
	if string(b[:8]) != magic {
		return ErrNotOurs
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return foreignVersion(b, v, version)
	}
	if n := binary.LittleEndian.Uint16(b[10:]); n != chunkHeaderBytes {
		return fmt.Errorf("header length %d: %w", n, ErrInvalid)
	}
	if len(b) < chunkHeaderBytes {
		return fmt.Errorf("%d bytes: %w", len(b), ErrTruncated)
	}
	if crc32.Checksum(b[:124], castagnoli) != binary.LittleEndian.Uint32(b[124:]) {
		return ErrCorrupt
	}
	c := codec{mode: decoding, buf: b[12:124]}
	fields.fields(&c)
	return c.err
}

// foreignVersion tells another version of the format from a damaged version
// field: with the right version in its place, the checksum of such a header fits.
func foreignVersion(b []byte, found, version uint16) error {
	if len(b) >= chunkHeaderBytes {
		mended := append([]byte(nil), b[:124]...)
		binary.LittleEndian.PutUint16(mended[8:], version)
		if crc32.Checksum(mended, castagnoli) == binary.LittleEndian.Uint32(b[124:]) {
			return fmt.Errorf("version field: %w", ErrCorrupt)
		}
	}
	if found < version {
		return fmt.Errorf("version %d, not %d: %w", found, version, ErrInvalid)
	}
	return fmt.Errorf("version %d, not %d: %w", found, version, ErrNewerVersion)
}

// ChunkName is the file name of a chunk.
func ChunkName(index uint64) string {
	return fmt.Sprintf("%0*d%s", nameDigits, index, chunkNameSuffix)
}

// ParseChunkName is the index in a chunk's file name.
func ParseChunkName(name string) (index uint64, ok bool) {
	return parseNumber(name, "", chunkNameSuffix)
}

// parseNumber reads the 20 digits of a file name. Only the exact form that is
// written counts.
func parseNumber(name, prefix, suffix string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if ok {
		digits, ok = strings.CutSuffix(digits, suffix)
	}
	if !ok || len(digits) != nameDigits || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0
}
