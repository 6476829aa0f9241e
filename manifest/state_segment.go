package manifest

// This file is the transitions of a segment on the local disk: opened, sealed,
// verified, quarantined, evicted.

func (b *builder) segmentOpened(r *Record, p *SegmentOpened) error {
	if known, _ := b.segments.get(r.SegmentID); known != nil && known.Opened {
		if known.BaseSeq != p.BaseSeq || known.Epoch != p.Epoch || known.Salt != p.Salt {
			return contradiction(ErrConflict, "opened before with base %d, epoch %d, salt %#x", known.BaseSeq, known.Epoch, known.Salt)
		}
		return nil
	}
	if p.BaseSeq == 0 {
		return contradiction(ErrInvalid, "sequences begin at 1")
	}
	segment := &Segment{ID: r.SegmentID, Resident: TierSet(0).With(TierHot)}
	if stub, found := b.segments.get(r.SegmentID); found {
		*segment = *stub
	}
	if err := b.checkOrder(r.SegmentID, p.BaseSeq, p.BaseSeq); err != nil {
		return err
	}
	segment.Opened, segment.OpenedNs = true, r.TimestampNs
	segment.BaseSeq, segment.Epoch, segment.Salt = p.BaseSeq, p.Epoch, p.Salt
	b.log.NextSeq = max(b.log.NextSeq, p.BaseSeq)
	b.put(segment)
	return nil
}

// checkOrder makes sure that a segment lies between its neighbors. endSeq is
// 1 + its last sequence, or its base while that is not known.
func (b *builder) checkOrder(id, baseSeq, endSeq uint64) error {
	before, after := b.segments.neighbors(id)
	if before != nil {
		if s := before.value; baseSeq < s.BaseSeq || s.Sealed && baseSeq <= s.LastSeq && s.LastSeq >= s.BaseSeq {
			return contradiction(ErrConflict, "base %d lies before the end of segment %d", baseSeq, s.ID)
		}
	}
	if after != nil {
		if s := after.value; s.Opened && endSeq > s.BaseSeq {
			return contradiction(ErrConflict, "end %d lies behind base %d of segment %d", endSeq, s.BaseSeq, s.ID)
		}
	}
	return nil
}

func (b *builder) sealSegment(r *Record, p *SealSegment) error {
	segment, err := b.change(r.SegmentID)
	if err != nil {
		return err
	}
	if segment.Sealed {
		if segment.LastSeq != p.LastSeq || segment.RecordCount != p.RecordCount || segment.SegmentCRC64 != p.SegmentCRC64 {
			return contradiction(ErrConflict, "sealed before with last seq %d, %d records, crc64 %#x", segment.LastSeq, segment.RecordCount, segment.SegmentCRC64)
		}
		return nil
	}
	if !segment.Opened {
		segment.BaseSeq = p.FirstSeq
	}
	if p.FirstSeq < segment.BaseSeq || p.LastSeq+1 < p.FirstSeq || p.RecordCount > p.LastSeq+1-p.FirstSeq || p.LastSeq+1 == 0 {
		return contradiction(ErrInvalid, "%d records from %d to %d in a segment with base %d", p.RecordCount, p.FirstSeq, p.LastSeq, segment.BaseSeq)
	}
	if err := b.checkOrder(r.SegmentID, segment.BaseSeq, p.LastSeq+1); err != nil {
		return err
	}
	segment.seal(r, p)
	b.log.NextSeq = max(b.log.NextSeq, p.LastSeq+1)
	b.log.LastExtID = max(b.log.LastExtID, p.LastExtID)
	if p.RecordCount > 0 {
		b.log.MaxNs = max(b.log.MaxNs, p.MaxNs)
	}
	b.put(segment)
	return nil
}

func (s *Segment) seal(r *Record, p *SealSegment) {
	if !s.Opened && s.Resident == 0 {
		s.Resident = s.Resident.With(TierHot)
	}
	s.Sealed, s.SealedNs, s.IndexOffset = true, r.TimestampNs, r.LogicalOffset
	s.DurableBytes, s.SegmentCRC64 = p.DurableBytes, p.SegmentCRC64
	s.FirstSeq, s.LastSeq, s.RecordCount = p.FirstSeq, p.LastSeq, p.RecordCount
	s.FirstNs, s.MaxNs = p.FirstNs, p.MaxNs
	s.LastExtID, s.FlushFailure = p.LastExtID, p.FlushFailure
}

func (b *builder) segmentVerified(r *Record, p *SegmentVerified) error {
	if p.Tier >= tierCount {
		return contradiction(ErrInvalid, "there is no %s", p.Tier)
	}
	segment, err := b.change(r.SegmentID)
	if err != nil {
		return err
	}
	segment.good(p.Tier, r.TimestampNs)
	b.put(segment)
	return nil
}

// good notes that a tier's copy verified.
func (s *Segment) good(t Tier, atNs int64) {
	s.VerifiedNs[t] = max(s.VerifiedNs[t], atNs)
	s.mark(t, nil)
}

func (b *builder) segmentQuarantined(r *Record, p *SegmentQuarantined) error {
	if p.Tier >= tierCount {
		return contradiction(ErrInvalid, "there is no %s", p.Tier)
	}
	segment, err := b.change(r.SegmentID)
	if err != nil {
		return err
	}
	segment.mark(p.Tier, &QuarantineMark{p.Tier, p.Reason, p.Offset, p.Length, r.TimestampNs})
	b.put(segment)
	return nil
}

func (b *builder) localEvicted(r *Record, p *LocalEvicted) error {
	if p.Tier != TierHot && p.Tier != TierWarm {
		return contradiction(ErrInvalid, "%s is not a local tier", p.Tier)
	}
	segment, err := b.changeSealed(r.SegmentID)
	if err != nil {
		return err
	}
	if !segment.Resident.Has(p.Tier) {
		return nil
	}
	if err := b.checkNotLastCopy(segment, p.Tier); err != nil {
		return err
	}
	segment.dropCopy(p.Tier)
	b.put(segment)
	return nil
}

// checkNotLastCopy refuses to drop a tier's copy when records would be left
// without a good one.
func (b *builder) checkNotLastCopy(s *Segment, t Tier) error {
	if b.isTrimmed(s) || s.GoodCopies().Without(t) != 0 {
		return nil
	}
	return b.forgive(contradiction(ErrLastCopy, "good copies: %s", s.GoodCopies()))
}

func (s *Segment) dropCopy(t Tier) {
	s.Resident = s.Resident.Without(t)
	s.mark(t, nil)
	s.VerifiedNs[t] = 0
}
