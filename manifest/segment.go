package manifest

// This file is what State knows of one segment, of objects on their way into and
// out of the bucket, and of dictionaries.

// Segment is all that the manifest knows of one segment. Values that State hands
// out are shared and must not be changed.
type Segment struct {
	ID uint64

	// Opened says that its SegmentOpened is known. It is always so unless damage
	// took the record.
	Opened   bool
	BaseSeq  uint64
	Epoch    uint64
	Salt     uint64
	OpenedNs int64

	// Sealed says that its SealSegment is known; the fields are that record's.
	Sealed       bool
	SealedNs     int64
	IndexOffset  uint64
	DurableBytes uint64
	SegmentCRC64 uint64
	FirstSeq     uint64
	LastSeq      uint64
	FirstNs      int64
	MaxNs        int64
	RecordCount  uint64
	LastExtID    uint64
	FlushFailure bool

	// Resident are the tiers that hold the segment's bytes; Quarantined those
	// among them whose copy does not verify.
	Resident    TierSet
	Quarantined TierSet
	// Marks has the last damage that was found in each quarantined copy.
	Marks []QuarantineMark
	// VerifiedNs is when each tier's copy was last read and found good; 0: never.
	VerifiedNs [tierCount]int64

	// Compressing and Hydrating are moves in flight. After a restart they are
	// moves that were cut off, to be begun again.
	Compressing        bool
	CompressionJobID   uint64
	CompressionFailure Failure
	Hydrating          bool
	HydrationSource    Tier
	HydrationTarget    Tier
	HydrationFailure   Failure

	// Warm is the compressed file, or the one that was made last.
	Warm WarmFile
	// Cold is the object in the bucket, valid while Resident has TierCold.
	Cold ColdObject
	// ColdDeleteQueued says that the object is to be deleted: it still can be
	// read, and does not count as a copy any more.
	ColdDeleteQueued bool
	// NextGeneration is the lowest generation that was never used in a key.
	NextGeneration uint32

	extra []byte
}

// QuarantineMark is the last damage found in one copy.
type QuarantineMark struct {
	Tier           Tier
	Reason         Reason
	Offset, Length uint64
	AtNs           int64
}

// Failure is the last failure of a move since it last succeeded. Attempt 0:
// none.
type Failure struct {
	Reason  Reason
	Attempt uint16
}

// WarmFile is the facts of a compressed file.
type WarmFile struct {
	ObjectBytes  uint64
	TailBytes    uint32
	CRC64        uint64 // 0 when it was fetched from an object whose checksum is not known
	DictionaryID uint32
	Subjects     SubjectSummary
}

// ColdObject is the facts of an object in the bucket.
type ColdObject struct {
	Location    Location
	Key         string
	ETag        string
	ObjectBytes uint64
	TailBytes   uint32
	Generation  uint32
}

// Incomplete reports whether damage took records that say what must be known:
// the segment's footer has it.
func (s *Segment) Incomplete() bool {
	return !s.Opened || !s.Sealed && s.Resident&^TierSet(0).With(TierHot) != 0
}

// GoodCopies are the tiers that can be relied on: resident, not quarantined, not
// about to be deleted.
func (s *Segment) GoodCopies() TierSet {
	good := s.Resident &^ s.Quarantined
	if s.ColdDeleteQueued {
		good = good.Without(TierCold)
	}
	return good
}

func (s *Segment) fields(c *codec) {
	field64(c, "segment id", &s.ID)
	c.boolean("opened", &s.Opened)
	field64(c, "base seq", &s.BaseSeq)
	field64(c, "epoch", &s.Epoch)
	field64(c, "salt", &s.Salt)
	field64(c, "opened ts", &s.OpenedNs)
	c.boolean("sealed", &s.Sealed)
	field64(c, "sealed ts", &s.SealedNs)
	field64(c, "index offset", &s.IndexOffset)
	field64(c, "durable bytes", &s.DurableBytes)
	field64(c, "segment crc64", &s.SegmentCRC64)
	field64(c, "first seq", &s.FirstSeq)
	field64(c, "last seq", &s.LastSeq)
	field64(c, "first ts", &s.FirstNs)
	field64(c, "max ts", &s.MaxNs)
	field64(c, "record count", &s.RecordCount)
	field64(c, "last ext_id", &s.LastExtID)
	c.boolean("flush failure", &s.FlushFailure)
	s.moveFields(c)
	s.copyFields(c)
	c.rest(&s.extra)
}

// moveFields is residency and what is under way.
func (s *Segment) moveFields(c *codec) {
	field8(c, "resident tiers", &s.Resident)
	field8(c, "quarantined tiers", &s.Quarantined)
	s.markFields(c)
	for t := TierHot; t < tierCount; t++ {
		field64(c, t.String()+" verified ts", &s.VerifiedNs[t])
	}
	c.boolean("compressing", &s.Compressing)
	field64(c, "compression job id", &s.CompressionJobID)
	field32(c, "compression failure reason", &s.CompressionFailure.Reason)
	field16(c, "compression failure attempt", &s.CompressionFailure.Attempt)
	c.boolean("hydrating", &s.Hydrating)
	field8(c, "hydration source tier", &s.HydrationSource)
	field8(c, "hydration target tier", &s.HydrationTarget)
	field32(c, "hydration failure reason", &s.HydrationFailure.Reason)
	field16(c, "hydration failure attempt", &s.HydrationFailure.Attempt)
}

func (s *Segment) markFields(c *codec) {
	n := len(s.Marks)
	c.count("quarantine marks", &n, 29)
	if c.mode == describing {
		var mark QuarantineMark
		mark.fields(c, "each mark: ")
		return
	}
	if c.mode == decoding && n > 0 {
		s.Marks = make([]QuarantineMark, n)
	}
	for i := range s.Marks {
		s.Marks[i].fields(c, "")
	}
}

func (m *QuarantineMark) fields(c *codec, prefix string) {
	field8(c, prefix+"tier", &m.Tier)
	field32(c, prefix+"reason", &m.Reason)
	field64(c, prefix+"offset", &m.Offset)
	field64(c, prefix+"length", &m.Length)
	field64(c, prefix+"ts", &m.AtNs)
}

// mark replaces the mark of a tier; nil takes it away. The slice may be shared
// with published states.
func (s *Segment) mark(t Tier, mark *QuarantineMark) {
	s.Quarantined = s.Quarantined.Without(t)
	var marks []QuarantineMark
	for _, other := range s.Marks {
		if other.Tier != t {
			marks = append(marks, other)
		}
	}
	if mark != nil {
		s.Quarantined = s.Quarantined.With(t)
		marks = append(marks, *mark)
	}
	s.Marks = marks
}

// copyFields is the facts of the warm and the cold copy.
func (s *Segment) copyFields(c *codec) {
	field64(c, "warm object bytes", &s.Warm.ObjectBytes)
	field32(c, "warm tail bytes", &s.Warm.TailBytes)
	field64(c, "warm crc64", &s.Warm.CRC64)
	field32(c, "dictionary id", &s.Warm.DictionaryID)
	s.Warm.Subjects.fields(c)
	c.location("cold location", &s.Cold.Location)
	c.str("cold key", &s.Cold.Key)
	c.str("cold etag", &s.Cold.ETag)
	field64(c, "cold object bytes", &s.Cold.ObjectBytes)
	field32(c, "cold tail bytes", &s.Cold.TailBytes)
	field32(c, "cold generation", &s.Cold.Generation)
	c.boolean("cold delete queued", &s.ColdDeleteQueued)
	field32(c, "next generation", &s.NextGeneration)
}

// Upload is an object that was announced and is not yet a segment's cold copy or
// a dictionary.
type Upload struct {
	Key        string
	SegmentID  uint64 // 0: no segment's
	Location   Location
	Generation uint32
	StartedNs  int64
	Ordinal    uint64 // of its UploadStarted
	Failure    Failure
	// Confirmed says that the bucket has it (only with segment id 0: it waits for
	// its DictionaryAdded).
	Confirmed bool
	extra     []byte
}

func (u *Upload) fields(c *codec) {
	c.str("key", &u.Key)
	field64(c, "segment id", &u.SegmentID)
	c.location("location", &u.Location)
	field32(c, "generation", &u.Generation)
	field64(c, "started ts", &u.StartedNs)
	field64(c, "ordinal", &u.Ordinal)
	field32(c, "failure reason", &u.Failure.Reason)
	field16(c, "failure attempt", &u.Failure.Attempt)
	c.boolean("confirmed", &u.Confirmed)
	c.rest(&u.extra)
}

// Delete is an object that is to be deleted from the bucket.
type Delete struct {
	Key         string
	SegmentID   uint64
	Location    Location
	NotBeforeNs int64
	QueuedNs    int64
	Ordinal     uint64 // of its Tier2DeleteQueued
	extra       []byte
}

func (d *Delete) fields(c *codec) {
	c.str("key", &d.Key)
	field64(c, "segment id", &d.SegmentID)
	c.location("location", &d.Location)
	field64(c, "not-before ns", &d.NotBeforeNs)
	field64(c, "queued ts", &d.QueuedNs)
	field64(c, "ordinal", &d.Ordinal)
	c.rest(&d.extra)
}

// Dictionary is a compression dictionary of the log.
type Dictionary struct {
	ID       uint32
	Location Location
	Key      string
	CRC64    uint64
	AddedNs  int64
	extra    []byte
}

func (d *Dictionary) fields(c *codec) {
	field32(c, "dictionary id", &d.ID)
	c.location("location", &d.Location)
	c.str("key", &d.Key)
	field64(c, "crc64", &d.CRC64)
	field64(c, "added ts", &d.AddedNs)
	c.rest(&d.extra)
}
