package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file looks for the last record of a filter in sealed segments, from the
// newest back.

// lastInSealed is the last sequence of a filter in the sealed segments, 0 if
// there is none. Where damage may have taken a later one, the error is that
// damage: what cannot be read must not count as never written. The error matches
// errNotAtHand if the look-up would have to go farther than far.
func (l *Log) lastInSealed(ctx context.Context, filter []byte, far *reach) (uint64, error) {
	list, wanted := *l.segments.Load(), newWanted(filter)
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		if i+1 < len(list) && s.lastSeq.Load()+1 < list[i+1].baseSeq() {
			return 0, l.missing(s.lastSeq.Load()+1, list[i+1])
		}
		if s.lost != "" {
			return 0, l.lossOf(s, s.baseSeq())
		}
		if s.seal.Load() == nil {
			continue
		}
		if far.asks--; far.asks < 0 {
			return 0, errNotAtHand
		}
		if l.lacks(s, &wanted, far) {
			continue
		}
		last, doubt, err := l.lastInTurn(ctx, s, &wanted, far)
		if err == nil && doubt != nil && doubt.LastSeq > last {
			err = doubt
		}
		if last > 0 || err != nil {
			return last, err
		}
	}
	return 0, nil
}

// lastInTurn is lastInSegment for one look-up after the other.
func (l *Log) lastInTurn(ctx context.Context, s *segmentFile, w *wanted, far *reach) (last uint64, doubt *DamageError, err error) {
	if far.bucket && s.sketch.Load() == nil && l.isLocal(s) {
		l.subjects.learning.Lock()
		defer l.subjects.learning.Unlock()
		if l.lacks(s, w, far) {
			return 0, nil, nil
		}
	}
	return l.lastInSegment(ctx, s, w.filter, far)
}

// lastInSegment is the last sequence of a filter in a sealed segment, and the
// last range behind it that nobody can read, nil if there is none.
func (l *Log) lastInSegment(ctx context.Context, s *segmentFile, filter []byte, far *reach) (last uint64, doubt *DamageError, err error) {
	index, err := l.indexWithin(ctx, s, filter, far)
	if err != nil {
		return 0, nil, err
	}
	if far.keep {
		l.keepIndex(s, index)
	}
	// Filters of an index deny a subject, and name none: all is read once for a sketch.
	learn := far.keep && far.bucket && s.sketch.Load() == nil && !s.sketchDropped.Load() && l.isLocal(s)
	if last, exact := lastInIndex(index, filter); exact && (!learn || index.Damaged()) {
		return last, nil, nil
	}
	if far.bucket && s.sketch.Load() == nil {
		return l.lastInRecords(ctx, s, filter, far)
	}
	return l.lastInFrames(ctx, s, index, filter, far)
}

// indexWithin returns the index of a sealed segment if it is near enough.
func (l *Log) indexWithin(ctx context.Context, s *segmentFile, filter []byte, far *reach) (*segment.Index, error) {
	if index := l.indexInMemory(s); index != nil {
		cost := int64(lookBytes)
		if !isLiteral(filter) {
			cost = index.MemoryBytes() // all of it is gone through
		}
		return index, far.spend(cost)
	}
	if !far.bucket && !l.isLocal(s) {
		return nil, fmt.Errorf("segment %d: %w", s.id(), errNotAtHand)
	}
	if err := far.spend(lookBytes + l.indexBytes(s)); err != nil {
		return nil, err
	}
	return l.indexOf(ctx, s, far)
}

// indexInMemory is the index of an object of a segment that was opened lately, nil
// if there is none.
func (l *Log) indexInMemory(s *segmentFile) *segment.Index {
	entry := l.entryOf(s)
	if entry == nil {
		return nil
	}
	for _, t := range []manifest.Tier{manifest.TierWarm, manifest.TierCold} {
		if !entry.Resident.Has(t) {
			continue
		}
		if object := l.engine.objects.get(l.objectKey(entry, t)); object != nil {
			return object.Index()
		}
	}
	return nil
}

// indexBytes is how much is read for an index, about.
func (l *Log) indexBytes(s *segmentFile) int64 {
	footer, entry := s.seal.Load(), l.entryOf(s)
	switch {
	case footer.IndexBytes > 0:
		return int64(footer.IndexBytes)
	case entry != nil && entry.Warm.TailBytes > 0:
		return int64(entry.Warm.TailBytes)
	}
	return segment.IndexBytesMax(int64(footer.IndexOffset))
}

// isLocal reports whether the bucket is not needed to read a segment: because a
// local copy is good, or because the bucket has none that could help.
func (l *Log) isLocal(s *segmentFile) bool {
	entry := l.entryOf(s)
	if entry == nil || l.folder == nil || !entry.Resident.Has(manifest.TierCold) {
		return true
	}
	return trusted(s, entry).Without(manifest.TierCold) != 0
}

// lastInIndex is the last sequence of a filter in a segment, if its index knows
// it.
func lastInIndex(index *segment.Index, filter []byte) (last uint64, exact bool) {
	if index.Damaged() {
		return 0, false // it was made from what was left
	}
	if isLiteral(filter) {
		subject, present, exact := index.Lookup(string(filter))
		if exact || !present {
			return subject.LastSeq, true
		}
	}
	subjects, exact := index.Subjects()
	if !exact {
		return 0, false
	}
	for subject := range subjects {
		if subject.LastSeq > last && MatchSubject(filter, []byte(subject.Name)) {
			last = subject.LastSeq
		}
	}
	return last, true
}

// lastInRecords reads all of a segment.
func (l *Log) lastInRecords(ctx context.Context, s *segmentFile, filter []byte, far *reach) (last uint64, doubt *DamageError, err error) {
	var gathered sketcher
	count := uint64(0)
	note := func(damage *DamageError) { doubt = damage }
	err = l.eachRecordBetween(ctx, s.baseSeq(), s.lastSeq.Load(), Durable, note, func(rec Record) {
		count++
		if far.keep {
			gathered.add(rec.Subject)
		}
		if MatchSubject(filter, rec.Subject) {
			last = rec.Seq
		}
	})
	if far.keep && err == nil && doubt == nil && count == s.lastSeq.Load()+1-s.baseSeq() {
		l.subjects.keep(s, gathered.sketch())
	}
	return last, doubt, err
}

// lastInFrames reads the frames of a segment that may hold what is looked for,
// from the last back.
func (l *Log) lastInFrames(ctx context.Context, s *segmentFile, index *segment.Index, filter []byte, far *reach) (last uint64, doubt *DamageError, err error) {
	var literal []string
	if isLiteral(filter) {
		literal = []string{string(filter)}
	}
	all := index.Frames()
	numbers := index.FramesMatching(func(subject []byte) bool { return MatchSubject(filter, subject) }, literal)
	for _, number := range slices.Backward(numbers) {
		end, to := int64(s.seal.Load().IndexOffset), s.lastSeq.Load()
		if number+1 < len(all) {
			end, to = all[number+1].Offset, all[number+1].FirstSeq-1
		}
		if err := far.spend(end - all[number].Offset); err != nil {
			return 0, nil, fmt.Errorf("segment %d: %w", s.id(), err)
		}
		last, doubt, err = l.lastBetween(ctx, all[number].FirstSeq, to, filter, far)
		if last > 0 || doubt != nil || err != nil {
			break
		}
	}
	return last, doubt, err
}

// lastBetween reads the records from one sequence to another.
func (l *Log) lastBetween(ctx context.Context, from, to uint64, filter []byte, far *reach) (last uint64, doubt *DamageError, err error) {
	if from > to {
		return 0, nil, nil
	}
	reader, err := l.NewReader(ReadOptions{
		FromSeq: from, ToSeq: to, Subjects: []string{string(filter)}, SkipDamaged: func(damage *DamageError) { doubt = damage }, near: !far.bucket,
	})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = joinClose(err, reader.Close()) }()
	for rec, err := range reader.All(ctx) {
		if err != nil {
			return 0, nil, err
		}
		last = rec.Seq
	}
	return last, doubt, nil
}
