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

// objectTiers are the tiers, nearest first, whose copy of a segment is an
// object that is believed to be good.
func (l *Log) objectTiers(s *segmentFile) []manifest.Tier {
	entry := l.entryOf(s)
	if entry == nil || !entry.Sealed {
		return nil
	}
	good := entry.GoodCopies() &^ manifest.TierSet(s.suspect.Load())
	var tiers []manifest.Tier
	for _, t := range []manifest.Tier{manifest.TierWarm, manifest.TierCold} {
		if good.Has(t) && (t != manifest.TierCold || l.folder != nil) {
			tiers = append(tiers, t)
		}
	}
	return tiers
}

// openObject opens the nearest object of a segment. The error matches ErrDamaged
// if every copy turned out to be damaged or missing, and is the last failure
// otherwise; errNotHot if no tier has one.
func (l *Log) openObject(ctx context.Context, s *segmentFile) (*tier.Object, manifest.Tier, error) {
	failure := errNotHot
	for _, t := range l.objectTiers(s) {
		object, err := l.openObjectIn(ctx, s, t)
		if err == nil {
			return object, t, nil
		}
		if !l.noteBadCopy(s, t, err) {
			return nil, t, fmt.Errorf("open %s copy of segment %d: %w", t, s.id(), err)
		}
		failure = l.badCopy(s, t, err)
	}
	return nil, 0, failure
}

// openObjectIn opens the object in one tier, or returns it from the cache.
func (l *Log) openObjectIn(ctx context.Context, s *segmentFile, t manifest.Tier) (*tier.Object, error) {
	key := objectKey{log: l.id, segment: s.id(), tier: t}
	if object := l.engine.objects.get(key); object != nil {
		return object, nil
	}
	entry := l.entryOf(s)
	source, objectBytes, tailBytes := l.objectSource(entry, t)
	want := tier.Identity{LogID: l.id, SegmentID: s.id(), Salt: entry.Salt}
	object, err := tier.OpenObject(ctx, source, objectBytes, tailBytes, want)
	if err != nil {
		return nil, err
	}
	l.engine.objects.put(key, object)
	return object, nil
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

// noteBadCopy remembers that a copy is damaged or missing, so that readers take
// the next one. It reports false for an error that says nothing about the copy.
func (l *Log) noteBadCopy(s *segmentFile, t manifest.Tier, err error) bool {
	if !isBadCopy(err) {
		return false
	}
	l.engine.objects.drop(objectKey{log: l.id, segment: s.id(), tier: t})
	for {
		old := s.suspect.Load()
		if manifest.TierSet(old).Has(t) {
			return true
		}
		if s.suspect.CompareAndSwap(old, uint32(manifest.TierSet(old).With(t))) {
			break
		}
	}
	l.engine.opts.Logger.Error("copy_damaged", "group", "aof2.tiered", "log", l.name, "segment", s.id(), "tier", t.String(), "error", err)
	l.engine.coordinator.reportDamage(l, s, t, err)
	return true
}

// isBadCopy reports whether an error means that a copy is not what it should be.
func isBadCopy(err error) bool {
	return errors.Is(err, tier.ErrCorrupt) || errors.Is(err, tier.ErrIdentity) || errors.Is(err, ErrDamaged) ||
		errors.Is(err, fs.ErrNotExist) || isColdMissing(err)
}

// badCopy describes a copy of which nothing, or one frame, can be read.
func (l *Log) badCopy(s *segmentFile, t manifest.Tier, err error) *DamageError {
	damage := &DamageError{
		Log: l.name, Segment: s.id(), FirstSeq: s.baseSeq(), LastSeq: s.lastSeq.Load(), Reason: err.Error(),
		Path: l.paths.warmFile(l.entryOf(s)),
	}
	if t == manifest.TierCold {
		damage.Path = l.entryOf(s).Cold.Key
	}
	var corrupt *tier.CorruptError
	if errors.As(err, &corrupt) {
		damage.Offset = corrupt.Offset
		if corrupt.FirstSeq != 0 {
			damage.FirstSeq, damage.LastSeq = corrupt.FirstSeq, corrupt.LastSeq
		}
	}
	return damage
}

// indexOf returns the index of a sealed segment, wherever it lies.
func (l *Log) indexOf(ctx context.Context, s *segmentFile) (index *segment.Index, err error) {
	bytes, err := s.pin()
	if err == nil {
		defer func() { err = joinClose(err, s.unpin()) }()
		return s.index(bytes)
	}
	if !isNotHot(err) {
		return nil, err
	}
	object, _, err := l.openObject(ctx, s)
	if err != nil {
		return nil, err
	}
	return object.Index(), nil
}

// isNotHot reports whether pinning failed because there is no hot file.
func isNotHot(err error) bool { return errors.Is(err, errNotHot) || errors.Is(err, fs.ErrNotExist) }
