package manifest

// This file is the transitions between local tiers: compression and hydration.

func (b *builder) compressionStarted(r *Record, p *CompressionStarted) error {
	segment, err := b.changeSealed(r.SegmentID)
	if err != nil {
		return err
	}
	segment.Compressing, segment.CompressionJobID = true, p.JobID
	b.put(segment)
	return nil
}

// compressionDone does not ask for a CompressionStarted: a complete warm file
// that recovery finds is adopted.
func (b *builder) compressionDone(r *Record, p *CompressionDone) error {
	segment, err := b.changeSealed(r.SegmentID)
	if err != nil {
		return err
	}
	segment.Compressing, segment.CompressionJobID, segment.CompressionFailure = false, 0, Failure{}
	segment.Warm = WarmFile{p.ObjectBytes, p.TailBytes, p.WarmCRC64, p.DictionaryID, p.Subjects}
	segment.Warm.Subjects.Data = copied(p.Subjects.Data)
	segment.arrive(TierWarm)
	b.put(segment)
	return nil
}

// arrive notes a new, verified copy.
func (s *Segment) arrive(t Tier) {
	s.dropCopy(t)
	s.Resident = s.Resident.With(t)
}

func (b *builder) compressionFailed(r *Record, p *CompressionFailed) error {
	segment, err := b.changeSealed(r.SegmentID)
	if err != nil {
		return err
	}
	segment.Compressing, segment.CompressionJobID = false, 0
	segment.CompressionFailure = Failure{p.Reason, p.Attempt}
	b.put(segment)
	return nil
}

func (b *builder) hydrationStarted(r *Record, p *HydrationStarted) error {
	if p.Target != TierHot && p.Target != TierWarm || p.Source >= tierCount || p.Source == p.Target {
		return contradiction(ErrInvalid, "from %s to %s", p.Source, p.Target)
	}
	segment, err := b.changeSealed(r.SegmentID)
	if err != nil {
		return err
	}
	if !segment.Resident.Has(p.Source) {
		if err := b.forgive(contradiction(ErrConflict, "%s does not hold it", p.Source)); err != nil {
			return err
		}
	}
	segment.Hydrating, segment.HydrationSource, segment.HydrationTarget = true, p.Source, p.Target
	b.put(segment)
	return nil
}

func (b *builder) hydrationDone(r *Record, p *HydrationDone) error {
	segment, err := b.change(r.SegmentID)
	if err != nil {
		return err
	}
	if !segment.Hydrating {
		// Without the HydrationStarted nobody knows which tier it went to.
		return b.forgive(contradiction(ErrNoIntent, ""))
	}
	if segment.HydrationTarget == TierWarm && segment.HydrationSource == TierCold {
		if segment.Warm.ObjectBytes != p.ResidentBytes || segment.Warm.TailBytes != segment.Cold.TailBytes {
			segment.Warm.CRC64 = 0 // the object was adopted: other compressed bytes
		}
		segment.Warm.ObjectBytes, segment.Warm.TailBytes = p.ResidentBytes, segment.Cold.TailBytes
	}
	segment.arrive(segment.HydrationTarget)
	segment.endHydration(Failure{})
	b.put(segment)
	return nil
}

func (b *builder) hydrationFailed(r *Record, p *HydrationFailed) error {
	segment, err := b.changeSealed(r.SegmentID)
	if err != nil {
		return err
	}
	if !segment.Hydrating {
		return b.forgive(contradiction(ErrNoIntent, ""))
	}
	segment.endHydration(Failure{p.Reason, p.Attempt})
	b.put(segment)
	return nil
}

func (s *Segment) endHydration(failure Failure) {
	s.Hydrating, s.HydrationSource, s.HydrationTarget = false, 0, 0
	s.HydrationFailure = failure
}
