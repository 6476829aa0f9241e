package engine

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// A read-only log takes no lock and changes nothing: it serves what the bytes
// on disk prove to be durable, while another process may be appending.

// refresh lists the segments again and moves the watermarks.
func (l *Log) refresh() error {
	l.refreshing.Lock()
	defer l.refreshing.Unlock()
	if l.engine.bucketOnly {
		return l.refreshFromBucket(l.moving)
	}
	now, list, err := l.lookAround(evidence{})
	if err != nil {
		return err
	}
	if lacking := now.lacks(l, list); lacking != (evidence{}) {
		if now, list, err = l.lookAround(lacking); err != nil {
			return err
		}
	}
	l.publishList(list)
	l.publishFindings(list, now)
	l.publishCold()
	return nil
}

// lookAround finds the segments and looks at those that may have changed. lacking
// is what speaks for lost records of the manifest.
func (l *Log) lookAround(lacking evidence) (*survey, []*segmentFile, error) {
	now, err := l.survey(lacking)
	if err != nil {
		return nil, nil, err
	}
	known := l.segmentsByID()
	list := make([]*segmentFile, 0, len(now.names))
	for i, name := range now.names {
		var next *segmentName
		if i+1 < len(now.names) {
			next = &now.names[i+1]
		}
		s := known[name.id]
		if entry := now.absent[name.id]; entry != nil {
			s = l.lostFileOf(entry, s, next)
		} else if s == nil || s.lost == lostFile || !s.ended() {
			if s, err = l.lookAgain(s, name, next); err != nil {
				return nil, nil, fmt.Errorf("read segment %d: %w", name.id, err)
			}
		}
		list = append(list, s)
	}
	return now, l.withUnread(l.withRemote(list), now), nil
}

func (l *Log) segmentsByID() map[uint64]*segmentFile {
	known := make(map[uint64]*segmentFile)
	for _, s := range *l.segments.Load() {
		known[s.id()] = s
	}
	return known
}

// withRemote adds the segments that have no segment file and are whole in
// another tier.
func (l *Log) withRemote(files []*segmentFile) []*segmentFile {
	known, list := l.segmentsByID(), slices.Clone(files)
	for entry := range l.journal.state().Segments() {
		has := slices.ContainsFunc(files, func(s *segmentFile) bool { return s.id() == entry.ID })
		if has || !entry.Sealed || entry.Resident.Without(manifest.TierHot) == 0 {
			continue
		}
		s := known[entry.ID]
		if s == nil || s.lost != "" {
			s = &segmentFile{fs: l.engine.opts.FS, path: l.paths.hotFile(entry), header: entryHeader(l.id, entry)}
			s.noteSealed(entryFooter(l.id, entry))
		}
		s.retireHot()
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *segmentFile) int { return int(int64(a.id()) - int64(b.id())) })
	return list
}

// publishList makes a new list and its end visible.
func (l *Log) publishList(list []*segmentFile) {
	l.segments.Store(&list)
	if len(list) == 0 {
		return
	}
	last := max(l.durable.Load(), list[len(list)-1].lastSeq.Load())
	l.appended.Store(last)
	l.publishWritten(last)
	l.publishDurable(last)
}

// lookAgain reads a segment of which before was seen at the last refresh, nil
// if nothing was. What was proved then stays proved: where less verifies now,
// readers are to meet the damage and not the end of the log.
func (l *Log) lookAgain(before *segmentFile, name segmentName, next *segmentName) (*segmentFile, error) {
	s, err := l.look(name, next)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		// Its owner sealed it, and so made it shorter, while it was read: that
		// happens once in a segment's life.
		s, err = l.look(name, next)
	}
	if err == nil && before != nil && before.lost == "" && !s.ended() && s.lastSeq.Load() < before.lastSeq.Load() {
		s = before
	}
	return s, err
}

// look reads a segment as it is now.
func (l *Log) look(name segmentName, next *segmentName) (*segmentFile, error) {
	entry := l.journal.state().Segment(name.id)
	found, err := l.examine(name, entry)
	if err != nil {
		return nil, err
	}
	s := found.file
	if found.footer != nil {
		s.noteSealed(found.footer)
		return s, nil
	}
	known := recordedClose(l.journal.state(), name.id)
	known.HeaderLost = found.headerLost
	if next != nil {
		known.LastSeq, known.Complete = next.baseSeq-1, true
	}
	if s.lost != "" {
		s.lastSeq.Store(l.lastLost(s, s.bytes.Load(), known))
		return s, nil
	}
	contents, err := l.readWhole(s)
	if err != nil {
		return nil, err
	}
	scan := segment.Scan(contents, s.header, known)
	s.showDurable(contents, scan, known)
	return s, nil
}

// showDurable lets readers see what lies below the point up to which a scan
// proves everything durable. Of a file that was made shorter they see all: nothing
// in it will be cut, and what is missing must not look like the end of the log.
func (s *segmentFile) showDurable(contents []byte, scan segment.ScanResult, known segment.Known) {
	limit := max(scan.DurableEnd, known.CloseEnd())
	if known.Complete || scan.Short {
		limit = scan.RecordsEnd
	}
	end, last := int64(segment.HeaderBytes), s.baseSeq()-1
	for _, extent := range scan.Extents {
		if extent.Offset >= limit && !scan.Short && !known.LostBehindHeader(extent) {
			break
		}
		if extent.Damaged || extent.End <= limit {
			end, last = extent.End, max(last, extent.LastSeq)
			continue
		}
		end, last = lastBefore(contents, s.header, extent, limit, last)
	}
	s.unproven = scan.LastSeq - min(last, scan.LastSeq)
	s.lastSeq.Store(last)
	s.writtenEnd.Store(end)
	s.durableEnd.Store(end)
}

// lastBefore is where the last record of a run ends that lies wholly below
// limit, and the last sequence there.
func lastBefore(contents []byte, header segment.Header, run segment.Extent, limit int64, last uint64) (int64, uint64) {
	at := run.Offset
	var record segment.Record
	for at < limit {
		n, _ := segment.DecodeRecord(contents[at:run.End], header.Salt, &record)
		if n == 0 || at+int64(n) > limit {
			break
		}
		at += int64(n)
		last = max(last, record.Seq)
	}
	return at, last
}
