package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file finds a sealed segment's bytes: the manifest says which tiers hold
// them, and readers take the nearest copy that is good.

// errNotHot says that a segment has no hot file to map.
var errNotHot = errors.New("engine: the segment is not in the hot tier")

// entryOf is what the manifest says of a segment, nil if nothing.
func (l *Log) entryOf(s *segmentFile) *manifest.Segment { return l.journal.state().Segment(s.id()) }

// trusted are the copies of a segment that are believed to be good.
func trusted(s *segmentFile, entry *manifest.Segment) manifest.TierSet {
	return entry.GoodCopies() &^ s.doubt.copies()
}

// copies are the tiers to read a segment from: the nearest first, those whose
// copy is believed to be damaged last, for what only they may still have.
func (l *Log) copies(s *segmentFile) []manifest.Tier {
	entry := l.entryOf(s)
	if entry == nil || !entry.Sealed {
		return []manifest.Tier{manifest.TierHot}
	}
	good := trusted(s, entry)
	var tiers []manifest.Tier
	for _, set := range []manifest.TierSet{good, entry.Resident &^ good} {
		for _, t := range []manifest.Tier{manifest.TierHot, manifest.TierWarm, manifest.TierCold} {
			if set.Has(t) && (t != manifest.TierCold || l.folder != nil) {
				tiers = append(tiers, t)
			}
		}
	}
	return tiers
}

// openObjectIn opens the object in one tier, or returns it from the cache.
func (l *Log) openObjectIn(ctx context.Context, s *segmentFile, t manifest.Tier) (*tier.Object, error) {
	entry := l.entryOf(s)
	if entry == nil {
		return nil, errNotHot
	}
	key := l.objectKey(entry, t)
	if object := l.engine.objects.get(key); object != nil {
		return object, nil
	}
	source, objectBytes, tailBytes := l.objectSource(entry, t)
	want := tier.Identity{LogID: l.id, SegmentID: s.id(), Salt: entry.Salt}
	object, err := tier.OpenObject(ctx, source, objectBytes, tailBytes, want)
	if err != nil {
		return nil, err
	}
	l.engine.objects.put(key, object)
	l.engine.objects.drop(key.ofSalvaged())
	s.doubt.settle(t, placeWhole)
	return object, nil
}

// salvageObjectIn opens the object in one tier of which the tail is damaged, or
// returns it from the cache. What is read of it does not make the copy a good one.
func (l *Log) salvageObjectIn(ctx context.Context, s *segmentFile, t manifest.Tier) (*tier.Object, error) {
	entry := l.entryOf(s)
	if entry == nil {
		return nil, errNotHot
	}
	key := l.objectKey(entry, t).ofSalvaged()
	if object := l.engine.objects.get(key); object != nil {
		return object, nil
	}
	source, objectBytes, _ := l.objectSource(entry, t)
	object, err := tier.SalvageObject(ctx, source, objectBytes, *entryFooter(l.id, entry))
	if err != nil {
		return nil, err
	}
	l.engine.objects.put(key, object)
	return object, nil
}

// objectKey names the object in a tier as it is now.
func (l *Log) objectKey(entry *manifest.Segment, t manifest.Tier) objectKey {
	key := objectKey{log: l.id, segment: entry.ID, tier: t}
	if t == manifest.TierCold {
		key.generation = entry.Cold.Generation
	}
	return key
}

// objectSource is where the object in a tier is read from.
func (l *Log) objectSource(entry *manifest.Segment, t manifest.Tier) (source tier.RangeReader, objectBytes, tailBytes int64) {
	if t == manifest.TierCold {
		cold := &entry.Cold
		return &coldSource{folder: l.folder, key: cold.Key}, int64(cold.ObjectBytes), int64(cold.TailBytes)
	}
	return &warmSource{fs: l.engine.opts.FS, path: l.paths.warmFile(entry)}, int64(entry.Warm.ObjectBytes), int64(entry.Warm.TailBytes)
}

// warmSource reads a warm file. It opens it for each range: objects stay open
// for as long as their index is cached, descriptors need not.
type warmSource struct {
	fs   vfs.FS
	path string
}

// ReadRange implements tier.RangeReader.
func (w *warmSource) ReadRange(ctx context.Context, offset, length int64) (b []byte, err error) {
	file, err := w.fs.Open(w.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, file.Close()) }()
	return tier.NewFileReader(file).ReadRange(ctx, offset, length)
}

// noteBadCopy remembers that a copy is damaged or missing, so that readers
// prefer the others and nothing counts on it. It reports false for an error that
// says nothing about the copy, and for one of a copy that was evicted meanwhile.
func (l *Log) noteBadCopy(s *segmentFile, t manifest.Tier, err error) bool {
	entry := l.entryOf(s)
	if !isBadCopy(err) {
		return false
	}
	if entry != nil {
		l.engine.objects.drop(l.objectKey(entry, t))
	}
	if !l.isResident(s, t) {
		return false
	}
	if !s.doubt.note(t, err) {
		return true
	}
	l.tellBadCopy(s, t, err)
	return true
}

// tellBadCopy says that a copy fell into doubt, and has it looked at.
func (l *Log) tellBadCopy(s *segmentFile, t manifest.Tier, err error) {
	l.engine.opts.Logger.Error("copy_damaged", "group", "aof2.tiered", "log", l.name, "segment", s.id(), "tier", t.String(), "error", err)
	l.engine.coordinator.reportDamage(l, s, t, err)
}

// isResident reports whether a segment still has a copy in a tier. What a
// read-only log knows may be old: its owner goes on moving segments.
func (l *Log) isResident(s *segmentFile, t manifest.Tier) bool {
	if l.engine.readOnly && !l.engine.bucketOnly {
		if _, err := l.journal.load(); err != nil {
			l.engine.opts.Logger.Warn("manifest_not_read", "group", "aof2.manifest", "log", l.name, "error", err)
		}
	}
	entry := l.entryOf(s)
	return entry == nil && t == manifest.TierHot || entry != nil && entry.Resident.Has(t)
}

// isBadCopy reports whether an error means that a copy is not what it should be.
func isBadCopy(err error) bool {
	return errors.Is(err, tier.ErrCorrupt) || errors.Is(err, tier.ErrIdentity) || errors.Is(err, ErrDamaged) ||
		errors.Is(err, fs.ErrNotExist) || isColdMissing(err)
}

// badCopy describes a copy of which nothing, or one frame, can be read.
func (l *Log) badCopy(s *segmentFile, t manifest.Tier, err error) *DamageError {
	damage := l.lossOf(s, s.baseSeq())
	damage.Path, damage.Reason = l.copyPath(s, t), err.Error()
	var corrupt *tier.CorruptError
	if errors.As(err, &corrupt) {
		damage.Offset = corrupt.Offset
		if corrupt.FirstSeq != 0 {
			damage.FirstSeq, damage.LastSeq = corrupt.FirstSeq, corrupt.LastSeq
		}
	}
	return damage
}

// copyPath is where a copy lies: a path, or a key in the bucket.
func (l *Log) copyPath(s *segmentFile, t manifest.Tier) string {
	entry := l.entryOf(s)
	switch {
	case entry == nil || t == manifest.TierHot:
		return s.path
	case t == manifest.TierWarm:
		return l.paths.warmFile(entry)
	default:
		return l.folder.Name() + "/" + entry.Cold.Key
	}
}

// indexOf returns the index of a sealed segment, from the nearest copy that has
// it. The error matches ErrDamaged if none has, and errNotAtHand if only one does
// that is farther than far.
func (l *Log) indexOf(ctx context.Context, s *segmentFile, far *reach) (*segment.Index, error) {
	var failure error
	var torn manifest.TierSet
	farther := false
	for range copyRounds {
		entry := l.entryOf(s)
		for _, t := range l.copies(s) {
			if t == manifest.TierCold && !far.bucket {
				farther = true
				continue
			}
			index, err := l.indexIn(ctx, s, t)
			if err == nil {
				return index, nil
			}
			failure = fmt.Errorf("read index of segment %d from its %s copy: %w", s.id(), t, err)
			if l.noteBadCopy(s, t, err) {
				failure = l.badCopy(s, t, err)
			}
			if tier.Salvageable(err) {
				torn = torn.With(t)
			}
		}
		if l.entryOf(s) == entry {
			break
		}
	}
	for _, t := range l.copies(s) {
		entry := l.entryOf(s)
		if !torn.Has(t) || entry == nil {
			continue
		}
		if _, objectBytes, _ := l.objectSource(entry, t); far.spend(objectBytes) != nil { // it may be read whole
			farther = true
			continue
		}
		if object, err := l.salvageObjectIn(ctx, s, t); err == nil {
			return object.Index(), nil
		}
	}
	switch {
	case farther:
		failure = fmt.Errorf("segment %d: %w", s.id(), errNotAtHand)
	case failure == nil:
		failure = l.lossOf(s, s.baseSeq())
	}
	return nil, failure
}

// copyRounds bounds how often the copies of a segment are looked for again
// because they were moved while they were tried.
const copyRounds = 8

func (l *Log) indexIn(ctx context.Context, s *segmentFile, t manifest.Tier) (index *segment.Index, err error) {
	if t != manifest.TierHot {
		object, err := l.openObjectIn(ctx, s, t)
		if err != nil {
			return nil, err
		}
		return object.Index(), nil
	}
	bytes, err := s.pin()
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, s.unpin()) }()
	return s.index(bytes)
}

// isNotHot reports whether pinning failed because there is no hot file.
func isNotHot(err error) bool { return errors.Is(err, errNotHot) || errors.Is(err, fs.ErrNotExist) }
