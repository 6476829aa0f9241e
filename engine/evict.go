package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/aof-nats/aof-nats/manifest"
)

// errLastCopy says that a copy stays because no other one is known to be good.
var errLastCopy = errors.New("engine: it is the last good copy")

// errNotCold says that a warm copy stays because the cold one is in doubt.
var errNotCold = errors.New("engine: no cold copy is known to be good")

// errPinned says that a copy is in use and stays.
var errPinned = errors.New("engine: the segment is in use")

// evictHot drops the hot file of a segment of which another tier has a verified
// copy: LocalEvicted, then unlink. Readers that come meanwhile read the other
// copy.
func (l *Log) evictHot(ctx context.Context, id uint64) error {
	s := l.segmentByID(id)
	if err := l.checkOther(ctx, s); err != nil {
		return fmt.Errorf("evict segment %d from hot: %w", id, err)
	}
	if !s.retireHot() {
		return errPinned
	}
	if err := l.evict(id, manifest.TierHot, s.bytes.Load()); err != nil {
		s.restoreHot()
		return err
	}
	path := s.path
	if err := l.unlink(path, l.paths.segments); err != nil {
		return fmt.Errorf("evict segment %d from hot: %w", id, err)
	}
	l.engine.hot.giveBack(s.bytes.Swap(0))
	l.engine.reserve.takeBack(l.engine.opts.Logger)
	return nil
}

// checkOther makes sure that the copy is good because of which a hot file may go.
func (l *Log) checkOther(ctx context.Context, s *segmentFile) error {
	switch entry := l.entryOf(s); {
	case trusted(s, entry).Has(manifest.TierWarm):
		err := l.copyWarm(ctx, entry, io.Discard)
		l.noteBadSource(s, err)
		return err
	case trusted(s, entry).Has(manifest.TierCold):
		return l.checkCold(ctx, s)
	}
	return nil // the manifest refuses it
}

// evictWarm drops the warm file of a segment that is verified to be cold.
func (l *Log) evictWarm(ctx context.Context, id uint64) error {
	s, entry := l.segmentByID(id), l.journal.state().Segment(id)
	if !trusted(s, entry).Has(manifest.TierCold) {
		return fmt.Errorf("evict segment %d from warm: %w", id, errNotCold) // it fell into doubt after it was planned
	}
	if err := l.checkCold(ctx, s); err != nil {
		return fmt.Errorf("evict segment %d from warm: %w", id, err)
	}
	bytes := int64(entry.Warm.ObjectBytes)
	if err := l.evict(id, manifest.TierWarm, bytes); err != nil {
		return err
	}
	l.engine.objects.drop(objectKey{log: l.id, segment: id, tier: manifest.TierWarm})
	if err := l.unlink(l.paths.warmFile(entry), l.paths.warm); err != nil {
		return fmt.Errorf("evict segment %d from warm: %w", id, err)
	}
	l.holdWarm(s, 0)
	l.engine.reserve.takeBack(l.engine.opts.Logger)
	return nil
}

// evict records that a local copy goes. The manifest refuses it for the last
// good one.
func (l *Log) evict(id uint64, t manifest.Tier, bytes int64) error {
	if trusted(l.segmentByID(id), l.journal.state().Segment(id)).Without(t) == 0 {
		// A reader found the other copy damaged, which is not recorded yet.
		return fmt.Errorf("evict segment %d from %s: %w", id, t, errLastCopy)
	}
	evicted := manifest.Record{SegmentID: id, Payload: &manifest.LocalEvicted{Tier: t, ReclaimedBytes: uint64(bytes)}}
	if err := l.noteMove(evicted); err != nil {
		return fmt.Errorf("evict segment %d from %s: %w", id, t, err)
	}
	l.emit(Event{Kind: EventSegmentEvicted, Segment: id, Tier: t.String(), Bytes: bytes})
	return nil
}

// unlink removes a file that is recorded as gone, and makes that durable.
func (l *Log) unlink(path, dir string) error {
	if err := l.engine.opts.FS.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.patient().SyncDir(dir)
}

// retireHot keeps readers from mapping the hot file. It reports false while one
// does.
func (s *segmentFile) retireHot() bool {
	s.mapped.Lock()
	defer s.mapped.Unlock()
	if s.mapped.pins > 0 || s.mapped.evicted {
		return false
	}
	s.mapped.evicted = true
	return true
}

func (s *segmentFile) restoreHot() {
	s.mapped.Lock()
	defer s.mapped.Unlock()
	s.mapped.evicted = false
}

// hotPins is how many readers hold the hot file.
func (s *segmentFile) hotPins() int {
	s.mapped.Lock()
	defer s.mapped.Unlock()
	return s.mapped.pins
}
