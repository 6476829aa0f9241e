package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file finds what a read-only log should hold and no copy has: by the rules
// of recovery, changing nothing. A reader is to meet it as damage, never as the
// end of the log or as trimmed.

// survey is what a read-only log finds to be its segments.
type survey struct {
	// names are the segment files, and the segments of absent, in order.
	names []segmentName
	// absent are the segments that the manifest has and no copy holds.
	absent map[uint64]*manifest.Segment
	// contradicting are the segment files that are not part of the log.
	contradicting []QuarantineReport
	// found is how the manifest was read; incomplete is why it may lack records.
	found      *manifest.Recovery
	incomplete string
	// looked is what was found in other copies in place of what the manifest lost,
	// nil if nothing speaks for that.
	looked *assumption
}

// evidence is what segments say of a manifest that lost records and looks whole.
type evidence struct {
	// ordinal is of a record that the manifest had when a footer was written.
	ordinal uint64
	// gap says that sequences are in no segment.
	gap bool
}

// survey lists the segment files and compares them with the manifest. A writer may
// be at work.
func (l *Log) survey(lacking evidence) (*survey, error) {
	files, err := l.segmentFiles()
	if err != nil {
		return nil, err
	}
	// After the list: what is recorded of a file that is in it is not older.
	now := &survey{absent: make(map[uint64]*manifest.Segment)}
	if now.found, err = l.journal.load(); err != nil {
		return nil, err
	}
	if err := now.takeFiles(l, files); err != nil {
		return nil, err
	}
	absent, err := now.findAbsent(l)
	if err != nil {
		return nil, err
	}
	if now.incomplete, err = l.whyIncomplete(now.found, len(files) > 0, lacking); err != nil {
		return nil, err
	}
	if now.incomplete != "" || len(absent) > 0 {
		if err := now.lookElsewhere(l); err != nil {
			return nil, err
		}
		if absent, err = now.findAbsent(l); err != nil {
			return nil, err
		}
		if now.isOnlySuspected(lacking) && now.looked.foundNothing() {
			now.incomplete = ""
		}
	}
	err = now.addAbsent(absent)
	return now, err
}

// whyIncomplete judges the manifest as recovery would, and by what the segments
// say.
func (l *Log) whyIncomplete(found *manifest.Recovery, used bool, lacking evidence) (string, error) {
	known, marked, err := l.readIncomplete()
	if err != nil || marked {
		return known.Reason, err
	}
	_, claimed, err := l.ownClaims()
	why := whatIsMissing(found, used || claimed)
	switch {
	case why != "" || err != nil:
	case lacking.ordinal >= found.NextOrdinal && lacking.ordinal > 0:
		why = fmt.Sprintf("the manifest ends before record %d, which it had when a segment was sealed", lacking.ordinal)
	case lacking.gap:
		why = "the manifest has nothing of sequences that lie between its segments"
	}
	return why, err
}

// isOnlySuspected reports whether the manifest may as well be whole: an owner that
// is at work may be about to follow the last chunk.
func (v *survey) isOnlySuspected(lacking evidence) bool {
	if len(v.found.Damage)+len(v.found.Contradictions) > 0 || lacking.ordinal > 0 {
		return false
	}
	return v.found.SealedEnd || lacking.gap
}

// lacks looks for what speaks against a manifest that looks whole. A manifest that
// was lost and begun anew has all footers recorded.
func (v *survey) lacks(l *Log, list []*segmentFile) (lacking evidence) {
	if v.looked != nil {
		return evidence{}
	}
	for i, s := range list {
		lacking.gap = lacking.gap || i > 0 && list[i-1].lastSeq.Load()+1 < s.baseSeq()
		footer, entry := s.seal.Load(), l.entryOf(s)
		if footer != nil && footer.ManifestOrdinal >= v.found.NextOrdinal && (entry == nil || !entry.Sealed) {
			lacking.ordinal = max(lacking.ordinal, footer.ManifestOrdinal)
		}
	}
	return lacking
}

// takeFiles takes over the names of the files that are part of the log.
func (v *survey) takeFiles(l *Log, files []segmentName) error {
	known := l.segmentsByID()
	for _, name := range files {
		if s := known[name.id]; s == nil || s.lost != "" || s.path != l.paths.segment(name) {
			why, err := l.fileContradicts(name)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue // its owner evicted it since the list
			case err != nil:
				return err
			case why != "":
				v.contradicting = append(v.contradicting, QuarantineReport{Segment: name.id, Path: l.paths.segment(name), Reason: why})
				continue
			}
		}
		v.names = append(v.names, name)
	}
	own, strays, err := l.partStrays(v.names)
	for _, stray := range strays {
		v.contradicting = append(v.contradicting, QuarantineReport{Segment: stray.name.id, Path: l.paths.segment(stray.name), Reason: stray.reason})
	}
	v.names = own
	return err
}

// findAbsent returns the segments that the manifest has and no copy holds.
func (v *survey) findAbsent(l *Log) ([]*manifest.Segment, error) {
	if len(absentFrom(l.journal.state(), v.names)) == 0 {
		return nil, nil
	}
	// A writer may have made the file since the list; or moved it since the manifest
	// was read, and then the manifest says by now where it is.
	later, err := l.segmentFiles()
	if err != nil {
		return nil, err
	}
	if v.found, err = l.journal.load(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(absentFrom(l.journal.state(), v.names), func(entry *manifest.Segment) bool {
		made := func(name segmentName) bool { return name.id == entry.ID && !v.leavesOut(l.paths.segment(name)) }
		return slices.ContainsFunc(later, made)
	}), nil
}

// addAbsent adds segments that no copy holds.
func (v *survey) addAbsent(absent []*manifest.Segment) error {
	for _, entry := range absent {
		v.absent[entry.ID] = entry
		v.names = append(v.names, segmentName{id: entry.ID, baseSeq: entry.BaseSeq, created: entry.OpenedNs})
	}
	slices.SortFunc(v.names, func(a, b segmentName) int { return int(int64(a.id) - int64(b.id)) })
	return checkOrder(v.names)
}

func (v *survey) leavesOut(path string) bool {
	return slices.ContainsFunc(v.contradicting, func(left QuarantineReport) bool { return left.Path == path })
}

// absentFrom are the segments of a manifest that are in no file and in no other
// tier.
func absentFrom(state *manifest.State, files []segmentName) (absent []*manifest.Segment) {
	have := make(map[uint64]bool, len(files))
	for _, name := range files {
		have[name.id] = true
	}
	for entry := range state.Segments() {
		elsewhere := entry.Sealed && entry.Resident.Without(manifest.TierHot) != 0
		if have[entry.ID] || elsewhere || !entry.Opened && !entry.Sealed {
			continue
		}
		absent = append(absent, entry)
	}
	return absent
}

// lostFileOf is a segment whose file is missing. before is what was seen of it at
// the last refresh, nil if nothing was.
func (l *Log) lostFileOf(entry *manifest.Segment, before *segmentFile, next *segmentName) *segmentFile {
	name := segmentName{id: entry.ID, baseSeq: entry.BaseSeq, created: entry.OpenedNs}
	state := l.journal.state()
	var last uint64
	switch {
	case entry.Sealed:
		last = entry.LastSeq
	case next != nil:
		last = next.baseSeq - 1
	default:
		known := recordedClose(state, entry.ID)
		last = entry.BaseSeq + segment.RoomLost(0, known) - 1
		last = max(last, state.Log().NextSeq-1, segment.Scan(nil, entryHeader(l.id, entry), known).LastSeq)
	}
	if before != nil {
		last = max(last, before.lastSeq.Load())
	}
	return l.lostSegment(name, lostFile, last)
}

// withUnread adds what lies in front of the segments that are known, as far as the
// manifest does not prove that retention removed it, and what the bucket may hold,
// or holds unreadable, behind them.
func (l *Log) withUnread(list []*segmentFile, now *survey) []*segmentFile {
	if now.looked == nil {
		return l.withFront(list, now)
	}
	for i := range now.looked.unreadable {
		listed := &now.looked.unreadable[i]
		if n := len(list); n == 0 || listed.ID > list[n-1].id() {
			list = append(list, l.lostSegment(segmentName{id: listed.ID, baseSeq: listed.First}, lostObject, listed.Last))
		}
	}
	if now.looked.report.BucketUnread == nil {
		return list // what is in front of what the bucket holds was trimmed
	}
	return l.withFront(list, now)
}

// withFront adds what lies in front of the segments that are known.
func (l *Log) withFront(list []*segmentFile, now *survey) []*segmentFile {
	trimmed := l.journal.state().Log().TrimmedTo
	name, last := segmentName{id: 1, baseSeq: trimmed + 1}, max(trimmed+1, l.journal.state().Log().NextSeq-1)
	switch {
	case len(list) == 0 && now.incomplete == "":
		return list
	case len(list) > 0 && (list[0].baseSeq() <= trimmed+1 || list[0].id() == 1):
		return list
	case len(list) > 0:
		name.id, last = list[0].id()-1, list[0].baseSeq()-1
	}
	front := l.lostSegment(name, lostFront+now.notAsked(), last)
	front.path = l.paths.segments
	return append([]*segmentFile{front}, list...)
}

// publishFindings makes visible what is wrong with the log, and tells of files that
// are left out, once.
func (l *Log) publishFindings(list []*segmentFile, now *survey) {
	report := RecoveryReport{Incomplete: now.incomplete, Contradicting: now.contradicting}
	if found := now.looked; found != nil {
		report.AdoptedWarm, report.AdoptedCold = found.report.AdoptedWarm, found.report.AdoptedCold
		report.NotAdopted, report.BucketUnread = found.report.NotAdopted, found.report.BucketUnread
	}
	for i, s := range list {
		if i > 0 && list[i-1].lastSeq.Load()+1 < s.baseSeq() {
			gap := l.missing(list[i-1].lastSeq.Load()+1, s)
			gap.Reason += now.notAsked()
			report.Damaged = append(report.Damaged, gap)
		}
		if s.lost != "" && s.lastSeq.Load() >= s.baseSeq() {
			report.Damaged = append(report.Damaged, l.lossOf(s, s.baseSeq()))
		}
	}
	l.mu.Lock()
	before := l.recovery
	l.recovery, l.mu.appendStop = report, now.endUnknown(l, list)
	l.mu.Unlock()
	for _, left := range now.contradicting {
		if !slices.Contains(before.Contradicting, left) {
			l.engine.opts.Logger.Error("segment_file_left_out", "group", "aof2.flush", "log", l.name, "file", left.Path, "reason", left.Reason)
		}
	}
}
