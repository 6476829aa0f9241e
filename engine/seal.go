package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// sealing is what a seal needs to know about a segment whose records have
// ended and are durable.
type sealing struct {
	segment    *segmentFile
	extents    []segment.Extent
	recordsEnd int64 // where the seal mark goes, or ended if there is one already
	lastSeq    uint64
	hasMark    bool
	flags      uint32
	// contents is the file as recovery read and verified it; nil: the seal
	// reads the records itself.
	contents []byte
	// damaged is what it finds then: nothing is wrong with what was written, so
	// something changed the file.
	damaged []*DamageError
}

// sealOldest seals a full segment and reports whether it did.
func (k *maintainer) sealOldest(s *segmentFile) bool {
	end := s.tail.end
	plan := sealing{
		segment: s, recordsEnd: end, lastSeq: s.tail.lastSeq,
		extents: []segment.Extent{{Offset: segment.HeaderBytes, End: end, FirstSeq: s.baseSeq(), LastSeq: s.tail.lastSeq}},
	}
	if err := k.log.seal(plan); err != nil {
		k.log.poison(err)
		return false
	}
	k.log.forgetFrames(s)
	k.log.subjects.learn(k.log.moving, s)
	if err := k.log.journal.snapshotIfDue(); err != nil {
		k.log.poison(fmt.Errorf("write snapshot of the manifest: %w", err))
		return false
	}
	k.log.engine.coordinator.poke()
	k.wakeWaiters()
	k.log.signal()
	return true
}

// forgetFrames gives the sparse index of a sealed segment back: its index block
// serves from now on.
func (l *Log) forgetFrames(s *segmentFile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.tail.frames = nil
}

// seal ends a segment on disk: seal mark, sync; index and footer behind it,
// truncate, sync; SealSegment in the manifest. Each step may be the last one before a crash: recovery goes
// on from any of them.
func (l *Log) seal(plan sealing) error {
	s := plan.segment
	if err := l.writeSealMark(&plan); err != nil {
		return fmt.Errorf("seal segment %d: %w", s.id(), err)
	}
	index, footer, err := l.buildFooter(&plan)
	if err != nil {
		return fmt.Errorf("seal segment %d: %w", s.id(), err)
	}
	for _, damage := range plan.damaged {
		s.doubt.note(manifest.TierHot, damage) // before anybody sees that it is sealed, and moves it
	}
	footer.ManifestOrdinal = l.journal.state().NextOrdinal() - 1
	if err := l.writeFooter(s, index, footer); err != nil {
		return fmt.Errorf("seal segment %d: %w", s.id(), err)
	}
	if err := s.closeFile(); err != nil {
		return fmt.Errorf("close segment %d: %w", s.id(), err)
	}
	l.emit(Event{
		Kind: EventSegmentSealed, Segment: s.id(), FirstSeq: footer.FirstSeq, LastSeq: footer.LastSeq, Bytes: s.bytes.Load(),
	})
	for _, damage := range plan.damaged {
		l.tellBadCopy(s, manifest.TierHot, damage)
	}
	return nil
}

func (l *Log) writeSealMark(plan *sealing) error {
	if plan.hasMark {
		return nil
	}
	s := plan.segment
	mark := segment.AppendSealMark(nil, s.header.Salt, plan.lastSeq, 0, l.now())
	if err := l.writeInside(s, mark, plan.recordsEnd); err != nil {
		return fmt.Errorf("write seal mark: %w", err)
	}
	if err := s.file.SyncData(); err != nil {
		return fmt.Errorf("sync seal mark: %w", err)
	}
	if plan.contents != nil {
		plan.contents = append(padded(plan.contents, plan.recordsEnd), mark...)
	}
	at := plan.recordsEnd
	plan.recordsEnd += int64(len(mark))
	plan.extents = withMark(plan.extents, at, plan.recordsEnd, plan.lastSeq)
	return nil
}

// padded is the first bytes of a file, with zeros where it ended before: a file
// that lost a part of its header has a hole there once something is written
// behind it.
func padded(contents []byte, length int64) []byte {
	if missing := length - int64(len(contents)); missing > 0 {
		contents = append(contents, make([]byte, missing)...)
	}
	return contents[:length]
}

// withMark is the extents with the seal mark that was written where they end: the
// index is that of all records, the mark included, so that whoever builds it anew
// from the sealed file gets the same.
func withMark(extents []segment.Extent, at, end int64, lastSeq uint64) []segment.Extent {
	extents = slices.Clone(extents)
	if n := len(extents); n > 0 && !extents[n-1].Damaged && extents[n-1].End == at {
		extents[n-1].End = end
		return extents
	}
	return append(extents, segment.Extent{Offset: at, End: end, FirstSeq: lastSeq + 1, LastSeq: lastSeq})
}

// writeInside writes where the file has blocks already; where damage left no
// room the file grows, on a full disk out of the reserve.
func (l *Log) writeInside(s *segmentFile, data []byte, offset int64) error {
	_, err := s.file.WriteAt(data, offset)
	if !isNoSpace(err) {
		return err
	}
	if err := l.engine.disk.giveReserve(); err != nil {
		return err
	}
	_, err = s.file.WriteAt(data, offset)
	return err
}

// buildFooter reads the records once more and describes them. A file that something
// made shorter while it was appended to has a hole of zeros: here it is found.
func (l *Log) buildFooter(plan *sealing) (index []byte, footer segment.Footer, err error) {
	s := plan.segment
	if plan.contents != nil {
		index, footer = s.describe(plan.contents, plan)
		return index, footer, nil
	}
	var bytes []byte
	err = l.awaitDescriptor(func() (err error) {
		bytes, err = s.pin()
		return err
	})
	if err != nil {
		return nil, footer, err
	}
	fault := vfs.Guard(func() {
		if index, footer = s.describe(bytes, plan); footer.Count < plan.lastSeq+1-s.baseSeq() {
			l.findDamage(bytes, plan)
			index, footer = s.describe(bytes, plan)
		}
	})
	return index, footer, errors.Join(fault, s.unpin())
}

// findDamage looks for the records that do not verify any more.
func (l *Log) findDamage(bytes []byte, plan *sealing) {
	s := plan.segment
	known := segment.Known{RecordsEnd: plan.recordsEnd, LastSeq: plan.lastSeq, Complete: true}
	plan.extents = segment.Scan(bytes[:plan.recordsEnd], s.header, known).Extents
	for _, extent := range plan.extents {
		if extent.Damaged {
			plan.damaged = append(plan.damaged, l.damage(s, extent))
		}
	}
}

func (s *segmentFile) describe(bytes []byte, plan *sealing) ([]byte, segment.Footer) {
	records := bytes[:plan.recordsEnd]
	index, sum := segment.BuildIndex(records, s.header, plan.extents)
	return index, segment.Footer{
		LogID: s.header.LogID, ID: s.header.ID, Salt: s.header.Salt, Epoch: max(s.epoch, s.header.Epoch), BaseSeq: s.header.BaseSeq,
		Count: sum.Count, FirstSeq: s.header.BaseSeq, LastSeq: plan.lastSeq,
		FirstTimestamp: sum.FirstTimestamp, MaxTimestamp: sum.MaxTimestamp,
		FirstExtID: sum.FirstExtID, LastExtID: sum.LastExtID,
		DurableBytes: uint64(plan.recordsEnd), SegmentCRC64: segment.CRC64(records),
		IndexOffset: uint64(plan.recordsEnd), IndexBytes: uint64(len(index)), IndexCRC64: segment.CRC64(index),
		Flags: segment.FooterSealed | plan.flags,
	}
}

// writeFooter puts index and footer behind the records, ends the file there and
// notes the seal in the manifest.
func (l *Log) writeFooter(s *segmentFile, index []byte, footer segment.Footer) error {
	var encoded [segment.FooterBytes]byte
	footer.Encode(&encoded)
	block := slices.Concat(index, encoded[:])
	recordsEnd := int64(footer.IndexOffset)
	if err := l.writeInside(s, block, recordsEnd); err != nil {
		return fmt.Errorf("write index and footer: %w", err)
	}
	size := recordsEnd + int64(len(block))
	if err := s.file.Truncate(size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync footer: %w", err)
	}
	l.engine.hot.giveBack(s.bytes.Swap(size) - size)
	if err := l.recordSealed(&footer); err != nil {
		return err
	}
	s.noteSealed(&footer)
	return nil
}

// recordSealed notes in the manifest that a segment will not change any more.
func (l *Log) recordSealed(footer *segment.Footer) error {
	if err := l.journal.record(sealedRecord(footer)); err != nil {
		return fmt.Errorf("record the seal: %w", err)
	}
	return nil
}
