package manifest

// This file is what State knows of the log as a whole.

import "slices"

// LogState is the part of State that is not about one segment. Nothing in it is
// ever set back by replay.
type LogState struct {
	// NextSeq is at least 1 + the last sequence of every sealed segment, and not
	// below the base of any. The log itself may be ahead.
	NextSeq uint64
	// NextSegmentID is 1 + the highest id seen.
	NextSegmentID uint64
	// TrimmedTo is the last sequence that retention removed; 0: none.
	TrimmedTo uint64
	// LastNs is the timestamp of the last record as of the last snapshot, MaxNs
	// the largest of any.
	LastNs, MaxNs int64
	LastExtID     uint64
	// Epoch and Owner are those of the last OwnerChanged.
	Epoch uint64
	Owner string
	// DedupWindowNs and DedupMaxIDs are the settings as of the last snapshot.
	DedupWindowNs int64
	DedupMaxIDs   uint64
	// LastSnapshotID is the highest id of a snapshot that was recorded.
	LastSnapshotID uint64
	// UnknownRecords counts records of types that a newer version added.
	UnknownRecords uint64
	// Closed says that nothing came after a LogClosed, whose content follows.
	Closed           bool
	ClosedSegmentID  uint64
	ClosedMarkOffset uint64
	ThrottleReason   Reason // of the last Tier2Throttle
	ThrottleRetryMs  uint64
	ThrottleNs       int64 // when it was recorded; 0: never
	UploadedChunks   []IndexRange
	extra            []byte
}

// IndexRange is the chunk indexes from First to Last, both included.
type IndexRange struct{ First, Last uint64 }

// ChunkIsUploaded reports whether the bucket has a chunk, as far as is recorded.
func (s *LogState) ChunkIsUploaded(index uint64) bool {
	return slices.ContainsFunc(s.UploadedChunks, func(r IndexRange) bool { return r.First <= index && index <= r.Last })
}

// addUploadedChunk keeps the ranges sorted, disjoint and as few as possible. The
// slice may be shared with published states: it is replaced.
func (s *LogState) addUploadedChunk(index uint64) {
	if s.ChunkIsUploaded(index) {
		return
	}
	ranges := append(slices.Clone(s.UploadedChunks), IndexRange{index, index})
	slices.SortFunc(ranges, func(a, b IndexRange) int {
		if a.First < b.First {
			return -1
		}
		return 1
	})
	merged := ranges[:1]
	for _, r := range ranges[1:] {
		if last := &merged[len(merged)-1]; last.Last+1 == r.First {
			last.Last = r.Last
		} else {
			merged = append(merged, r)
		}
	}
	s.UploadedChunks = merged
}

// raise takes over what the log itself knows better, and sets nothing back.
func (s *LogState) raise(live LogState) {
	if live.NextSeq >= s.NextSeq && live.LastNs != 0 {
		s.LastNs = live.LastNs
	}
	s.NextSeq = max(s.NextSeq, live.NextSeq)
	s.NextSegmentID = max(s.NextSegmentID, live.NextSegmentID)
	s.TrimmedTo = max(s.TrimmedTo, live.TrimmedTo)
	s.MaxNs = max(s.MaxNs, live.MaxNs)
	s.LastExtID = max(s.LastExtID, live.LastExtID)
	if live.Epoch > s.Epoch {
		s.Epoch, s.Owner = live.Epoch, live.Owner
	}
	if live.DedupWindowNs != 0 {
		s.DedupWindowNs = live.DedupWindowNs
	}
	if live.DedupMaxIDs != 0 {
		s.DedupMaxIDs = live.DedupMaxIDs
	}
}

func (s *LogState) fields(c *codec) {
	field64(c, "next seq", &s.NextSeq)
	field64(c, "next segment id", &s.NextSegmentID)
	field64(c, "trimmed-to seq", &s.TrimmedTo)
	field64(c, "last ts", &s.LastNs)
	field64(c, "max ts", &s.MaxNs)
	field64(c, "last ext_id", &s.LastExtID)
	field64(c, "epoch", &s.Epoch)
	c.str("owner name", &s.Owner)
	field64(c, "dedup window ns", &s.DedupWindowNs)
	field64(c, "dedup max ids", &s.DedupMaxIDs)
	field64(c, "last snapshot id", &s.LastSnapshotID)
	field64(c, "unknown records", &s.UnknownRecords)
	c.boolean("closed", &s.Closed)
	field64(c, "closed segment id", &s.ClosedSegmentID)
	field64(c, "closed mark offset", &s.ClosedMarkOffset)
	field32(c, "throttle reason", &s.ThrottleReason)
	field64(c, "throttle retry-after ms", &s.ThrottleRetryMs)
	field64(c, "throttle ts", &s.ThrottleNs)
	s.rangeFields(c)
	c.rest(&s.extra)
}

func (s *LogState) rangeFields(c *codec) {
	n := len(s.UploadedChunks)
	c.count("uploaded chunk ranges", &n, 16)
	if c.mode == describing {
		c.fields = append(c.fields, Field{Type: "u64", Name: "each range: first chunk index"},
			Field{Type: "u64", Name: "each range: last chunk index"})
		return
	}
	if c.mode == decoding && n > 0 {
		s.UploadedChunks = make([]IndexRange, n)
	}
	for i := range s.UploadedChunks {
		field64(c, "first chunk index", &s.UploadedChunks[i].First)
		field64(c, "last chunk index", &s.UploadedChunks[i].Last)
	}
}
