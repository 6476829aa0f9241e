package manifest

// This file is the transitions of objects in the bucket: announced, confirmed,
// queued for deletion, deleted.

import "math"

func (b *builder) uploadStarted(r *Record, p *UploadStarted) error {
	if open, _ := b.uploads.get(p.Key); open != nil {
		if open.SegmentID != r.SegmentID || open.Location != p.Location || open.Generation != p.Generation {
			return contradiction(ErrConflict, "key %q was announced for segment %d, generation %d", p.Key, open.SegmentID, open.Generation)
		}
		return nil
	}
	if _, queued := b.deletes.get(p.Key); queued {
		return contradiction(ErrConflict, "key %q is to be deleted", p.Key)
	}
	if r.SegmentID != 0 {
		segment, err := b.changeSealed(r.SegmentID)
		if err != nil {
			return err
		}
		if p.Generation == math.MaxUint32 {
			return contradiction(ErrInvalid, "generation %d leaves none for the next", p.Generation)
		}
		if p.Generation < segment.NextGeneration {
			return contradiction(ErrConflict, "generation %d was used, the next one is %d", p.Generation, segment.NextGeneration)
		}
		segment.NextGeneration = p.Generation + 1
		b.put(segment)
	}
	b.uploads.set(b.edit, p.Key, &Upload{Key: p.Key, SegmentID: r.SegmentID, Location: p.Location,
		Generation: p.Generation, StartedNs: r.TimestampNs, Ordinal: r.Ordinal})
	return nil
}

func (b *builder) uploadDone(r *Record, p *UploadDone) error {
	if r.SegmentID == 0 {
		return b.objectConfirmed(p)
	}
	segment, err := b.change(r.SegmentID)
	if err != nil {
		return err
	}
	open, _ := b.uploads.get(p.Key)
	if open == nil || open.SegmentID != r.SegmentID {
		if segment.Resident.Has(TierCold) && segment.Cold.Key == p.Key {
			if segment.Cold.ETag != p.ETag || segment.Cold.ObjectBytes != p.ObjectBytes {
				return contradiction(ErrConflict, "key %q was confirmed with etag %q, %d bytes", p.Key, segment.Cold.ETag, segment.Cold.ObjectBytes)
			}
			return nil
		}
		if err := b.forgive(contradiction(ErrNoIntent, "key %q", p.Key)); err != nil {
			return err
		}
		open = &Upload{Generation: segment.NextGeneration}
		segment.NextGeneration = max(segment.NextGeneration+1, segment.NextGeneration) // stays at the end
	}
	segment.Cold = ColdObject{p.Location, p.Key, p.ETag, p.ObjectBytes, p.TailBytes, open.Generation}
	segment.ColdDeleteQueued = false
	segment.arrive(TierCold)
	b.uploads.remove(b.edit, p.Key)
	b.put(segment)
	return nil
}

// objectConfirmed is UploadDone of an object that is no segment's.
func (b *builder) objectConfirmed(p *UploadDone) error {
	open, _ := b.uploads.get(p.Key)
	if open == nil || open.SegmentID != 0 {
		return b.forgive(contradiction(ErrNoIntent, "key %q", p.Key))
	}
	confirmed := *open
	confirmed.Confirmed, confirmed.Failure = true, Failure{}
	b.uploads.set(b.edit, p.Key, &confirmed)
	return nil
}

func (b *builder) uploadFailed(r *Record, p *UploadFailed) error {
	open, _ := b.uploads.get(p.Key)
	if open == nil || open.SegmentID != r.SegmentID {
		return b.forgive(contradiction(ErrNoIntent, "key %q", p.Key))
	}
	failed := *open
	failed.Failure = Failure{p.Reason, p.Attempt}
	b.uploads.set(b.edit, p.Key, &failed)
	return nil
}

func (b *builder) deleteQueued(r *Record, p *Tier2DeleteQueued) error {
	if queued, _ := b.deletes.get(p.Key); queued != nil {
		if queued.SegmentID != r.SegmentID || queued.Location != p.Location {
			return contradiction(ErrConflict, "key %q was queued for segment %d", p.Key, queued.SegmentID)
		}
		return nil
	}
	if segment, _ := b.segments.get(r.SegmentID); segment != nil && segment.Resident.Has(TierCold) && segment.Cold.Key == p.Key {
		if err := b.checkNotLastCopy(segment, TierCold); err != nil {
			return err
		}
		edited := *segment
		edited.ColdDeleteQueued = true
		b.put(&edited)
	}
	b.uploads.remove(b.edit, p.Key)
	b.deletes.set(b.edit, p.Key, &Delete{Key: p.Key, SegmentID: r.SegmentID, Location: p.Location,
		NotBeforeNs: p.NotBeforeNs, QueuedNs: r.TimestampNs, Ordinal: r.Ordinal})
	return nil
}

func (b *builder) deleted(r *Record, p *Tier2Deleted) error {
	queued, _ := b.deletes.get(p.Key)
	if queued == nil || queued.SegmentID != r.SegmentID {
		if err := b.forgive(contradiction(ErrNoIntent, "key %q", p.Key)); err != nil {
			return err
		}
	}
	b.deletes.remove(b.edit, p.Key)
	if segment, _ := b.segments.get(r.SegmentID); segment != nil && segment.Resident.Has(TierCold) && segment.Cold.Key == p.Key {
		edited := *segment
		edited.Cold, edited.ColdDeleteQueued = ColdObject{}, false
		edited.dropCopy(TierCold)
		b.put(&edited)
	}
	return nil
}

func (b *builder) dictionaryAdded(r *Record, p *DictionaryAdded) error {
	if known, _ := b.dictionaries.get(p.DictionaryID); known != nil {
		if known.Key != p.Key || known.CRC64 != p.CRC64 {
			return contradiction(ErrConflict, "dictionary %d was added with key %q, crc64 %#x", p.DictionaryID, known.Key, known.CRC64)
		}
		return nil
	}
	if p.DictionaryID == 0 {
		return contradiction(ErrInvalid, "dictionary id 0 means none")
	}
	if open, _ := b.uploads.get(p.Key); open == nil || !open.Confirmed {
		if err := b.forgive(contradiction(ErrNoIntent, "key %q is not confirmed", p.Key)); err != nil {
			return err
		}
	}
	b.uploads.remove(b.edit, p.Key)
	b.dictionaries.set(b.edit, p.DictionaryID, &Dictionary{ID: p.DictionaryID, Location: p.Location,
		Key: p.Key, CRC64: p.CRC64, AddedNs: r.TimestampNs})
	return nil
}
