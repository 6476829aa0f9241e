package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// segmentCheck is the check of one segment: of each of its copies by itself, then
// what each finding costs in the light of the others.
type segmentCheck struct {
	log   *logChecker
	id    uint64
	entry *manifest.Segment // nil: the manifest does not have it
	segmentFound
}

// segmentFound is what one look at a segment found.
type segmentFound struct {
	// part says that the segment is part of the log.
	part bool
	// base and last are its sequences, last is base - 1 if it has none. proven is
	// the last one that something proves durable.
	base, last, proven uint64
	// copies counts the copies that were looked at, copyBytes what they take.
	copies    [3]int
	copyBytes [3]int64
	// usable are the tiers whose copy serves records, but for bad ones; unread
	// those among them that were not read.
	usable, unread manifest.TierSet
	bad            [3][]seqRange
	counted        bool
	records        uint64
	dataBytes      int64
	damage, notes  []Finding
}

type seqRange struct{ first, last uint64 }

func (r seqRange) overlaps(f *Finding) bool { return r.first <= f.LastSeq && f.FirstSeq <= r.last }

// checkSegments looks at every segment.
func (l *logChecker) checkSegments() error {
	for _, s := range l.segments {
		if err := s.check(); err != nil {
			return fmt.Errorf("segment %d: %w", s.id, err)
		}
		l.found.Damage = append(l.found.Damage, s.damage...)
		l.found.Notes = append(l.found.Notes, s.notes...)
		l.count(s)
		if s.part {
			l.found.Segments++
		}
	}
	return nil
}

// count adds up what was found of a segment. Its records count once, however many
// copies hold them.
func (l *logChecker) count(s *segmentCheck) {
	l.found.Records += s.records
	l.found.DataBytes += s.dataBytes
	for t := range s.copies {
		l.found.Copies[t] += s.copies[t]
		l.found.CopyBytes[t] += s.copyBytes[t]
	}
	if s.unread.Has(manifest.TierCold) {
		l.found.ColdUnread += s.copies[manifest.TierCold]
	}
}

// sawCopy notes that a copy of so many bytes was looked at.
func (s *segmentCheck) sawCopy(t manifest.Tier, bytes int64) {
	s.copies[t]++
	s.copyBytes[t] += bytes
}

// check looks until nothing is wrong, or until the same is wrong twice: a root in
// use changes while it is read.
func (s *segmentCheck) check() error {
	var before []Finding
	for try := 1; ; try++ {
		if err := s.log.ctx.Err(); err != nil {
			return err
		}
		s.segmentFound, s.entry = segmentFound{}, s.log.state.Segment(s.id)
		if err := s.look(); err != nil {
			return err
		}
		s.settle()
		s.noteMarks()
		if len(s.damage) == 0 || try == checkTries || try > 1 && sameFindings(s.damage, before) {
			return nil
		}
		before = s.damage
		if err := s.log.lookAgain(); err != nil {
			return err
		}
	}
}

// lookAgain reads manifest and folders anew. Damage in them is reported already.
func (l *logChecker) lookAgain() error {
	if _, err := l.readManifest(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.list(false)
}

func (s *segmentCheck) look() error {
	for _, step := range []func() error{s.lookHot, s.lookWarm, s.lookCold} {
		if err := step(); err != nil {
			return err
		}
	}
	entry := s.entry
	if entry == nil {
		return nil
	}
	s.part = s.part || entry.Opened || entry.Sealed
	if entry.Sealed {
		s.base, s.last, s.proven = entry.BaseSeq, entry.LastSeq, entry.LastSeq
		if !s.counted && s.usable != 0 {
			s.records = entry.RecordCount
		}
		s.checkNowhere()
		return nil
	}
	if s.base == 0 { // opened, and no file
		s.base, s.last, s.proven = entry.BaseSeq, entry.BaseSeq-1, entry.BaseSeq-1
	}
	return nil
}

// lookHot looks at the segment files of that id: there should be one.
func (s *segmentCheck) lookHot() error {
	entry := s.entry
	var own *segmentName
	for _, name := range s.log.hot[s.id] {
		path := s.log.paths.segment(name)
		switch {
		case s.log.isTrimmed(name):
			s.note(FoundPending, manifest.TierHot, path, "retention removed this segment")
		case entry != nil && entry.Sealed && !entry.Resident.Has(manifest.TierHot):
			s.note(FoundPending, manifest.TierHot, path, "it was evicted; the next open for writing removes the file")
		case own != nil || entry != nil && entry.Opened && entry.BaseSeq != name.baseSeq:
			s.contradicts(manifest.TierHot, path, "there is another segment file of this id, or the manifest has another base sequence")
		default:
			own = &name
		}
	}
	counts := entry != nil && (entry.Resident.Has(manifest.TierHot) || !entry.Sealed)
	if own == nil {
		if counts {
			s.missing(manifest.TierHot, s.log.paths.hotFile(entry))
		}
		return nil
	}
	s.part = true
	path := s.log.paths.segment(*own)
	s.log.opts.OnProgress(s.log.name, path)
	contents, err := s.log.readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.missing(manifest.TierHot, path)
		return nil
	}
	if err != nil && !isUnreadable(err) {
		return err
	}
	s.sawCopy(manifest.TierHot, int64(len(contents)))
	s.usable = s.usable.With(manifest.TierHot)
	h := &hotCheck{segmentCheck: s, name: *own, path: path, contents: contents}
	if err != nil {
		return h.unreadable(err)
	}
	return h.check()
}

// isUnreadable reports whether an error means that a file's bytes cannot be had.
func isUnreadable(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, vfs.ErrTooLarge)
}

// missing reports a copy that the manifest counts on.
func (s *segmentCheck) missing(t manifest.Tier, path string) {
	entry := s.entry
	last := entry.LastSeq
	if !entry.Sealed {
		last = s.log.lastBelow(s.id, entry.BaseSeq)
		if s.log.baseBehind(s.id) == 0 {
			last = max(last, entry.BaseSeq+segment.RoomLost(0, recordedClose(s.log.state, s.id))-1)
		}
	}
	s.add(t, Finding{Kind: FoundMissing, Path: path, FirstSeq: entry.BaseSeq, LastSeq: last, Reason: "the manifest counts on this copy and it is not there"})
	if !entry.Sealed {
		s.base, s.last, s.proven = entry.BaseSeq, last, last
	}
}

// lastBelow is the last sequence of an unsealed segment of which nothing is left.
func (l *logChecker) lastBelow(id, base uint64) uint64 {
	if next := l.baseBehind(id); next > 0 {
		return next - 1
	}
	closed := segment.Scan(nil, segment.Header{BaseSeq: base}, recordedClose(l.state, id)).LastSeq
	return max(l.state.Log().NextSeq, 1, closed+1) - 1
}

func (s *segmentCheck) note(kind FindingKind, t manifest.Tier, path, reason string) {
	s.notes = append(s.notes, Finding{Kind: kind, Part: partOf(t), Segment: s.id, Path: path, Reason: reason})
}

func (s *segmentCheck) contradicts(t manifest.Tier, path, reason string) {
	s.add(t, Finding{Kind: FoundContradiction, Path: path, Reason: reason})
}

// add reports damage to a copy.
func (s *segmentCheck) add(t manifest.Tier, f Finding) {
	f.Part, f.Segment = partOf(t), s.id
	s.damage = append(s.damage, f)
	if f.costsRecords() {
		s.bad[t] = append(s.bad[t], seqRange{f.FirstSeq, f.LastSeq})
	}
}

// settle says what each finding costs.
func (s *segmentCheck) settle() {
	for i := range s.damage {
		f := &s.damage[i]
		if f.Cost != "" {
			continue
		}
		if f.Cost = CostNone; f.costsRecords() {
			s.settleLoss(f)
		}
	}
}

// settleLoss looks for a copy that holds what is lost here.
func (s *segmentCheck) settleLoss(f *Finding) {
	f.Cost = CostLost
	for _, t := range []manifest.Tier{manifest.TierHot, manifest.TierWarm, manifest.TierCold} {
		bad := slices.ContainsFunc(s.bad[t], func(r seqRange) bool { return r.overlaps(f) })
		if partOf(t) == f.Part || !s.usable.Has(t) || bad {
			continue
		}
		f.Cost, f.RepairFrom, f.RepairUnread = CostRepairable, t.String(), s.unread.Has(t)
		if !f.RepairUnread {
			return
		}
	}
	if only := s.entry != nil && s.entry.Sealed && s.entry.Resident == manifest.TierSet(0).With(manifest.TierHot); only && f.Cost == CostLost {
		f.Reason += "; it is the only copy: the segment stays hot, and nothing from it on becomes cold, until it is mended"
	}
}

// noteMarks notes copies that the manifest has as bad and in which nothing is.
func (s *segmentCheck) noteMarks() {
	if s.entry == nil {
		return
	}
	for _, mark := range s.entry.Marks {
		t := mark.Tier
		if !s.usable.Has(t) || s.unread.Has(t) || slices.ContainsFunc(s.damage, func(f Finding) bool { return f.Part == partOf(t) }) {
			continue
		}
		s.note(FoundPending, t, s.log.paths.dir, "the manifest has the "+t.String()+" copy as bad and it verifies: it counts again when no other copy is good")
	}
}

// lookWarm verifies the warm file.
func (s *segmentCheck) lookWarm() error {
	entry := s.entry
	own := ""
	if entry != nil && entry.Sealed {
		own = filepath.Base(s.log.paths.warmFile(entry))
	}
	for _, name := range s.log.warm[s.id] {
		path := filepath.Join(s.log.paths.warm, name)
		switch {
		case name != own:
			s.note(FoundUnknown, manifest.TierWarm, path, "the manifest has no segment of this name")
		case !entry.Resident.Has(manifest.TierWarm):
			s.note(FoundPending, manifest.TierWarm, path, "the manifest does not count on this file: a compression or an eviction was cut off")
		}
	}
	if own == "" || !entry.Resident.Has(manifest.TierWarm) {
		return nil
	}
	path := filepath.Join(s.log.paths.warm, own)
	if !slices.Contains(s.log.warm[s.id], own) {
		s.missing(manifest.TierWarm, path)
		return nil
	}
	s.sawCopy(manifest.TierWarm, int64(entry.Warm.ObjectBytes))
	s.log.opts.OnProgress(s.log.name, path)
	return s.checkWarm(path)
}
