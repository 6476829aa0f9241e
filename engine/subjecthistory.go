package engine

import (
	"context"
	"errors"
	"math"
	"time"
)

// This file looks up what sealed segments say about a subject. An append does
// not wait for the bucket, nor for the reading of many segments: what sketches
// cannot deny and a few reads do not tell is looked up beside it.

const (
	// besideBytesMax is what an append may spend on its condition, in bytes that
	// it reads: two or three milliseconds, which other logs wait too.
	besideBytesMax = 1 << 20
	// lookBytes is what it costs in those terms to open and map a file.
	lookBytes = 64 << 10
	// shortBytesMax is what an append may spend while another has just spent all in
	// vain: many that ask the same would add up.
	shortBytesMax = 2 * lookBytes
	// segmentsMax is how many segments' sketches an append asks: a millisecond.
	segmentsMax = 8192
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
	bytes  int64 // that it may still spend
	asks   int   // how many segments it may still ask
	keep   bool  // sketches of what it meets, for those who look next
}

// farthest is the reach of who can wait.
func farthest() *reach { return &reach{bucket: true, bytes: math.MaxInt64, asks: math.MaxInt} }

// toKeep is the reach of who can wait so that others need not.
func toKeep() *reach {
	return &reach{bucket: true, bytes: math.MaxInt64, asks: math.MaxInt, keep: true}
}

// spend takes what a step costs, or returns errNotAtHand if that is too much.
func (f *reach) spend(bytes int64) error {
	if bytes > f.bytes {
		return errNotAtHand
	}
	f.bytes -= bytes
	return nil
}

// beside is the reach of an append.
func (t *subjectTracker) beside() *reach {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	bytes := t.besideBytes
	if t.log.now() < t.shortUntil {
		bytes = min(bytes, shortBytesMax)
	}
	return &reach{bytes: bytes, asks: segmentsMax, keep: true}
}

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
		last, err := t.log.lastInSealed(ctx, []byte(filter), toKeep())
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

// The keys of look-ups that are for no filter: a filter is not empty and holds no
// blank.
const (
	lastIDKey = ""
	windowKey = " "
)

// lastIDRead makes sure that the id of the last record is known, or returns the
// refusal of the append that asks while it is read from the bucket.
func (l *Log) lastIDRead() error {
	l.mu.Lock()
	unread, last := l.mu.lastIDUnread, l.appended.Load()
	l.mu.Unlock()
	if !unread {
		return nil
	}
	return l.subjects.fetchOnce(lastIDKey, func(ctx context.Context, _ uint64) (func(), error) {
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
	t.shortUntil = l.now() + int64(backpressureRetry)
	// It is this append that is refused, not the log that refuses.
	l.mu.pressure.total[Hydration]++
	refusal := &BackpressureError{
		Log: l.name, Kind: Hydration, RetryAfter: backpressureRetry, Full: "what the condition asks about is being looked up",
	}
	if t.fetching[key] || len(t.fetching) >= fetchesMax {
		return refusal
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
