package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// ReadOptions says where a reader begins, what it returns and where it ends. At
// most one of the From fields is set; with none it begins at the first record.
type ReadOptions struct {
	FromSeq      uint64
	FromTime     int64 // nanoseconds: the first record at which the maximum timestamp so far reaches it
	FromRecordID RecordID
	// ToSeq is the last sequence to return; 0: no such end.
	ToSeq uint64
	// Subjects are filters with NATS wildcards; a record that matches any is
	// returned. None: all records.
	Subjects []string
	// Follow waits for new records at the end instead of returning io.EOF.
	Follow bool
	// Level is how safe a record must be to be returned: Durable or Written.
	Level Level
	// SkipDamaged is called for each damaged range, which is then skipped. Nil:
	// Next returns the *DamageError and does not move on.
	SkipDamaged func(*DamageError)

	// near keeps the reader from the bucket: its error matches errNotAtHand.
	near bool
}

// Reader walks a log in order of sequence. It never returns a record that does
// not verify, and never a record past the watermark of its level. It is for one
// goroutine at a time; Close may be called from any goroutine only when Next
// does not run.
type Reader struct {
	log     *Log
	opts    ReadOptions
	filters [][]byte

	want   uint64 // the next sequence
	from   int64  // timestamps before this are skipped until one reaches it
	seg    *segmentFile
	bytes  []byte // the pinned map of seg, a copy where the map faulted, or a frame of object
	start  int64  // where bytes begin in the segment
	copied bool
	object *tier.Object  // where seg is read from, nil while that is its hot file
	tier   manifest.Tier // that seg is read from
	failed copiesFailed
	offset int64
	end    int64  // readable so far
	mark   uint64 // the watermark before end was looked up: the records up to it lie before end

	ahead  verified
	record *segment.Record // the one that was taken last, nil after damage
	at     RecordID
	closed bool
}

// ctxCheckRecords is how many records are passed over between two looks at the
// context.
const ctxCheckRecords = 256

// openTimeout bounds what opening a reader at a time or a record id, or opening a
// log whose dedup window is only cold, may read from the bucket.
const openTimeout = time.Minute

// NewReader opens a reader. It must be closed. Where it begins at a time or a
// record id, it may have to read an index from the bucket, for a minute at most
// and no longer than until the log is closed. Errors: ErrInvalidOptions,
// ErrTrimmed for a sequence that retention removed, ErrNotFound for a record id
// that points at no record, ErrClosed.
func (l *Log) NewReader(opts ReadOptions) (*Reader, error) {
	r := &Reader{log: l, opts: opts}
	if err := r.checkOptions(); err != nil {
		return nil, err
	}
	if l.closed() {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(l.moving, openTimeout)
	defer cancel()
	var err error
	switch {
	case opts.FromRecordID != 0:
		err = r.seekRecordID(ctx, opts.FromRecordID)
	case opts.FromTime != 0:
		err = r.seekTime(ctx, opts.FromTime)
	default:
		err = r.seekSeq(opts.FromSeq)
	}
	if err != nil {
		return nil, errors.Join(l.endedBy(err), r.Close())
	}
	return r, nil
}

func (r *Reader) checkOptions() error {
	starts := 0
	for _, given := range []bool{r.opts.FromSeq != 0, r.opts.FromTime != 0, r.opts.FromRecordID != 0} {
		if given {
			starts++
		}
	}
	if starts > 1 {
		return invalidOption("give one of sequence, time and record id to read from")
	}
	if r.opts.Level == Cold {
		return invalidOption("a reader's level is durable or written")
	}
	for _, filter := range r.opts.Subjects {
		if filter == "" {
			return invalidOption("a subject filter is empty")
		}
		r.filters = append(r.filters, []byte(filter))
	}
	return nil
}

// Next returns the next record. Its memory is borrowed until the next call. It
// returns io.EOF at the end of what may be read (never when following), a
// *DamageError for a range that does not verify, ctx's error, ErrPoisoned or
// ErrClosed when a follower can get no more, ErrNewerFormat for a record that a
// newer version wrote.
func (r *Reader) Next(ctx context.Context) (Record, error) {
	for passed := 1; ; passed++ {
		if passed%ctxCheckRecords == 0 && ctx.Err() != nil {
			return Record{}, ctx.Err()
		}
		if r.closed {
			return Record{}, ErrClosed
		}
		if r.opts.ToSeq > 0 && r.want > r.opts.ToSeq {
			return Record{}, io.EOF
		}
		ready, err := r.position(ctx)
		if err != nil {
			return Record{}, err
		}
		if !ready {
			continue
		}
		if err := r.decode(ctx); err != nil {
			return Record{}, err
		}
		if r.accept() {
			return r.borrow(), nil
		}
	}
}

// position makes sure that r.offset points at bytes that may be read. It
// reports false when it moved and has to be asked again.
func (r *Reader) position(ctx context.Context) (bool, error) {
	if r.seg == nil {
		return false, r.enter(ctx)
	}
	if !r.ahead.empty() || r.offset < r.end {
		return true, nil
	}
	// What ends the segment is looked up before its end: the end is final by
	// the time that the segment has a successor or a footer. A segment of a
	// read-only log stays as it was seen: a refresh puts another in its place.
	holder, next, ended := r.log.segmentFor(r.want), r.log.segmentAfter(r.seg), r.seg.ended() || r.log.engine.readOnly
	r.look()
	switch last := r.seg.lastSeq.Load(); {
	case r.offset < r.end:
		return true, nil
	case holder != nil && holder != r.seg:
		return false, r.leave()
	case r.want <= last && (ended || next != nil):
		return false, r.damaged(ctx, r.extentAt())
	case next != nil && r.want > last && r.want < next.baseSeq():
		return false, r.skip(r.log.missing(r.want, next))
	}
	return false, r.wait(ctx)
}

// look takes over how far the segment may be read now.
func (r *Reader) look() {
	r.mark = r.log.watermark(r.opts.Level)
	r.end = r.seg.readableEnd(r.opts.Level)
}

// wait waits until the watermark reaches the wanted sequence, or ends.
func (r *Reader) wait(ctx context.Context) error {
	if !r.opts.Follow {
		return io.EOF
	}
	return r.log.awaitAdvance(ctx, r.opts.Level, r.want-1)
}

// enter pins the segment that holds the wanted sequence.
func (r *Reader) enter(ctx context.Context) error {
	if r.want > r.log.watermark(r.opts.Level) {
		return r.wait(ctx)
	}
	s := r.log.segmentFor(r.want)
	if s == nil {
		return fmt.Errorf("%w: sequence %d", ErrTrimmed, r.want)
	}
	if s.lost != "" {
		return r.skip(r.log.lossOf(s, r.want))
	}
	s.lastRead.Store(r.log.now())
	return r.pin(ctx, s, func(index *segment.Index) int64 { return index.SeekSeq(r.want) }, r.log.activeFrame(s, func(f segment.Frame) bool { return f.FirstSeq <= r.want }))
}

// leave lets the segment go.
func (r *Reader) leave() error {
	s := r.seg
	if s == nil {
		return nil
	}
	object := r.object
	r.seg, r.bytes, r.record, r.object = nil, nil, nil, nil
	r.ahead.drop()
	if object != nil {
		return nil
	}
	return s.unpin()
}

// decode takes the next verified record and moves behind it.
func (r *Reader) decode(ctx context.Context) error {
	if r.ahead.empty() {
		if moved, err := r.verify(ctx); moved || err != nil {
			return err
		}
	}
	record := &r.ahead.records[r.ahead.next]
	isData := record.Flags&segment.FlagControl == 0
	if r.ahead.empty() || isData && record.Seq > r.want {
		return r.damaged(ctx, r.extentAt())
	}
	if r.ahead.newer[r.ahead.next] && isData && record.Seq == r.want {
		return fmt.Errorf("%w: log %s: record %d, segment %d at %d", ErrNewerFormat, r.log.name, r.want, r.seg.id(), r.offset)
	}
	r.record, r.at = record, NewRecordID(r.seg.id(), r.offset)
	r.offset = r.ahead.ends[r.ahead.next]
	r.ahead.next++
	return nil
}

// accept reports whether the decoded record is one to return.
func (r *Reader) accept() bool {
	if r.record == nil || r.record.Flags&segment.FlagControl != 0 || r.record.Seq < r.want {
		return false
	}
	r.want = r.record.Seq + 1
	r.failed = copiesFailed{}
	if r.from != 0 {
		if r.record.Timestamp < r.from {
			return false
		}
		r.from = 0
	}
	if len(r.filters) == 0 {
		return true
	}
	for _, filter := range r.filters {
		if MatchSubject(filter, r.record.Subject) {
			return true
		}
	}
	return false
}

func (r *Reader) borrow() Record {
	return Record{
		Seq: r.record.Seq, Timestamp: r.record.Timestamp, ExtID: r.record.ExtID,
		Subject: r.record.Subject, Headers: r.record.Headers, Payload: r.record.Payload,
		SnapshotBoundary: r.record.Flags&segment.FlagSnapshotBoundary != 0,
	}
}

// RecordID is the place of the record that Next returned last.
func (r *Reader) RecordID() RecordID { return r.at }

// All iterates over Next until it returns io.EOF, which it leaves out, or
// another error, which it yields last. Records are borrowed until the next
// step.
func (r *Reader) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			rec, err := r.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// Close lets the pinned segment go. Records that are still borrowed become
// invalid. Calling it again returns nil.
func (r *Reader) Close() error {
	r.closed = true
	return r.leave()
}

// eachRecordBetween visits the records between two sequences, and tells damaged of
// the ranges that cannot be read.
func (l *Log) eachRecordBetween(ctx context.Context, from, to uint64, level Level, damaged func(*DamageError), visit func(Record)) (err error) {
	if from > to {
		return nil
	}
	return l.eachRecordOf(ctx, ReadOptions{FromSeq: from, ToSeq: to, Level: level, SkipDamaged: damaged}, visit)
}

// eachRecordOf visits the records that a reader with these options returns.
func (l *Log) eachRecordOf(ctx context.Context, options ReadOptions, visit func(Record)) (err error) {
	r, err := l.NewReader(options)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, r.Close()) }()
	for rec, err := range r.All(ctx) {
		if err != nil {
			return err
		}
		visit(rec)
	}
	return nil
}

func joinClose(err, closeErr error) error { return errors.Join(err, closeErr) }
