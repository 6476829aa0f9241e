package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file is how a reader chooses among the copies of a segment, and goes on
// in another one where the one that it reads is damaged.

// copiesFailed is what a reader found of the copies of its segment at the wanted
// sequence.
type copiesFailed struct {
	tiers manifest.TierSet
	// torn are those of which the tail is damaged: what they hold is looked for when
	// no copy is left.
	torn manifest.TierSet
	// damage is the shortest of what was found: behind it one of them goes on.
	damage *DamageError
	// other is a failure that says nothing about the copy.
	other error
}

func (f *copiesFailed) note(t manifest.Tier, damage *DamageError) {
	f.tiers = f.tiers.With(t)
	if damage != nil && (f.damage == nil || damage.LastSeq < f.damage.LastSeq || damage.LastSeq == f.damage.LastSeq && damage.FirstSeq > f.damage.FirstSeq) {
		f.damage = damage
	}
}

// pin makes the best copy of s the reader's source that did not fail yet, and
// goes to the offset that its index gives, or to active while it has none. If no
// copy can be read, the wanted sequence is damage.
func (r *Reader) pin(ctx context.Context, s *segmentFile, seek func(*segment.Index) int64, active int64) error {
	for range copyRounds {
		entry := r.log.entryOf(s)
		for _, t := range r.log.copies(s) {
			if r.failed.tiers.Has(t) {
				continue
			}
			if t == manifest.TierCold && r.opts.near {
				r.failed.note(t, nil)
				r.failed.other = errNotAtHand
				continue
			}
			err := r.openCopy(ctx, s, t, seek, active)
			if err == nil {
				return nil
			}
			if err := r.objectFailed(ctx, s, t, err); err != nil {
				return err
			}
		}
		if r.log.entryOf(s) == entry {
			break
		}
	}
	for _, t := range r.log.copies(s) {
		if !r.failed.torn.Has(t) {
			continue
		}
		r.failed.torn = r.failed.torn.Without(t)
		object, err := r.log.salvageObjectIn(ctx, s, t)
		if err == nil {
			r.takeObject(s, t, object, seek)
			return nil
		}
		if err := r.copyFailed(ctx, s, t, err); err != nil {
			return err
		}
	}
	return r.lose(s)
}

// takeObject makes an object of s the reader's source.
func (r *Reader) takeObject(s *segmentFile, t manifest.Tier, object *tier.Object, seek func(*segment.Index) int64) {
	r.seg, r.object, r.tier, r.bytes, r.start, r.copied = s, object, t, nil, 0, false
	r.look()
	r.offset = max(seek(object.Index()), segment.HeaderBytes)
}

// objectFailed is copyFailed for a copy that was not salvaged yet.
func (r *Reader) objectFailed(ctx context.Context, s *segmentFile, t manifest.Tier, err error) error {
	salvaged := r.object != nil && r.object.Salvaged()
	if err := r.copyFailed(ctx, s, t, err); err != nil {
		return err
	}
	if tier.Salvageable(err) && !salvaged {
		r.failed.torn = r.failed.torn.With(t)
	}
	return nil
}

// copyFailed notes why a copy is not read. It returns the error that ends the
// search.
func (r *Reader) copyFailed(ctx context.Context, s *segmentFile, t manifest.Tier, err error) error {
	bad := r.log.noteBadCopy(s, t, err)
	switch {
	case ctx.Err() != nil:
		r.failed = copiesFailed{}
		return errors.Join(err, r.leave())
	case bad:
		r.failed.note(t, r.log.badCopy(s, t, err))
	case errors.Is(err, errNotHot) || isBadCopy(err):
		// It was evicted: the manifest says where the segment is now.
	default:
		r.failed.note(t, nil)
		r.failed.other = fmt.Errorf("read %s copy of segment %d: %w", t, s.id(), err)
	}
	return r.leave()
}

// lose is how a search ends that found no copy with the wanted sequence. Where
// one of them could not be reached, that is the failure: it may be there.
func (r *Reader) lose(s *segmentFile) error {
	failed := r.failed
	r.failed = copiesFailed{}
	if failed.other != nil {
		return failed.other
	}
	damage := failed.damage
	if damage == nil {
		if entry := r.log.entryOf(s); entry != nil && entry.Resident.Has(manifest.TierCold) && r.log.folder == nil {
			return fmt.Errorf("read segment %d, which is only in the bucket: %w", s.id(), r.log.engine.whyWithoutBucket())
		}
		damage = r.log.lossOf(s, r.want)
		damage.Reason = lostFile
	}
	if damage.LastSeq < r.want {
		shown := *damage
		shown.LastSeq = r.want // the search goes on behind it, whatever was found
		damage = &shown
	}
	return r.skip(damage)
}

// openCopy makes a copy of s the reader's source.
func (r *Reader) openCopy(ctx context.Context, s *segmentFile, t manifest.Tier, seek func(*segment.Index) int64, active int64) error {
	if t != manifest.TierHot {
		object, err := r.log.openObjectIn(ctx, s, t)
		if err != nil {
			return err
		}
		r.takeObject(s, t, object, seek)
		return nil
	}
	bytes, err := s.pin()
	if err != nil {
		return err
	}
	r.seg, r.object, r.tier, r.bytes, r.start, r.copied, r.offset = s, nil, t, bytes, 0, false, active
	r.look()
	if s.seal.Load() == nil {
		return nil
	}
	index, err := s.index(bytes)
	if errors.Is(err, vfs.ErrFault) {
		if err := r.copyFile(); err != nil {
			return err
		}
		index, err = s.index(r.bytes)
	}
	if err != nil {
		return err
	}
	r.offset = max(seek(index), segment.HeaderBytes)
	return nil
}

// another goes on in another copy of the segment, at the same offset. If there
// is none, the shortest damage that was found is reported or skipped, and the
// reader goes on behind it.
func (r *Reader) another(ctx context.Context, s *segmentFile, offset int64) error {
	if err := r.leave(); err != nil {
		return err
	}
	return r.pin(ctx, s, func(*segment.Index) int64 { return offset }, offset)
}

// wasDamaged reports whether what lies at an offset of a sealed segment was
// damaged when it was sealed: then it is so in every copy.
func (r *Reader) wasDamaged(offset int64) bool {
	if r.object != nil || r.seg.seal.Load() == nil {
		return true
	}
	verifies := false
	fault := vfs.Guard(func() { _, verifies = r.seg.indexBlock(r.bytes) })
	index, err := r.seg.index(r.bytes)
	if fault != nil || err != nil || !verifies {
		return false // an index that was built anew knows nothing of that time
	}
	damaged := false
	for _, frame := range index.Frames() {
		if frame.Offset > offset {
			break
		}
		damaged = frame.Damaged
	}
	return damaged
}
