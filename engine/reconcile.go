package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file brings the segment files and the manifest together when a log is
// opened. A file that continues the log is adopted, whatever the end of the
// manifest says; one that contradicts the manifest is put aside, never deleted.

// find reads what each segment file says of itself, and what the manifest says
// of it.
func (r *recovery) find(names []segmentName) error {
	for _, name := range names {
		found, err := r.take(name)
		if err != nil {
			return fmt.Errorf("examine segment %d: %w", name.id, err)
		}
		if found == nil {
			continue
		}
		r.found = append(r.found, found)
		r.log.engine.hot.adopt(found.file.bytes.Load())
	}
	if err := r.adoptCopies(); err != nil {
		return err
	}
	r.addAbsent()
	r.addUnread()
	return nil
}

// take looks at one segment file. It returns nil for a file that is not part
// of the log.
func (r *recovery) take(name segmentName) (*foundSegment, error) {
	state := r.log.journal.state()
	entry := state.Segment(name.id)
	trimmed := name.id < state.Log().NextSegmentID && name.baseSeq <= state.Log().TrimmedTo
	if entry == nil && trimmed {
		return nil, r.quarantineFile(name, "the manifest says that retention removed this segment")
	}
	found, err := r.log.examine(name, entry)
	if err != nil {
		return nil, err
	}
	if entry != nil && entry.Opened && found.file.header.Salt != entry.Salt {
		return nil, r.quarantineFile(name, "its salt is not the one that the manifest has")
	}
	if (entry == nil || !entry.Opened) && found.file.lost == "" {
		return r.adopt(found)
	}
	return found, nil
}

func entryHeader(logID uint64, entry *manifest.Segment) segment.Header {
	return segment.Header{
		LogID: logID, ID: entry.ID, BaseSeq: entry.BaseSeq, Created: entry.OpenedNs, Epoch: entry.Epoch, Salt: entry.Salt,
	}
}

// entryFooter is what the manifest says of a sealed segment, in the terms of
// its footer. IndexBytes is 0: the file's own footer says where the index ends.
func entryFooter(logID uint64, entry *manifest.Segment) *segment.Footer {
	return &segment.Footer{
		LogID: logID, ID: entry.ID, Salt: entry.Salt, Epoch: entry.Epoch, BaseSeq: entry.BaseSeq,
		Count: entry.RecordCount, FirstSeq: entry.FirstSeq, LastSeq: entry.LastSeq,
		FirstTimestamp: entry.FirstNs, MaxTimestamp: entry.MaxNs, LastExtID: entry.LastExtID,
		DurableBytes: entry.DurableBytes, SegmentCRC64: entry.SegmentCRC64, IndexOffset: entry.IndexOffset,
		Flags: segment.FooterSealed,
	}
}

// adopt notes a file in the manifest that continues the log, or puts it aside.
func (r *recovery) adopt(found *foundSegment) (*foundSegment, error) {
	err := r.record(recordsOfFile(found)...)
	var contradiction *manifest.ContradictionError
	if errors.As(err, &contradiction) {
		return nil, r.quarantineFile(found.name, contradiction.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	r.report.Adopted++
	r.unrecorded = r.unrecorded || found.footer != nil
	found.entry = r.log.journal.state().Segment(found.name.id)
	return found, nil
}

// recordsOfFile are what the manifest should have of a segment file that it does
// not know.
func recordsOfFile(found *foundSegment) []manifest.Record {
	opened := openedRecord(found.file.header)
	if entry := found.entry; entry != nil && !entry.Sealed && entry.Resident == 0 && found.footer != nil {
		// Of a segment of which only a later step is known nothing says that it is
		// hot: a seal that comes first does.
		return []manifest.Record{sealedRecord(found.footer), opened}
	}
	return []manifest.Record{opened}
}

// addAbsent adds the segments that the manifest has and no segment file holds:
// their bytes are in other tiers, or lost.
func (r *recovery) addAbsent() {
	for entry := range r.log.journal.state().Segments() {
		have := slices.ContainsFunc(r.found, func(f *foundSegment) bool { return f.name.id == entry.ID })
		if have || !entry.Opened && !entry.Sealed {
			continue
		}
		name := segmentName{id: entry.ID, baseSeq: entry.BaseSeq, created: entry.OpenedNs}
		s := &segmentFile{fs: r.log.engine.opts.FS, path: r.log.paths.segment(name), header: entryHeader(r.log.id, entry)}
		found := &foundSegment{name: name, file: s, entry: entry}
		s.mapped.evicted = true
		if entry.Sealed && entry.Resident.Without(manifest.TierHot) != 0 {
			found.footer = entryFooter(r.log.id, entry)
		} else {
			s.lost = lostFile
		}
		r.found = append(r.found, found)
	}
	slices.SortFunc(r.found, func(a, b *foundSegment) int { return int(int64(a.name.id) - int64(b.name.id)) })
}

// quarantineFile moves a segment file out of the log, with the reason beside it.
func (r *recovery) quarantineFile(name segmentName, reason string) error {
	l := r.log
	fsys, from := l.engine.opts.FS, l.paths.segment(name)
	to := filepath.Join(l.paths.quarantine, fmt.Sprintf("%s.%020d", name, l.now()))
	info, err := fsys.Stat(from)
	if err != nil {
		return fmt.Errorf("quarantine segment file: %w", err)
	}
	if err := vfs.MkdirAllSync(fsys, l.paths.quarantine); err != nil {
		return fmt.Errorf("quarantine segment file: %w", err)
	}
	why := quarantineReason{Reason: reason, Segment: name.id, Bytes: info.Size(), Time: l.engine.opts.Now().UTC()}
	if err := writeJSON(fsys, to+".reason.json", why); err != nil {
		return fmt.Errorf("quarantine segment file: %w", err)
	}
	if err := fsys.Rename(from, to); err != nil {
		return fmt.Errorf("quarantine segment file: %w", err)
	}
	if err := errors.Join(fsys.SyncDir(l.paths.quarantine), fsys.SyncDir(l.paths.segments)); err != nil {
		return fmt.Errorf("quarantine segment file: %w", err)
	}
	r.report.Quarantined = append(r.report.Quarantined, QuarantineReport{Segment: name.id, Path: to, Reason: reason})
	l.emit(Event{Kind: EventSegmentQuarantined, Segment: name.id, Bytes: info.Size(), Err: fmt.Errorf("%w: %s", ErrDamaged, reason)})
	return nil
}
