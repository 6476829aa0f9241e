package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// BatchOptions says how AppendBatch treats its records.
type BatchOptions struct {
	// Atomic keeps the batch whole: after a crash all of it is there or
	// nothing. It must fit in one segment.
	Atomic bool
}

// Append copies rec into the commit buffer and returns its sequence number. It
// does no I/O and never blocks for longer than another append takes; Wait says
// when the record is safe. Errors: ErrBackpressure, ErrTooLarge,
// ErrInvalidRecord, ErrPoisoned, ErrClosed, ErrReadOnly.
func (l *Log) Append(rec *Record) (uint64, error) {
	size, err := l.validate(rec)
	if err != nil {
		return 0, err
	}
	id := l.idOf(rec)
	l.mu.Lock()
	seq, err := l.appendLocked(rec, size)
	if err == nil {
		l.noteIDLocked(id, seq)
	}
	l.mu.Unlock()
	return seq, err
}

// AppendSync appends rec and waits until it is durable. Unlike Append it waits
// for room when the segments roll over or too much is unsynced, until ctx ends.
// If ctx ends after the append, the record may still become durable.
func (l *Log) AppendSync(ctx context.Context, rec *Record) (uint64, error) {
	for {
		seq, err := l.Append(rec)
		if err == nil {
			return seq, l.Wait(ctx, seq, Durable)
		}
		var full *BackpressureError
		if !errors.As(err, &full) || full.Kind == Admission {
			return 0, err
		}
		if waitErr := l.awaitRoom(ctx, l.encodedBytes(rec)); waitErr != nil {
			return 0, errors.Join(err, waitErr)
		}
	}
}

// AppendBatch appends recs one behind the other, with nothing between them, and
// returns the first sequence number. Either all of them are appended or none.
func (l *Log) AppendBatch(recs []Record, opts BatchOptions) (uint64, error) {
	var total int64
	for i := range recs {
		size, err := l.validate(&recs[i])
		if err != nil {
			return 0, fmt.Errorf("record %d of the batch: %w", i, err)
		}
		total += size
	}
	if opts.Atomic && !emptyTail(l.opts.SegmentBytesMax).fits(total) {
		return 0, fmt.Errorf("%w: an atomic batch of %d bytes", ErrTooLarge, total)
	}
	if len(recs) == 0 {
		return 0, invalidRecord("the batch is empty")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appendBatchLocked(recs, total, opts)
}

func (l *Log) appendBatchLocked(recs []Record, total int64, opts BatchOptions) (first uint64, err error) {
	if err := l.admitLocked(total); err != nil {
		return 0, err
	}
	if opts.Atomic {
		l.tailForLocked(total)
	}
	for i := range recs {
		var flags segment.Flags
		if opts.Atomic && i < len(recs)-1 {
			flags = segment.FlagBatchContinues
		}
		seq := l.encodeLocked(&recs[i], l.encodedBytes(&recs[i]), flags)
		if i == 0 {
			first = seq
		}
		l.noteIDLocked(l.idOf(&recs[i]), seq)
	}
	return first, nil
}

// validate checks what the format asks of a record, before any lock is taken,
// and returns its encoded length.
func (l *Log) validate(rec *Record) (int64, error) {
	if len(rec.Subject) > subjectBytesMax {
		return 0, invalidRecord("the subject is longer than 65,535 bytes")
	}
	if len(rec.Headers) > 0 {
		if err := validateHeaders(rec.Headers); err != nil {
			return 0, err
		}
	}
	subjectBytes, headersBytes, payloadBytes := len(l.subjectOf(rec)), len(rec.Headers), len(rec.Payload)
	return l.checkSize(subjectBytes, headersBytes, payloadBytes)
}

// checkSize returns the encoded length of a record whose parts have these
// lengths, or ErrTooLarge.
func (l *Log) checkSize(subjectBytes, headersBytes, payloadBytes int) (int64, error) {
	if err := segment.CheckSizes(subjectBytes, headersBytes, payloadBytes); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	size := int64(segment.RecordBytes(subjectBytes, headersBytes, payloadBytes))
	if size > l.opts.SegmentBytesMax/2 && !emptyTail(l.opts.SegmentBytesMax).fits(size) {
		return 0, fmt.Errorf("%w: a record of %d bytes in segments of at most %d", ErrTooLarge, size, l.opts.SegmentBytesMax)
	}
	return size, nil
}

func (l *Log) encodedBytes(rec *Record) int64 {
	return int64(segment.RecordBytes(len(l.subjectOf(rec)), len(rec.Headers), len(rec.Payload)))
}

func (l *Log) subjectOf(rec *Record) []byte {
	if len(rec.Subject) == 0 {
		return l.defaultSubject
	}
	return rec.Subject
}

func (l *Log) appendLocked(rec *Record, size int64) (uint64, error) {
	if err := l.admitLocked(size); err != nil {
		return 0, err
	}
	return l.encodeLocked(rec, size, 0), nil
}

// admitLocked says whether so many bytes may be appended now.
func (l *Log) admitLocked(bytes int64) error {
	if l.mu.appendStop != nil {
		return l.mu.appendStop
	}
	if err := l.usableLocked(); err != nil {
		return err
	}
	switch {
	case l.mu.pressure.noRoom != nil && (l.mu.tail == nil || !l.mu.tail.tail.fits(bytes)):
		return l.refuseLocked(Admission, "no room for another segment", l.mu.pressure.noRoom)
	case l.overUnflushedLocked(bytes):
		kind := Flush
		if l.mu.pressure.rolling {
			kind = Rollover
		}
		l.demandLocked(l.appended.Load())
		return l.refuseLocked(kind, fmt.Sprintf("%d of %d bytes wait to be synced", l.unflushedLocked(), l.opts.UnflushedBytesMax), nil)
	}
	l.clearPressureLocked()
	return nil
}

func (l *Log) unflushedLocked() int64 { return int64(l.mu.encoded - l.flushed.Load()) }

// overUnflushedLocked reports whether so many bytes more would pass the limit
// on what is not yet synced. Anything is let in where nothing is unsynced.
func (l *Log) overUnflushedLocked(bytes int64) bool {
	unflushed := l.unflushedLocked()
	return unflushed > 0 && unflushed+bytes > l.opts.UnflushedBytesMax
}

// encodeLocked gives rec the next sequence number and encodes it. The caller
// has admitted its size: it cannot fail.
func (l *Log) encodeLocked(rec *Record, size int64, flags segment.Flags) uint64 {
	s := l.tailForLocked(size)
	seq := l.appended.Load() + 1
	timestamp := rec.Timestamp
	if timestamp == 0 {
		timestamp = l.now()
	}
	if rec.SnapshotBoundary {
		flags |= segment.FlagSnapshotBoundary
	}
	encoded := segment.Record{
		Seq: seq, Timestamp: timestamp, ExtID: rec.ExtID, Unsynced: s.unsyncedAtTail(), Flags: flags,
		Subject: l.subjectOf(rec), Headers: rec.Headers, Payload: rec.Payload,
	}
	span := l.mu.open.reserve(s, size, &l.engine.blocks)
	span.bytes = segment.AppendRecord(span.bytes, s.header.Salt, &encoded)
	span.lastSeq, l.mu.open.lastSeq = seq, seq
	s.tail.note(seq, timestamp, size)
	l.mu.encoded += uint64(size)
	l.appended.Store(seq)
	l.subjects.noteLocked(encoded.Subject, seq)
	l.signalLocked()
	return seq
}

// tailForLocked returns the segment that takes so many bytes next: the active
// one, or a new one whose file the committer will make.
func (l *Log) tailForLocked(bytes int64) *segmentFile {
	s := l.mu.tail
	if s != nil && !l.mu.epochTaken && s.tail.fits(bytes+segment.EpochMarkBytes) {
		l.takeEpochLocked(s)
	}
	if s == nil || !l.mu.epochTaken || !s.tail.fits(bytes) {
		s = l.newTailLocked(bytes)
	}
	return s
}

// newTailLocked assigns the next segment.
func (l *Log) newTailLocked(bytes int64) *segmentFile {
	l.retireTailLocked()
	if !l.mu.epochTaken {
		l.mu.epoch++
		l.mu.epochTaken = true
	}
	base := l.appended.Load() + 1
	capacity := l.mu.nextCapacity
	if !emptyTail(capacity).fits(bytes) {
		capacity = l.capacityFor(capacity, bytes)
	}
	l.mu.nextCapacity = l.capacityFor(capacity, 0)
	s := &segmentFile{fs: l.engine.opts.FS, tail: *emptyTail(capacity)}
	s.header = segment.Header{
		LogID: l.id, ID: l.mu.nextSegmentID, BaseSeq: base, Created: max(0, l.now()),
		Epoch: l.mu.epoch, Salt: l.engine.opts.random(),
	}
	s.tail.lastSeq = base - 1
	s.lastSeq.Store(base - 1)
	s.path = l.paths.segment(segmentName{id: s.id(), baseSeq: base, created: s.header.Created})
	s.writtenEnd.Store(segment.HeaderBytes)
	s.durableEnd.Store(segment.HeaderBytes)
	l.mu.nextSegmentID++
	l.setTailLocked(s)
	return s
}

// takeEpochLocked writes the mark of a new owner into a segment that the last
// owner closed cleanly.
func (l *Log) takeEpochLocked(s *segmentFile) {
	l.mu.epoch++
	l.mu.epochTaken = true
	s.epoch = l.mu.epoch
	l.encodeMarkLocked(s, func(dst []byte) []byte {
		return segment.AppendEpochMark(dst, s.header.Salt, l.appended.Load(), s.unsyncedAtTail(), l.now(), l.mu.epoch)
	})
}

// encodeMarkLocked encodes control records at the tail. They carry no sequence.
func (l *Log) encodeMarkLocked(s *segmentFile, encode func([]byte) []byte) {
	span := l.mu.open.reserve(s, segment.MarkPairBytesMax, &l.engine.blocks)
	before := len(span.bytes)
	span.bytes = encode(span.bytes)
	size := int64(len(span.bytes) - before)
	s.tail.end += size
	last := l.appended.Load()
	span.lastSeq, l.mu.open.lastSeq = last, last
	l.mu.encoded += uint64(size)
}

// unsyncedAtTail is how many bytes in front of the tail are not yet durable.
func (s *segmentFile) unsyncedAtTail() uint32 {
	return uint32(s.tail.end - s.durableEnd.Load())
}

// signalLocked makes the committer look.
func (l *Log) signalLocked() {
	if l.mu.signaled {
		return
	}
	l.mu.signaled = true
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// demandLocked asks that everything up to seq become durable.
func (l *Log) demandLocked(seq uint64) {
	if seq <= l.mu.demandSeq {
		return
	}
	l.mu.demandSeq = seq
	if seq > l.mu.swappedSeq || !l.mu.syncing {
		l.signalLocked()
	}
}
