package segment

import "fmt"

const footerMagic = "AOF2FOOT"

// Offsets of the footer's fields.
const (
	footerMagicAt           = 0
	footerVersionAt         = 8
	footerBytesAt           = 10
	footerFlagsAt           = 12
	footerLogIDAt           = 16
	footerIDAt              = 24
	footerSaltAt            = 32
	footerEpochAt           = 40
	footerBaseSeqAt         = 48
	footerCountAt           = 56
	footerFirstSeqAt        = 64
	footerLastSeqAt         = 72
	footerFirstTimestampAt  = 80
	footerMaxTimestampAt    = 88
	footerFirstExtIDAt      = 96
	footerLastExtIDAt       = 104
	footerDurableBytesAt    = 112
	footerManifestOrdinalAt = 120
	footerSegmentCRC64At    = 128
	footerIndexOffsetAt     = 136
	footerIndexBytesAt      = 144
	footerIndexCRC64At      = 152
	footerReservedAt        = 160
	footerChecksumAt        = 188
)

// Flags of a footer. The low half is incompatible: an unknown bit of it is a
// version error. The high half is compatible: unknown bits are kept.
const (
	// FooterSealed is set in every footer.
	FooterSealed uint32 = 1 << iota
	// FooterCompacted says that retention by key removed records.
	FooterCompacted
	// FooterPartial says that recovery ended the segment behind a crash.
	FooterPartial
	// FooterFlushFailure says that the segment was sealed while a flush
	// failure was active.
	FooterFlushFailure

	knownFooterFlags = FooterSealed | FooterCompacted | FooterPartial | FooterFlushFailure
)

// Footer describes a sealed segment: its last bytes, behind the index block.
type Footer struct {
	LogID, ID      uint64
	Salt, Epoch    uint64
	BaseSeq        uint64
	Count          uint64 // data records that verify
	FirstSeq       uint64
	LastSeq        uint64 // damaged sequences included; BaseSeq-1 if there is none
	FirstTimestamp int64
	MaxTimestamp   int64
	FirstExtID     uint64
	LastExtID      uint64
	DurableBytes   uint64 // of this file, when the footer was written
	// ManifestOrdinal is the coordinator's watermark: the ordinal of the last
	// manifest record that it had applied.
	ManifestOrdinal uint64
	SegmentCRC64    uint64 // of header and records: the bytes before IndexOffset
	IndexOffset     uint64 // where the records end and the index begins
	IndexBytes      uint64
	IndexCRC64      uint64
	Flags           uint32
}

// Encode writes the footer with its checksum into b.
func (f *Footer) Encode(b *[FooterBytes]byte) {
	clear(b[:])
	copy(b[footerMagicAt:], footerMagic)
	littleEndian.PutUint16(b[footerVersionAt:], Version)
	littleEndian.PutUint16(b[footerBytesAt:], FooterBytes)
	littleEndian.PutUint32(b[footerFlagsAt:], f.Flags)
	littleEndian.PutUint64(b[footerLogIDAt:], f.LogID)
	littleEndian.PutUint64(b[footerIDAt:], f.ID)
	littleEndian.PutUint64(b[footerSaltAt:], f.Salt)
	littleEndian.PutUint64(b[footerEpochAt:], f.Epoch)
	littleEndian.PutUint64(b[footerBaseSeqAt:], f.BaseSeq)
	littleEndian.PutUint64(b[footerCountAt:], f.Count)
	littleEndian.PutUint64(b[footerFirstSeqAt:], f.FirstSeq)
	littleEndian.PutUint64(b[footerLastSeqAt:], f.LastSeq)
	littleEndian.PutUint64(b[footerFirstTimestampAt:], uint64(f.FirstTimestamp))
	littleEndian.PutUint64(b[footerMaxTimestampAt:], uint64(f.MaxTimestamp))
	littleEndian.PutUint64(b[footerFirstExtIDAt:], f.FirstExtID)
	littleEndian.PutUint64(b[footerLastExtIDAt:], f.LastExtID)
	littleEndian.PutUint64(b[footerDurableBytesAt:], f.DurableBytes)
	littleEndian.PutUint64(b[footerManifestOrdinalAt:], f.ManifestOrdinal)
	littleEndian.PutUint64(b[footerSegmentCRC64At:], f.SegmentCRC64)
	littleEndian.PutUint64(b[footerIndexOffsetAt:], f.IndexOffset)
	littleEndian.PutUint64(b[footerIndexBytesAt:], f.IndexBytes)
	littleEndian.PutUint64(b[footerIndexCRC64At:], f.IndexCRC64)
	littleEndian.PutUint32(b[footerChecksumAt:], crc32c(b[:footerChecksumAt]))
}

// DecodeFooter reads the footer at the start of b; bytes behind it are
// ignored. It fails with ErrNotFooter, VersionError, ErrShort, ErrCorrupt, or
// FlagsError (with the footer filled in).
func DecodeFooter(b []byte) (Footer, error) {
	if err := checkEnvelope(b, whatFooter, footerMagic, FooterBytes, ErrNotFooter); err != nil {
		return Footer{}, fmt.Errorf("decode footer: %w", err)
	}
	f := Footer{
		LogID:           littleEndian.Uint64(b[footerLogIDAt:]),
		ID:              littleEndian.Uint64(b[footerIDAt:]),
		Salt:            littleEndian.Uint64(b[footerSaltAt:]),
		Epoch:           littleEndian.Uint64(b[footerEpochAt:]),
		BaseSeq:         littleEndian.Uint64(b[footerBaseSeqAt:]),
		Count:           littleEndian.Uint64(b[footerCountAt:]),
		FirstSeq:        littleEndian.Uint64(b[footerFirstSeqAt:]),
		LastSeq:         littleEndian.Uint64(b[footerLastSeqAt:]),
		FirstTimestamp:  int64(littleEndian.Uint64(b[footerFirstTimestampAt:])),
		MaxTimestamp:    int64(littleEndian.Uint64(b[footerMaxTimestampAt:])),
		FirstExtID:      littleEndian.Uint64(b[footerFirstExtIDAt:]),
		LastExtID:       littleEndian.Uint64(b[footerLastExtIDAt:]),
		DurableBytes:    littleEndian.Uint64(b[footerDurableBytesAt:]),
		ManifestOrdinal: littleEndian.Uint64(b[footerManifestOrdinalAt:]),
		SegmentCRC64:    littleEndian.Uint64(b[footerSegmentCRC64At:]),
		IndexOffset:     littleEndian.Uint64(b[footerIndexOffsetAt:]),
		IndexBytes:      littleEndian.Uint64(b[footerIndexBytesAt:]),
		IndexCRC64:      littleEndian.Uint64(b[footerIndexCRC64At:]),
		Flags:           littleEndian.Uint32(b[footerFlagsAt:]),
	}
	if unknown := f.Flags & incompatibleFlags &^ knownFooterFlags; unknown != 0 {
		return f, fmt.Errorf("decode footer: %w", &FlagsError{What: whatFooter, Unknown: unknown})
	}
	if err := f.check(); err != nil {
		return Footer{}, fmt.Errorf("decode footer: %w", err)
	}
	return f, nil
}

// check bounds what others compute with: offsets and sequences.
func (f *Footer) check() error {
	switch {
	case f.IndexOffset < HeaderBytes || f.IndexOffset > SegmentBytesMax+SealMarkBytes || f.IndexOffset%8 != 0:
		return fmt.Errorf("index offset %d: %w", f.IndexOffset, ErrCorrupt)
	case f.IndexBytes > SegmentBytesMax || f.IndexBytes%8 != 0:
		return fmt.Errorf("index length %d: %w", f.IndexBytes, ErrCorrupt)
	case f.BaseSeq == 0 || f.BaseSeq > SeqMax || f.LastSeq > SeqMax || f.LastSeq+1 < f.BaseSeq:
		return fmt.Errorf("sequences %d to %d: %w", f.BaseSeq, f.LastSeq, ErrCorrupt)
	}
	return nil
}

// Header rebuilds the segment's header from its footer. The time of creation is
// not in the footer; the file's name has it.
func (f *Footer) Header(created int64) Header {
	return Header{LogID: f.LogID, ID: f.ID, BaseSeq: f.BaseSeq, Created: created, Epoch: f.Epoch, Salt: f.Salt}
}

// Index decodes the index block that this footer describes. It fails with
// ErrCorrupt if block has not the length or the checksum that the footer
// names, else as DecodeIndex. The index keeps block.
func (f *Footer) Index(block []byte) (*Index, error) {
	if uint64(len(block)) != f.IndexBytes || CRC64(block) != f.IndexCRC64 {
		return nil, fmt.Errorf("decode index: checksum: %w", ErrCorrupt)
	}
	return DecodeIndex(block)
}

// FindFooter looks for the footer of the given segment in the file's bytes: at
// the end, else backwards from the last non-zero byte in steps of 8 (the
// truncation to the footer may have been lost). A footer counts only if its
// index, as it describes it, ends where it begins.
func FindFooter(b []byte, logID, id uint64) (f Footer, offset int64, ok bool) {
	if at := len(b) - FooterBytes; at >= HeaderBytes {
		if f, ok = footerAt(b, at, logID, id); ok {
			return f, int64(at), true
		}
	}
	magic := littleEndian.Uint64([]byte(footerMagic))
	for at := min(nonZeroEnd(b), len(b)-FooterBytes) &^ 7; at >= HeaderBytes; at -= 8 {
		if littleEndian.Uint64(b[at:]) != magic {
			continue
		}
		if f, ok = footerAt(b, at, logID, id); ok {
			return f, int64(at), true
		}
	}
	return Footer{}, 0, false
}

func footerAt(b []byte, at int, logID, id uint64) (Footer, bool) {
	f, err := DecodeFooter(b[at:])
	if err != nil || f.LogID != logID || f.ID != id || f.IndexOffset+f.IndexBytes != uint64(at) {
		return Footer{}, false
	}
	return f, true
}
