package manifest

// This file is the snapshot: the state at one place in the chunks.
//
//	  0 u8[8] magic AOF2SNAP
//	  8 u16 version = 4
//	 10 u16 header length = 128
//	 12 u32 flags: low half must be understood
//	 16 u64 log id
//	 24 u64 snapshot id
//	 32 u64 chunk index: where replay goes on; 0: at the first chunk
//	 40 u64 chunk offset
//	 48 u64 ordinal of the first record that is not in the snapshot
//	 56 u64 chain value: CRC-64/NVME of that chunk from its header to the offset
//	 64 i64 created, ns
//	 72 u64 body bytes: of the sections
//	 80     reserved, zero
//	124 u32 CRC-32C of bytes 0 to 123
//	128     sections
//	...     u64 CRC-64/NVME of everything before it
//
// A section is u16 kind, u16 flags, u32 item count, u64 byte length, and that
// many bytes of items, each a u32 length and as many bytes.

import (
	"encoding/binary"
	"fmt"

	"github.com/minio/crc64nvme"
)

const (
	snapshotMagic             = "AOF2SNAP"
	snapshotVersion           = 4
	snapshotHeaderBytes       = chunkHeaderBytes
	snapshotBytesMax          = 1 << 30
	snapshotFlagsKnown        = 0
	snapshotFlagsIncompatible = 0x0000ffff
	snapshotChecksumBytes     = 8

	snapshotNamePrefix = "snapshot_"
	snapshotNameSuffix = ".bin"
)

// SnapshotHeader says which snapshot it is and where in the chunks it stands.
type SnapshotHeader struct {
	Flags       uint32
	LogID       uint64
	SnapshotID  uint64
	ChunkIndex  uint64
	ChunkOffset uint64
	// Ordinal is that of the first record that the snapshot does not have.
	Ordinal uint64
	// ChainCRC64 is of the bytes of the chunk from its header to ChunkOffset.
	ChainCRC64 uint64
	CreatedNs  int64
	BodyBytes  uint64
}

func (h *SnapshotHeader) fields(c *codec) {
	field32(c, "flags", &h.Flags)
	field64(c, "log id", &h.LogID)
	field64(c, "snapshot id", &h.SnapshotID)
	field64(c, "chunk index", &h.ChunkIndex)
	field64(c, "chunk offset", &h.ChunkOffset)
	field64(c, "ordinal", &h.Ordinal)
	field64(c, "chain value", &h.ChainCRC64)
	field64(c, "created ns", &h.CreatedNs)
	field64(c, "body bytes", &h.BodyBytes)
}

// Snapshot is a decoded snapshot file.
type Snapshot struct {
	SnapshotHeader
	State *State
}

// EncodeSnapshot returns the bytes of a snapshot file. BodyBytes of the header
// is set by it. Errors match ErrTooLarge.
func EncodeSnapshot(s *Snapshot) ([]byte, error) {
	sections, err := encodeSections(s.State)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	s.BodyBytes = uint64(len(sections))
	b := append(encodeFixedHeader(snapshotMagic, snapshotVersion, &s.SnapshotHeader), sections...)
	b = binary.LittleEndian.AppendUint64(b, crc64nvme.Checksum(b))
	if len(b) > snapshotBytesMax {
		return nil, fmt.Errorf("encode snapshot of %d bytes, at most %d: %w", len(b), snapshotBytesMax, ErrTooLarge)
	}
	return b, nil
}

// DecodeSnapshot reads a whole snapshot file. Errors match ErrTruncated,
// ErrNotOurs, ErrNewerVersion, ErrCorrupt or ErrInvalid.
func DecodeSnapshot(b []byte) (*Snapshot, error) {
	s := &Snapshot{}
	if err := decodeFixedHeader(b, snapshotMagic, snapshotVersion, &s.SnapshotHeader); err != nil {
		return nil, fmt.Errorf("snapshot header: %w", err)
	}
	if unknown := s.Flags & snapshotFlagsIncompatible &^ snapshotFlagsKnown; unknown != 0 {
		return nil, fmt.Errorf("snapshot flags %#08x: %w", unknown, ErrNewerVersion)
	}
	if want := uint64(len(b) - snapshotHeaderBytes); s.BodyBytes > want || s.BodyBytes+snapshotChecksumBytes > want {
		return nil, fmt.Errorf("snapshot of %d bytes with a body of %d: %w", len(b), s.BodyBytes, ErrTruncated)
	} else if s.BodyBytes+snapshotChecksumBytes < want {
		return nil, fmt.Errorf("snapshot of %d bytes with a body of %d: %w", len(b), s.BodyBytes, ErrInvalid)
	}
	body := b[:len(b)-snapshotChecksumBytes]
	if crc64nvme.Checksum(body) != binary.LittleEndian.Uint64(b[len(body):]) {
		return nil, fmt.Errorf("snapshot: %w", ErrCorrupt)
	}
	state, err := decodeSections(body[snapshotHeaderBytes:])
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if s.SnapshotID == 0 || s.Ordinal == 0 || s.ChunkOffset > ChunkBytesMax {
		return nil, fmt.Errorf("snapshot header: %w", ErrInvalid)
	}
	state.nextOrdinal = s.Ordinal
	s.State = state
	return s, nil
}

// SnapshotName is the file name of a snapshot.
func SnapshotName(id uint64) string {
	return fmt.Sprintf("%s%0*d%s", snapshotNamePrefix, nameDigits, id, snapshotNameSuffix)
}

// ParseSnapshotName is the id in a snapshot's file name.
func ParseSnapshotName(name string) (id uint64, ok bool) {
	return parseNumber(name, snapshotNamePrefix, snapshotNameSuffix)
}
