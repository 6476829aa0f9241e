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
// Where damage may have taken one of them, the error is that damage, and seq is
// where a reader has to begin that is to meet it and the records found.
//
// Sealed segments that hold no match are skipped by their index, every other one
// is read whole, from the newest back: a subject that was used lately is found
// in the time that one segment takes. ctx bounds the search.
func (l *Log) SeqOfLast(ctx context.Context, count uint64, filters []string) (seq, found uint64, err error) {
	last, first := l.durable.Load(), l.firstSeq()
	if count == 0 || last < first {
		return 0, 0, nil
	}
	if len(filters) == 0 {
		found = min(count, last-first+1)
		return last - found + 1, found, nil
	}
	search := lastSearch{log: l, last: last, count: count, filters: filters}
	list := *l.segments.Load()
	for i := len(list) - 1; i >= 0 && search.found < count; i-- {
		if list[i].baseSeq() > last {
			continue
		}
		if i+1 < len(list) && list[i].ended() && list[i].lastSeq.Load()+1 < list[i+1].baseSeq() {
			search.note([]*DamageError{l.missing(list[i].lastSeq.Load()+1, list[i+1])})
		}
		if err := search.searchSegment(ctx, list[i]); err != nil {
			return 0, 0, fmt.Errorf("search segment %d for the last records: %w", list[i].id(), err)
		}
	}
	if search.damage != nil {
		if search.found == 0 || search.damage.FirstSeq < search.seq {
			search.seq = search.damage.FirstSeq
		}
		return search.seq, search.found, search.damage
	}
	return search.seq, search.found, nil
}

// lastSearch is one look for the last records, from the newest back.
type lastSearch struct {
	log     *Log
	last    uint64 // none above it counts
	count   uint64
	filters []string

	seq    uint64 // the first of those found
	found  uint64
	damage *DamageError // the first range that may hold one of the last, if there is any
}

// searchSegment takes a segment's last sequences that match.
func (f *lastSearch) searchSegment(ctx context.Context, s *segmentFile) error {
	if s.lost != "" {
		f.note([]*DamageError{f.log.lossOf(s, s.baseSeq())})
		return nil
	}
	if s.seal.Load() != nil {
		newest, damaged, err := f.lastOfAny(ctx, s)
		switch {
		case err != nil:
			return err
		case newest == 0:
			f.note(damaged)
			return nil
		case f.count == 1 && newest <= f.last:
			f.take([]uint64{newest}, damaged)
			return nil
		}
	}
	matches, damaged, err := f.log.readMatches(ctx, s, min(f.last, s.lastSeq.Load()), f.count-f.found, f.filters)
	if err == nil {
		f.take(matches, damaged)
	}
	return err
}

// take notes what matches in a segment, in order, and what is damaged there.
func (f *lastSearch) take(matches []uint64, damaged []*DamageError) {
	if len(matches) > 0 {
		f.seq = matches[0]
		f.found += uint64(len(matches))
	}
	f.note(damaged)
}

// note notes the first of the ranges, in order, that may hold one of the last: all
// of them until enough is found, then those behind the first one found.
func (f *lastSearch) note(damaged []*DamageError) {
	for _, damage := range damaged {
		if damage.CostsRecords() && (f.found < f.count || damage.LastSeq > f.seq) {
			f.damage = damage
			return
		}
	}
}

// lastOfAny is the last sequence of a sealed segment that matches, 0 if none
// does, and the ranges behind it that nobody can read.
func (f *lastSearch) lastOfAny(ctx context.Context, s *segmentFile) (newest uint64, damaged []*DamageError, err error) {
	for _, filter := range f.filters {
		last, damage, err := f.log.lastInSegment(ctx, s, []byte(filter), farthest())
		if err != nil {
			return 0, nil, err
		}
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		newest = max(newest, last)
		if damage != nil {
			damaged = append(damaged, damage)
		}
	}
	return newest, damaged, nil
}

// readMatches reads a segment's records up to a sequence. It returns the last that
// match, at most count, and the damaged ranges, in order.
func (l *Log) readMatches(ctx context.Context, s *segmentFile, to, count uint64, filters []string) (matches []uint64, damaged []*DamageError, err error) {
	if to < s.baseSeq() {
		return nil, nil, nil
	}
	note := func(damage *DamageError) { damaged = append(damaged, damage) }
	reader, err := l.NewReader(ReadOptions{FromSeq: s.baseSeq(), ToSeq: to, Subjects: filters, SkipDamaged: note})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = joinClose(err, reader.Close()) }()
	ring, n := make([]uint64, 0, min(count, lastCheckRecords)), uint64(0)
	for {
		if n%lastCheckRecords == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		rec, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if uint64(len(ring)) < count {
			ring = append(ring, rec.Seq)
		} else {
			ring[n%count] = rec.Seq
		}
		n++
	}
	if n <= count {
		return ring, damaged, nil
	}
	oldest := n % count
	return append(append(make([]uint64, 0, count), ring[oldest:]...), ring[:oldest]...), damaged, nil
}
