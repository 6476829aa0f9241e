package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// segmentFor is the segment that holds seq, or the first one behind a gap; nil
// if seq lies before all of them.
func (l *Log) segmentFor(seq uint64) *segmentFile {
	list := *l.segments.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].baseSeq() > seq })
	if i == 0 {
		return nil
	}
	return list[i-1]
}

// segmentAfter is the segment behind s, nil if s is the last.
func (l *Log) segmentAfter(s *segmentFile) *segmentFile {
	list := *l.segments.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].id() > s.id() })
	if i == len(list) {
		return nil
	}
	return list[i]
}

// firstSeq is the first sequence that the log holds.
func (l *Log) firstSeq() uint64 {
	if list := *l.segments.Load(); len(list) > 0 {
		return list[0].baseSeq()
	}
	return 1
}

// activeFrame is the offset of the last sparse entry of an unsealed segment
// that before accepts.
func (l *Log) activeFrame(s *segmentFile, before func(segment.Frame) bool) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	frames := s.tail.frames
	i := sort.Search(len(frames), func(i int) bool { return !before(frames[i]) })
	if i == 0 {
		return segment.HeaderBytes
	}
	return frames[i-1].Offset
}

func (r *Reader) seekSeq(seq uint64) error {
	first := r.log.firstSeq()
	if seq != 0 && seq < first {
		return fmt.Errorf("%w: sequence %d, the first kept is %d", ErrTrimmed, seq, first)
	}
	r.want = max(seq, first)
	return nil
}

// seekTime goes to the first segment whose maximum timestamp reaches t, or to lost
// ones in front of it that may hold what is looked for.
func (r *Reader) seekTime(ctx context.Context, t int64) error {
	r.from = t
	last := r.log.watermark(r.opts.Level) // of records that the list below holds
	s := r.log.segmentAtTime(ctx, t)
	if s == nil {
		r.want = max(r.log.firstSeq(), last+1)
		return nil
	}
	r.want = s.baseSeq()
	if s.lost != "" {
		return nil // the walk meets it
	}
	active := r.log.activeFrame(s, func(f segment.Frame) bool { return f.FirstSeq == s.baseSeq() || f.MaxTimestamp < t })
	err := r.pin(ctx, s, func(index *segment.Index) int64 { return index.SeekTime(t) }, active)
	if err != nil || r.seg == nil {
		return err
	}
	return r.takeSeqAt(ctx)
}

// segmentAtTime is the first segment that may hold a timestamp of t or more, nil if
// none does. Of a lost one the segments around it tell, as far as clocks go on.
func (l *Log) segmentAtTime(ctx context.Context, t int64) *segmentFile {
	var lost *segmentFile // the first of those that are lost right in front
	for _, s := range *l.segments.Load() {
		footer := s.seal.Load()
		switch {
		case s.lost != "":
			if lost == nil {
				lost = s
			}
		case footer != nil && footer.Count == 0:
		case footer != nil && footer.MaxTimestamp < t:
			lost = nil
		case lost != nil && !l.beginsBefore(ctx, s, t):
			return lost
		default:
			return s
		}
	}
	return lost
}

// beginsBefore reports whether the first record of a segment is known to be older
// than t.
func (l *Log) beginsBefore(ctx context.Context, s *segmentFile, t int64) bool {
	if footer := s.seal.Load(); footer != nil {
		return footer.FirstTimestamp < t
	}
	before := false
	err := l.eachRecordBetween(ctx, s.baseSeq(), s.baseSeq(), Written, func(*DamageError) {}, func(rec Record) { before = rec.Timestamp < t })
	return err == nil && before
}

// takeSeqAt makes the sequence of the record at the offset the wanted one.
func (r *Reader) takeSeqAt(ctx context.Context) error {
	record, err := r.peek(ctx)
	switch {
	case err != nil || r.seg == nil:
		return err
	case record == nil:
		r.offset = segment.HeaderBytes // let the walk find the damage
	case record.Flags&segment.FlagControl != 0:
		r.want = max(r.want, record.Seq+1)
	default:
		r.want = max(r.want, record.Seq)
	}
	return nil
}

// peek decodes the record at the offset, nil if it does not verify.
func (r *Reader) peek(ctx context.Context) (*segment.Record, error) {
	if r.offset < segment.HeaderBytes || r.offset >= r.end {
		return nil, nil
	}
	for moved := true; moved && r.object != nil; {
		var err error
		if moved, err = r.loadFrame(ctx); err != nil {
			return nil, err
		}
	}
	if r.seg == nil {
		return nil, nil
	}
	var record segment.Record
	at, end := r.offset-r.start, min(r.end-r.start, int64(len(r.bytes)))
	verifies := false
	if at < end {
		fault := vfs.Guard(func() {
			_, err := segment.DecodeRecord(r.bytes[at:end], r.seg.header.Salt, &record)
			verifies = err == nil
		})
		verifies = verifies && fault == nil
	}
	if !verifies {
		return nil, nil
	}
	return &record, nil
}

// seekRecordID goes to the record at a place.
func (r *Reader) seekRecordID(ctx context.Context, id RecordID) error {
	notFound := fmt.Errorf("%w: no record at segment %d, offset %d", ErrNotFound, id.Segment(), id.Offset())
	list := *r.log.segments.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].id() >= id.Segment() })
	if i == len(list) || list[i].id() != id.Segment() || list[i].lost != "" || id.Offset() < segment.HeaderBytes || id.Offset()%8 != 0 {
		return notFound
	}
	r.want = list[i].baseSeq()
	if err := r.pin(ctx, list[i], func(*segment.Index) int64 { return id.Offset() }, id.Offset()); err != nil {
		return err
	}
	record, err := r.peek(ctx)
	if err != nil {
		return err
	}
	if record == nil || record.Flags&segment.FlagControl != 0 {
		return notFound
	}
	r.want = record.Seq
	return nil
}

// extentAt is the damaged range at the reader's offset.
func (r *Reader) extentAt() segment.Extent {
	if r.object != nil {
		return r.extentInFrame()
	}
	var extent segment.Extent
	known := r.seg.known()
	if !known.Complete {
		known = segment.Known{RecordsEnd: r.end, LastSeq: min(r.seg.lastSeq.Load(), r.mark), Complete: true}
	}
	find := func() { extent = segment.DamageAt(r.bytes, r.offset, r.seg.header, r.want, known) }
	if fault := vfs.Guard(find); fault != nil && r.copyFile() == nil {
		find()
	}
	extent.Damaged = true
	return extent
}

// damaged goes on in another copy, if there is one; else it reports a range and,
// if that is asked for, skips it.
func (r *Reader) damaged(ctx context.Context, extent segment.Extent) error {
	damage := r.log.damage(r.seg, extent)
	damage.Path = r.log.copyPath(r.seg, r.tier)
	if damage.LastSeq >= r.want && !r.wasDamaged(extent.Offset) {
		r.log.noteBadCopy(r.seg, r.tier, damage)
		r.failed.note(r.tier, damage)
		return r.another(ctx, r.seg, r.offset)
	}
	if err := r.skip(damage); err != nil {
		return err
	}
	if extent.End <= r.offset {
		extent.End = r.end // what is missing at the end of a file costs no record: a mark
	}
	r.offset = max(extent.End, r.offset)
	return nil
}

func (r *Reader) skip(damage *DamageError) error {
	if damage.LastSeq >= r.want {
		if r.opts.SkipDamaged == nil {
			return damage
		}
		r.opts.SkipDamaged(damage)
		r.want = damage.LastSeq + 1
	}
	r.record = nil
	r.ahead.drop()
	return nil
}

// copyFile replaces a map that faulted by a copy that is read piece by piece:
// what cannot be read is zeros there, which no record verifies with.
func (r *Reader) copyFile() error {
	contents, err := readPieces(r.seg.fs, r.seg.path, r.seg.bytes.Load())
	if err != nil {
		return fmt.Errorf("copy segment %d: %w", r.seg.id(), err)
	}
	r.bytes, r.copied = contents, true
	return nil
}

// readPieces reads a file of which some pages cannot be read.
func readPieces(fs vfs.FS, path string, size int64) (_ []byte, err error) {
	const piece = 4096
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, file.Close()) }()
	contents := make([]byte, size)
	for at := int64(0); at < size; at += piece {
		part := contents[at:min(at+piece, size)]
		if n, err := file.ReadAt(part, at); err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			clear(part[n:])
		}
	}
	return contents, nil
}
