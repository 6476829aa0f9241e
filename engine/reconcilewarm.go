package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// reconcileCopies compares the copies that the manifest counts on with the
// files that are there, and takes what is not as lost.
func (r *recovery) reconcileCopies() error {
	warm, state := r.warm, r.log.journal.state()
	gone := goneCopies{dropped: make(map[uint64]manifest.TierSet), evicted: r.incomplete != "" || r.report.Manifest.Cut != nil}
	for _, found := range r.found {
		entry := state.Segment(found.name.id)
		if entry == nil || !entry.Sealed {
			continue
		}
		name := filepath.Base(r.log.paths.warmFile(entry))
		if entry.Resident.Has(manifest.TierWarm) {
			if bytes, there := warm[name]; there && bytes == int64(entry.Warm.ObjectBytes) {
				r.log.holdWarm(found.file, bytes)
			} else {
				gone.add(found.file, entry, manifest.TierWarm)
			}
			delete(warm, name)
		}
		if entry.Resident.Has(manifest.TierHot) && found.file.mapped.evicted {
			gone.add(found.file, entry, manifest.TierHot)
		}
	}
	if err := r.recordGone(&gone); err != nil {
		return err
	}
	return r.quarantineWarm(warm)
}

// goneCopies are copies that the manifest counts on and that are not there.
// Where another copy is good, that is recorded; the last one that was believed to
// be good is only told of: it may be back at the next open.
type goneCopies struct {
	// evicted says that the manifest lost records, or its end, which damage may have
	// made look like a torn write: of a copy that was evicted it may lack just that.
	evicted bool
	// dropped are the copies that records say the eviction of, by segment.
	dropped map[uint64]manifest.TierSet
	records []manifest.Record
	events  []Event
}

func (g *goneCopies) add(s *segmentFile, entry *manifest.Segment, t manifest.Tier) {
	if entry.Quarantined.Has(t) {
		return
	}
	event := Event{
		Kind: EventSegmentQuarantined, Segment: entry.ID, Tier: t.String(), Reason: manifest.ReasonObjectMissing,
		Err: fmt.Errorf("%w: the %s copy is missing", ErrDamaged, t),
	}
	s.doubt.note(t, event.Err)
	switch {
	case trusted(s, entry)&^g.dropped[entry.ID] == 0:
		event.Kind = EventSegmentSuspected
	case g.evicted:
		g.records = append(g.records, manifest.Record{SegmentID: entry.ID, Payload: &manifest.LocalEvicted{Tier: t}})
		g.dropped[entry.ID] |= manifest.TierSet(0).With(t)
		s.doubt.trust(t)
		event = Event{Kind: EventSegmentEvicted, Segment: entry.ID, Tier: t.String()}
	default:
		g.records = append(g.records, manifest.Record{
			SegmentID: entry.ID, Payload: &manifest.SegmentQuarantined{Tier: t, Reason: event.Reason},
		})
	}
	g.events = append(g.events, event)
}

// recordGone records and tells what is gone.
func (r *recovery) recordGone(gone *goneCopies) error {
	if len(gone.records) > 0 {
		if err := r.log.journal.record(gone.records...); err != nil {
			return fmt.Errorf("record missing copies: %w", err)
		}
	}
	for _, event := range gone.events {
		r.log.emit(event)
	}
	return nil
}

// listWarm returns the lengths of the warm files by name, and sweeps those that
// were being made.
func (r *recovery) listWarm() (map[string]int64, error) {
	fsys, dir := r.log.engine.opts.FS, r.log.paths.warm
	if err := settleNames(fsys, dir); err != nil {
		return nil, err
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list warm files: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), temporarySuffix) {
			continue
		}
		if err := r.log.unlink(filepath.Join(dir, entry.Name()), dir); err != nil {
			return nil, fmt.Errorf("sweep %s: %w", entry.Name(), err)
		}
	}
	return r.warmLengths(entries)
}

// warmLengths returns the lengths of the warm files in a directory by name.
func (r *recovery) warmLengths(entries []fs.DirEntry) (map[string]int64, error) {
	fsys, dir := r.log.engine.opts.FS, r.log.paths.warm
	warm := make(map[string]int64)
	for _, entry := range entries {
		if _, ok := tier.ParseWarmName(entry.Name()); !ok {
			continue
		}
		info, err := fsys.Stat(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // evicted since the list, while a read-only log looks
		}
		if err != nil {
			return nil, fmt.Errorf("list warm files: %w", err)
		}
		warm[entry.Name()] = info.Size()
	}
	return warm, nil
}

// quarantineWarm puts warm files aside that belong to no segment that the
// manifest has.
func (r *recovery) quarantineWarm(unknown map[string]int64) error {
	l := r.log
	fsys := l.engine.opts.FS
	for name, bytes := range unknown {
		to := filepath.Join(l.paths.quarantine, fmt.Sprintf("%s.%020d", name, l.now()))
		if err := vfs.MkdirAllSync(fsys, l.paths.quarantine); err != nil {
			return fmt.Errorf("quarantine warm file: %w", err)
		}
		reason := quarantineReason{Reason: "the manifest has no segment of this name", Bytes: bytes, Time: l.engine.opts.Now().UTC()}
		if why := r.refused[name]; why != "" {
			reason.Reason = why
		}
		if err := writeJSON(fsys, to+".reason.json", reason); err != nil {
			return fmt.Errorf("quarantine warm file: %w", err)
		}
		if err := fsys.Rename(filepath.Join(l.paths.warm, name), to); err != nil {
			return fmt.Errorf("quarantine warm file: %w", err)
		}
		if err := errors.Join(fsys.SyncDir(l.paths.quarantine), fsys.SyncDir(l.paths.warm)); err != nil {
			return fmt.Errorf("quarantine warm file: %w", err)
		}
		r.report.Quarantined = append(r.report.Quarantined, QuarantineReport{Path: to, Reason: reason.Reason})
	}
	return nil
}
