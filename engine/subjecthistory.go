package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file looks up what sealed segments say about a subject. An append does
// not wait for the bucket, nor for long reads: what only the bucket knows, or what
// indexes do not, is looked up beside it.

const (
	// besideBytesMax is how many bytes of segments an append reads for its
	// condition where their indexes do not know the subject: a tenth of a second.
	besideBytesMax = 64 << 20
	// fetchesMax is how many filters are looked up beside appends at a time.
	fetchesMax = 8
	// fetchedMax is how many answers are kept for those who ask again.
	fetchedMax = 4096
	// fetchPatience bounds one look-up.
	fetchPatience = 5 * time.Minute
)

// errNotAtHand says that a look-up would have to go further than it may.
var errNotAtHand = errors.New("engine: what the segment says takes long to look up")

// reach is how far a look-up may go.
type reach struct {
	bucket bool
	bytes  int64 // of segments, whose records may be read where indexes do not know
}

// farthest is the reach of who can wait.
func farthest() *reach { return &reach{bucket: true, bytes: math.MaxInt64} }

// takeFetched is the answer for a filter that was fetched, if it still holds.
func (t *subjectTracker) takeFetched(filter []byte) (subjectHistory, bool) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	history, ok := t.fetched[string(filter)]
	if ok && (history.doubt != nil || t.staleLocked(history)) {
		delete(t.fetched, string(filter)) // doubt is told once, then looked into again
		return history, history.doubt != nil
	}
	return history, ok
}

// fetch starts to look a filter up, however far that is, and returns the refusal
// of the append that asks.
func (t *subjectTracker) fetch(filter string) error {
	return t.fetchOnce(filter, func(ctx context.Context, shed uint64) (func(), error) {
		last, err := t.log.lastInSealed(ctx, []byte(filter), farthest())
		history := subjectHistory{last: last, shed: shed}
		if errors.As(err, &history.doubt) {
			err = nil // who asks next is told
		}
		return func() {
			if len(t.fetched) >= fetchedMax {
				clear(t.fetched)
			}
			t.fetched[filter] = history
		}, err
	})
}

// lastIDRead makes sure that the id of the last record is known, or returns the
// refusal of the append that asks while it is read from the bucket.
func (l *Log) lastIDRead() error {
	l.mu.Lock()
	unread, last := l.mu.lastIDUnread, l.appended.Load()
	l.mu.Unlock()
	if !unread {
		return nil
	}
	// No filter is empty.
	return l.subjects.fetchOnce("", func(ctx context.Context, _ uint64) (func(), error) {
		var id []byte
		var doubt *DamageError
		err := l.eachRecordBetween(ctx, last, last, Durable, func(damage *DamageError) { doubt = damage }, func(rec Record) {
			found, _ := findHeader(rec.Headers, l.opts.Dedup.Header)
			id = append(id, found...)
		})
		return func() {
			if l.mu.lastIDUnread && l.appended.Load() == last {
				l.setLastIDLocked(id)
				l.mu.lastIDDoubt = doubt
			}
		}, err
	})
}

// fetchOnce runs a look-up beside appends, unless it runs already, and takes over
// what came of it under the log's lock. It returns the refusal of the append
// that asks.
func (t *subjectTracker) fetchOnce(key string, lookUp func(ctx context.Context, shed uint64) (func(), error)) error {
	l := t.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usableLocked(); err != nil {
		return err
	}
	// It is this append that is refused, not the log that refuses.
	l.mu.pressure.total[Hydration]++
	refusal := &BackpressureError{
		Log: l.name, Kind: Hydration, RetryAfter: backpressureRetry, Full: "what the condition asks about is being looked up",
	}
	if t.fetching[key] || len(t.fetching) >= fetchesMax {
		return refusal
	}
	if t.fetching == nil {
		t.fetching, t.fetched = make(map[string]bool), make(map[string]subjectHistory)
	}
	t.fetching[key] = true
	shed := t.shed
	l.moves.Add(1) // Close ends it and waits for it
	go func() {
		defer l.moves.Done()
		ctx, cancel := context.WithTimeout(l.moving, fetchPatience)
		defer cancel()
		takeOver, err := lookUp(ctx, shed)
		if err != nil { // the next append tries again
			l.engine.opts.Logger.Warn("history_not_read", "group", "aof2.tier2", "log", l.name, "error", err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(t.fetching, key)
		if err == nil {
			takeOver()
		}
	}()
	return refusal
}

// lastInSealed is the last sequence of a filter in the sealed segments, 0 if
// there is none. Where damage may have taken a later one, the error is that
// damage: what cannot be read must not count as never written.
func (l *Log) lastInSealed(ctx context.Context, filter []byte, far *reach) (uint64, error) {
	list := *l.segments.Load()
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
		last, known := l.lastInMemory(s, filter)
		var doubt *DamageError
		var err error
		switch {
		case known:
		case !far.bucket && !l.isLocal(s):
			err = fmt.Errorf("segment %d: %w", s.id(), errNotAtHand)
		default:
			last, doubt, err = l.lastInSegment(ctx, s, filter, far)
		}
		if err == nil && doubt != nil && doubt.LastSeq > last {
			err = doubt
		}
		if last > 0 || err != nil {
			return last, err
		}
	}
	return 0, nil
}

// lastInMemory is the last sequence of a filter in a cold segment whose index is
// in memory.
func (l *Log) lastInMemory(s *segmentFile, filter []byte) (last uint64, known bool) {
	entry := l.entryOf(s)
	if entry == nil || !entry.Resident.Has(manifest.TierCold) {
		return 0, false
	}
	object := l.engine.objects.get(l.objectKey(entry, manifest.TierCold))
	if object == nil {
		return 0, false
	}
	return lastInIndex(object.Index(), filter)
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

// lastInSegment is the last sequence of a filter in a sealed segment, and the
// last range of it that nobody can read, nil if there is none.
func (l *Log) lastInSegment(ctx context.Context, s *segmentFile, filter []byte, far *reach) (last uint64, doubt *DamageError, err error) {
	index, err := l.indexOf(ctx, s)
	if err != nil {
		return 0, nil, err
	}
	if last, exact := lastInIndex(index, filter); exact {
		return last, nil, nil
	}
	if footer := s.seal.Load(); footer != nil {
		far.bytes -= int64(footer.IndexOffset)
	}
	if far.bytes < 0 {
		return 0, nil, fmt.Errorf("segment %d: %w", s.id(), errNotAtHand)
	}
	return l.lastInRecords(ctx, s, filter)
}

// lastInIndex is the last sequence of a filter in a segment, if its index knows
// it.
func lastInIndex(index *segment.Index, filter []byte) (last uint64, exact bool) {
	if slices.ContainsFunc(index.Frames(), func(f segment.Frame) bool { return f.Damaged }) {
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

// lastInRecords reads all of a segment: its filters do not know sequences.
func (l *Log) lastInRecords(ctx context.Context, s *segmentFile, filter []byte) (last uint64, doubt *DamageError, err error) {
	note := func(damage *DamageError) { doubt = damage }
	err = l.eachRecordBetween(ctx, s.baseSeq(), s.lastSeq.Load(), Durable, note, func(rec Record) {
		if MatchSubject(filter, rec.Subject) {
			last = rec.Seq
		}
	})
	return last, doubt, err
}
