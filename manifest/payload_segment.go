package manifest

// This file is the payloads about a segment's life on the local disk.

// SegmentOpened says that a segment file was put to use. The record's timestamp
// is the time in the file's name.
type SegmentOpened struct {
	BaseSeq uint64 // sequence of its first data record
	Epoch   uint64 // of the owner that created it
	Salt    uint64 // of its checksums
	Extra   []byte
}

// RecordType is TypeSegmentOpened.
func (*SegmentOpened) RecordType() RecordType { return TypeSegmentOpened }

func (p *SegmentOpened) fields(c *codec) {
	field64(c, "base seq", &p.BaseSeq)
	field64(c, "epoch", &p.Epoch)
	field64(c, "salt", &p.Salt)
	c.rest(&p.Extra)
}

// SealSegment says that a segment will not change any more. The record's
// timestamp is the time in the names of what is made of it; its logical offset
// is where the segment's index block begins.
type SealSegment struct {
	DurableBytes   uint64 // of records, header included
	SegmentCRC64   uint64 // of header and records
	FirstSeq       uint64 // without a record: the base
	LastSeq        uint64 // without a record: the base - 1
	FirstNs        int64  // timestamp of the first record
	MaxNs          int64  // largest timestamp
	RecordCount    uint64
	LastExtID      uint64
	WatermarkAtEnd uint64 // ordinal of the last manifest record applied before
	FlushFailure   bool   // sealed while a flush failure was active
	Extra          []byte
}

// RecordType is TypeSealSegment.
func (*SealSegment) RecordType() RecordType { return TypeSealSegment }

func (p *SealSegment) fields(c *codec) {
	field64(c, "durable bytes", &p.DurableBytes)
	field64(c, "segment crc64", &p.SegmentCRC64)
	field64(c, "first seq", &p.FirstSeq)
	field64(c, "last seq", &p.LastSeq)
	field64(c, "first ts", &p.FirstNs)
	field64(c, "max ts", &p.MaxNs)
	field64(c, "record count", &p.RecordCount)
	field64(c, "last ext_id", &p.LastExtID)
	field64(c, "coordinator watermark", &p.WatermarkAtEnd)
	c.boolean("flush failure", &p.FlushFailure)
	c.rest(&p.Extra)
}

// LocalEvicted says that a local copy is dropped.
type LocalEvicted struct {
	Tier           Tier
	ReclaimedBytes uint64
	Extra          []byte
}

// RecordType is TypeLocalEvicted.
func (*LocalEvicted) RecordType() RecordType { return TypeLocalEvicted }

func (p *LocalEvicted) fields(c *codec) {
	field8(c, "tier", &p.Tier)
	field64(c, "reclaimed bytes", &p.ReclaimedBytes)
	c.rest(&p.Extra)
}

// SegmentVerified says that every byte of one copy was read and checked: by
// command, after a repair or on damage. What a routine scrub finds good goes
// into the next snapshot only, see Writer.NoteVerified.
type SegmentVerified struct {
	Tier      Tier
	BytesRead uint64
	Extra     []byte
}

// RecordType is TypeSegmentVerified.
func (*SegmentVerified) RecordType() RecordType { return TypeSegmentVerified }

func (p *SegmentVerified) fields(c *codec) {
	field8(c, "tier", &p.Tier)
	field64(c, "bytes read", &p.BytesRead)
	c.rest(&p.Extra)
}

// SegmentQuarantined says that a range of one copy does not verify. The copy
// stays where it is and no longer counts as a good one.
type SegmentQuarantined struct {
	Tier           Tier
	Reason         Reason
	Offset, Length uint64 // bytes in that copy
	Extra          []byte
}

// RecordType is TypeSegmentQuarantined.
func (*SegmentQuarantined) RecordType() RecordType { return TypeSegmentQuarantined }

func (p *SegmentQuarantined) fields(c *codec) {
	field8(c, "tier", &p.Tier)
	field32(c, "reason", &p.Reason)
	field64(c, "offset", &p.Offset)
	field64(c, "length", &p.Length)
	c.rest(&p.Extra)
}
