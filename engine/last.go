package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// lastCheckRecords is how many records a search reads between two looks at its
// context.
const lastCheckRecords = 1024

// SeqOfLast returns the sequence of the count-th last durable record whose
// subject matches any of the filters; no filters: of all records. found is how
// many there are, at most count; if there are fewer, seq is the first of them,
// and 0 if there is none.
//
// Sealed segments that hold no match are skipped by their index, every other one
// is read whole, from the newest back: a subject that was used lately is found
// in the time that one segment takes. ctx bounds the search. Damaged records
// match nothing.
func (l *Log) SeqOfLast(ctx context.Context, count uint64, filters []string) (seq, found uint64, err error) {
	last, first := l.durable.Load(), l.firstSeq()
	if count == 0 || last < first {
		return 0, 0, nil
	}
	if len(filters) == 0 {
		found = min(count, last-first+1)
		return last - found + 1, found, nil
	}
	list := *l.segments.Load()
	for i := len(list) - 1; i >= 0 && found < count; i-- {
		if list[i].baseSeq() > last {
			continue
		}
		matches, err := l.lastMatches(ctx, list[i], last, count-found, filters)
		if err != nil {
			return 0, 0, fmt.Errorf("search segment %d for the last records: %w", list[i].id(), err)
		}
		if len(matches) > 0 {
			seq = matches[0]
			found += uint64(len(matches))
		}
	}
	return seq, found, nil
}

// lastMatches returns the last sequences of a segment that match, at most count
// and none above last, in order.
func (l *Log) lastMatches(ctx context.Context, s *segmentFile, last, count uint64, filters []string) ([]uint64, error) {
	if s.lost != "" {
		return nil, nil
	}
	if s.seal.Load() != nil {
		newest, err := l.lastOfAny(ctx, s, filters)
		switch {
		case err != nil || newest == 0:
			return nil, err
		case count == 1 && newest <= last:
			return []uint64{newest}, nil
		}
	}
	return l.readMatches(ctx, s, min(last, s.lastSeq.Load()), count, filters)
}

// lastOfAny is the last sequence of a sealed segment that matches, 0 if none
// does.
func (l *Log) lastOfAny(ctx context.Context, s *segmentFile, filters []string) (newest uint64, err error) {
	for _, filter := range filters {
		last, _, err := l.lastInSegment(ctx, s, []byte(filter), farthest())
		if err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		newest = max(newest, last)
	}
	return newest, nil
}

// readMatches reads a segment's records up to a sequence.
func (l *Log) readMatches(ctx context.Context, s *segmentFile, to, count uint64, filters []string) (matches []uint64, err error) {
	if to < s.baseSeq() {
		return nil, nil
	}
	reader, err := l.NewReader(ReadOptions{FromSeq: s.baseSeq(), ToSeq: to, Subjects: filters, SkipDamaged: func(*DamageError) {}})
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, reader.Close()) }()
	ring, n := make([]uint64, 0, min(count, lastCheckRecords)), uint64(0)
	for {
		if n%lastCheckRecords == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		rec, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if uint64(len(ring)) < count {
			ring = append(ring, rec.Seq)
		} else {
			ring[n%count] = rec.Seq
		}
		n++
	}
	if n <= count {
		return ring, nil
	}
	oldest := n % count
	return append(append(make([]uint64, 0, count), ring[oldest:]...), ring[:oldest]...), nil
}
