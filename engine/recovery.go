package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// Recovery turns what a crash left into a log that goes on. It is a function of
// what is on disk, and everything that it concludes is durable before the log
// serves, acknowledges or reports anything as absent. docs/segment-format.md
// states the rules.

// recovery is one run over the segments of a log.
type recovery struct {
	log    *Log
	report *RecoveryReport
	found  []*foundSegment
	// record keeps what is found: in the manifest, or, for a read-only log, in memory.
	record func(...manifest.Record) error

	claims  claimFile
	claimed bool // this root may have put something into the bucket
	// incomplete says why the manifest may lack records, "" if it does not.
	incomplete string
	// unrecorded says that a segment file was found that should be recorded.
	unrecorded bool
	// warm are the lengths of the warm files by name, refused why some of them are
	// not adopted.
	warm    map[string]int64
	refused map[string]string
	// seen is the highest segment and sequence that names in the bucket have;
	// unreadable are objects that do not open.
	seen       struct{ id, seq uint64 }
	unreadable []listedObject
}

// foundSegment is a segment file as recovery sees it.
type foundSegment struct {
	name segmentName
	file *segmentFile
	// footer is what the end of the file says, nil if that does not verify.
	footer *segment.Footer
	// footerAt is the footer's offset.
	footerAt int64
	// epoch is the highest owner's number that stands inside.
	epoch uint64
	// entry is what the manifest says of it, nil if nothing.
	entry *manifest.Segment
	// headerLost says that the header does not verify and that the manifest has
	// what it said: it was durable, and is damaged.
	headerLost bool
	// wasOpen says that the segment was not sealed before this recovery.
	wasOpen bool
}

// sealedBefore reports whether the manifest says that the segment is sealed.
func (f *foundSegment) sealedBefore() bool {
	return f.entry != nil && f.entry.Sealed && f.file.lost == ""
}

// recover opens the log for writing.
func (l *Log) recover() error {
	r := &recovery{log: l, report: &l.recovery, record: l.journal.record, refused: make(map[string]string)}
	if err := r.recoverSegments(); err != nil {
		return errors.Join(err, r.letGo())
	}
	if err := r.resume(); err != nil {
		return err
	}
	if err := l.rebuildDedup(); err != nil {
		return fmt.Errorf("rebuild dedup window: %w", err)
	}
	l.publishCold()
	if l.recovery.Eventful() {
		l.engine.opts.Logger.Warn("log_recovered", "group", "aof2.flush", "log", l.name, "report", l.recovery)
		for _, cut := range l.recovery.Cut {
			l.emit(Event{Kind: EventSegmentQuarantined, Segment: cut.Segment, Bytes: cut.Bytes})
		}
		l.emit(Event{Kind: EventLogRecovered, Recovery: &l.recovery})
	}
	return nil
}

func (r *recovery) recoverSegments() error {
	if err := r.settleDirectory(); err != nil {
		return err
	}
	names, err := r.log.segmentFiles()
	if err != nil {
		return err
	}
	if err := r.log.refuseNewer(names); err != nil {
		return err
	}
	if r.report.Manifest, err = r.log.journal.open(); err != nil {
		return err
	}
	if r.warm, err = r.listWarm(); err != nil {
		return err
	}
	if err := r.judgeManifest(names); err != nil {
		return err
	}
	if err := r.followSealedEnd(); err != nil {
		return err
	}
	if names, err = r.putStraysAside(names); err != nil {
		return err
	}
	if err := r.find(names); err != nil {
		return err
	}
	for i := range r.found {
		if err := r.recoverSegment(i); err != nil {
			return err
		}
	}
	if err := r.countHot(); err != nil {
		return err
	}
	r.reportMissing()
	return r.reconcileCopies()
}

// letGo gives up what a recovery that failed holds of segments that did not yet
// become the log's.
func (r *recovery) letGo() (err error) {
	for _, found := range r.found[len(*r.log.segments.Load()):] {
		r.log.engine.hot.giveBack(found.file.bytes.Load())
		r.log.holdWarm(found.file, 0)
		err = errors.Join(err, found.file.closeFile())
	}
	return err
}

// settleDirectory makes the names that a crash may have left pending durable,
// then removes what was being prepared.
func (r *recovery) settleDirectory() error {
	fs, dir := r.log.engine.opts.FS, r.log.paths.segments
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("sync segments directory: %w", err)
	}
	entries, err := fs.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	swept := false
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), temporarySuffix) {
			continue
		}
		if err := fs.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("sweep %s: %w", entry.Name(), err)
		}
		swept = true
	}
	if !swept {
		return nil
	}
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("sync segments directory: %w", err)
	}
	return nil
}

// recoverSegment brings segment i into a state in which it may be served.
func (r *recovery) recoverSegment(i int) error {
	found := r.found[i]
	s := found.file
	switch {
	case found.sealedBefore():
		s.noteSealed(found.footer)
		r.log.addSegment(s)
		return nil
	case s.lost == lostFile:
		r.giveUp(s, 0, r.known(i))
		return nil
	case s.lost == lostUnread || s.lost == lostObject:
		r.report.Damaged = append(r.report.Damaged, r.log.lossOf(s, s.baseSeq()))
		r.log.addSegment(s)
		return nil
	case found.footer != nil && i < len(r.found)-2:
		// Two newer segments exist: its seal was durable before the second of
		// them was opened.
		if err := r.log.recordSealed(found.footer); err != nil {
			return err
		}
		s.noteSealed(found.footer)
		r.log.addSegment(s)
		return nil
	}
	found.wasOpen = found.footer == nil
	contents, err := r.log.readWhole(s)
	if err != nil {
		return fmt.Errorf("read segment %d: %w", s.id(), err)
	}
	known := r.known(i)
	if s.lost != "" {
		r.giveUp(s, int64(len(contents)), known)
		return nil
	}
	scan := segment.Scan(contents, s.header, known)
	r.reportDamage(s, scan)
	found.epoch = lastEpoch(contents, s.header, scan.Extents)
	s.epoch = found.epoch
	s.file, err = r.log.engine.opts.FS.OpenReadWrite(s.path)
	if err != nil {
		return fmt.Errorf("open segment %d: %w", s.id(), err)
	}
	if err := r.settle(i, contents, scan, known); err != nil {
		return fmt.Errorf("recover segment %d: %w", s.id(), err)
	}
	r.log.addSegment(s)
	return nil
}

// known is what is proved about segment i before it is scanned.
func (r *recovery) known(i int) segment.Known {
	known := recordedClose(r.log.journal.state(), r.found[i].name.id)
	known.HeaderLost = r.found[i].headerLost
	if footer := r.found[i].footer; footer != nil {
		known = segment.Known{RecordsEnd: int64(footer.IndexOffset), LastSeq: footer.LastSeq, Complete: true}
	} else if entry := r.found[i].entry; entry != nil && entry.Sealed {
		known = segment.Known{RecordsEnd: int64(entry.IndexOffset), LastSeq: entry.LastSeq, Complete: true}
	}
	if i+1 < len(r.found) {
		last := r.found[i+1].name.baseSeq - 1
		if !known.Complete || last < known.LastSeq {
			known.LastSeq, known.Complete = last, true
		}
	}
	return known
}

// settle makes the verified bytes of a segment durable and ends it, unless the
// last owner closed it cleanly.
func (r *recovery) settle(i int, contents []byte, scan segment.ScanResult, known segment.Known) error {
	found := r.found[i]
	s := found.file
	if found.footer != nil {
		return r.finishSeal(found, contents, scan)
	}
	if err := r.rewrite(s, contents, scan, known); err != nil {
		return err
	}
	last := i == len(r.found)-1
	sealable := scan.RecordsEnd+segment.SealBytesMax(scan.RecordsEnd) <= s.bytes.Load() // the file may have been cut off
	if last && scan.Closed && sealable && scan.LastSeq >= r.lastElsewhere() {
		return r.continueSegment(s, contents, scan)
	}
	if err := r.quarantineCut(s, contents, scan, known); err != nil {
		return err
	}
	return r.endSegment(s, contents, scan, last)
}

// lastElsewhere is the last sequence that the manifest or names in the bucket know to
// have been given out. The next one may not stand in a segment that ends before it:
// there a record has to follow on the one in front.
func (r *recovery) lastElsewhere() uint64 {
	return max(r.log.journal.state().Log().NextSeq-1, r.seen.seq)
}

// rewrite writes the bytes that no sync is proved to have covered again, from
// the copy that was verified: after a failed sync the page cache may hold bytes
// that the disk does not.
func (r *recovery) rewrite(s *segmentFile, contents []byte, scan segment.ScanResult, known segment.Known) error {
	from := max(scan.DurableEnd, segment.HeaderBytes)
	if !known.Complete && from < scan.RecordsEnd {
		if _, err := s.file.WriteAt(contents[from:scan.RecordsEnd], from); err != nil {
			return fmt.Errorf("rewrite tail: %w", err)
		}
		r.report.RewrittenBytes += scan.RecordsEnd - from
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync tail: %w", err)
	}
	return nil
}

// continueSegment takes the last segment of a cleanly closed log up again.
func (r *recovery) continueSegment(s *segmentFile, contents []byte, scan segment.ScanResult) error {
	index, sum := segment.BuildIndex(contents[:scan.RecordsEnd], s.header, scan.Extents)
	decoded, err := segment.DecodeIndex(index)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	s.tail = tail{
		capacity: s.bytes.Load(), end: scan.RecordsEnd, lastSeq: scan.LastSeq, records: sum.Count,
		maxTimestamp: sum.MaxTimestamp, frames: decoded.Frames(),
	}
	s.lastSeq.Store(scan.LastSeq)
	s.writtenEnd.Store(scan.RecordsEnd)
	s.durableEnd.Store(scan.RecordsEnd)
	r.log.committer.lastMark = markBehind(s.id(), scan.RecordsEnd)
	r.log.committer.current, r.log.committer.marked = s, true
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.setTailLocked(s)
	return nil
}

// endSegment seals a segment for good behind what was kept of it: nothing is
// ever appended behind a cut.
func (r *recovery) endSegment(s *segmentFile, contents []byte, scan segment.ScanResult, last bool) error {
	plan := sealing{
		segment: s, extents: scan.Extents, recordsEnd: scan.RecordsEnd, lastSeq: scan.LastSeq,
		hasMark: scan.Sealed, contents: contents,
	}
	if last && !scan.Sealed {
		plan.flags = segment.FooterPartial
	}
	r.report.SealedSegments++
	return r.log.seal(plan)
}

// giveUp keeps a segment whose file is missing, or whose salt is not known any
// more, without which nothing in it can be verified. The file stays as it is,
// all its sequences answer with the damage, and the log goes on above them.
func (r *recovery) giveUp(s *segmentFile, size int64, known segment.Known) {
	s.lastSeq.Store(r.log.lastLost(s, size, known))
	r.report.Damaged = append(r.report.Damaged, r.log.lossOf(s, s.baseSeq()))
	r.log.addSegment(s)
}

// lastLost is the last sequence that may have been given out of a segment in whose
// file, of so many bytes, nothing can be verified.
func (l *Log) lastLost(s *segmentFile, size int64, known segment.Known) uint64 {
	last := known.LastSeq
	if !known.Complete {
		last = s.baseSeq() + segment.RoomLost(size, known) - 1
		last = max(last, l.journal.state().Log().NextSeq-1, segment.Scan(nil, s.header, known).LastSeq)
	}
	return last
}

// lastEpoch is the highest owner's number in the verified records.
func lastEpoch(contents []byte, header segment.Header, extents []segment.Extent) uint64 {
	epoch := header.Epoch
	for _, extent := range extents {
		if extent.Damaged {
			continue
		}
		var record segment.Record
		for at := extent.Offset; at < extent.End; {
			n, _ := segment.DecodeRecord(contents[at:extent.End], header.Salt, &record)
			if n == 0 {
				break
			}
			if marked, ok := record.MarkEpoch(); ok {
				epoch = max(epoch, marked)
			}
			at += int64(n)
		}
	}
	return epoch
}

// finishSeal makes a footer durable that was found behind the records: it may
// be in the page cache only.
func (r *recovery) finishSeal(found *foundSegment, contents []byte, scan segment.ScanResult) error {
	s, footer := found.file, found.footer
	index := contents[footer.IndexOffset:found.footerAt]
	if segment.CRC64(index) != footer.IndexCRC64 {
		block, _ := segment.BuildIndex(contents[:footer.IndexOffset], s.header, scan.Extents)
		footer.IndexBytes, footer.IndexCRC64 = uint64(len(block)), segment.CRC64(block)
		index = block
	}
	if err := r.log.writeFooter(s, append([]byte(nil), index...), *footer); err != nil {
		return err
	}
	return s.closeFile()
}

// reportDamage turns damaged ranges into errors of the report.
func (r *recovery) reportDamage(s *segmentFile, scan segment.ScanResult) {
	for i, extent := range scan.Extents {
		if !extent.Damaged {
			continue
		}
		damage := r.log.damage(s, extent)
		if scan.Short && i == len(scan.Extents)-1 {
			damage.Reason = cutOffFile
		}
		r.report.Damaged = append(r.report.Damaged, damage)
	}
}

// reportMissing reports the sequences between two segments that no file holds.
func (r *recovery) reportMissing() {
	list := *r.log.segments.Load()
	for i := 1; i < len(list); i++ {
		if first := list[i-1].lastSeq.Load() + 1; first < list[i].baseSeq() {
			r.report.Damaged = append(r.report.Damaged, r.log.missing(first, list[i]))
		}
	}
}

// missing describes the sequences from first on that should lie in front of a
// segment and that no file holds.
func (l *Log) missing(first uint64, next *segmentFile) *DamageError {
	return &DamageError{
		Log: l.name, Segment: next.id() - 1, Path: l.paths.segments, FirstSeq: first, LastSeq: next.baseSeq() - 1,
		Reason: lostRange,
	}
}

// lossOf describes a segment of which nothing can be read, from a sequence on.
func (l *Log) lossOf(s *segmentFile, from uint64) *DamageError {
	return &DamageError{
		Log: l.name, Segment: s.id(), Path: s.path, Bytes: s.bytes.Load(), FirstSeq: from, LastSeq: s.lastSeq.Load(), Reason: s.lost,
	}
}

// damage describes a damaged range of a segment.
func (l *Log) damage(s *segmentFile, extent segment.Extent) *DamageError {
	return &DamageError{
		Log: l.name, Segment: s.id(), Path: s.path, Offset: extent.Offset, Bytes: extent.End - extent.Offset,
		FirstSeq: extent.FirstSeq, LastSeq: extent.LastSeq, Reason: "records do not verify",
	}
}

// resume sets the log's numbers behind everything that was found.
func (r *recovery) resume() error {
	r.setNumbers()
	return r.completed()
}

func (r *recovery) setNumbers() {
	l := r.log
	l.engine.disk.look() // for the size of the next segment
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.appendStop = r.appendStop()
	log, last := l.journal.state().Log(), r.lastElsewhere()
	l.mu.nextSegmentID = max(l.mu.nextSegmentID, log.NextSegmentID, r.seen.id+1)
	l.mu.epoch = max(l.mu.epoch, log.Epoch, r.claims.Made.Epoch, r.claims.Intended.Epoch)
	for _, found := range r.found {
		s := found.file
		last = max(last, s.lastSeq.Load())
		l.mu.nextSegmentID = max(l.mu.nextSegmentID, s.id()+1)
		l.mu.epoch = max(l.mu.epoch, s.header.Epoch, found.epoch)
		if found.footer != nil {
			l.mu.epoch = max(l.mu.epoch, found.footer.Epoch)
		}
		l.mu.nextCapacity = max(l.mu.nextCapacity, l.capacityFor(s.bytes.Load(), 0))
	}
	l.appended.Store(last)
	l.written.Store(last)
	l.durable.Store(last)
	l.mu.swappedSeq, l.mu.demandSeq = last, last
}
