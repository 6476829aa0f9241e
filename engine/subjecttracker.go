package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// subjectTracker knows the last sequence of each subject that was appended to
// the unsealed segments, so that expectations can be checked under the log's
// lock. It costs nothing until the first expectation; what lies before comes
// from what is known of sealed segments, outside the lock.
type subjectTracker struct {
	log *Log

	// loading is held while the unsealed segments are read once. It guards waited:
	// what they lack was waited for.
	loading sync.Mutex
	waited  bool

	// Guarded by Log.mu.
	enabled bool
	before  uint64 // the last sequence that was appended before enabled
	loaded  bool
	recent  trackedSubjects
	limit   int    // of recent subjects, until the next shedding
	shed    uint64 // how often subjects were dropped that lie in sealed segments
	// doubt is the last range of the segments that were unsealed which nobody can
	// read: its subjects are not known.
	doubt *DamageError

	shortUntil int64 // appends spend little until then
	// besideBytes is besideBytesMax, and sketchBytes sketchBytesMax; they do not
	// change.
	besideBytes int64
	sketchBytes int64
	// learning is held by who reads a local segment beside appends: those that wait
	// for it find the sketch.
	learning sync.Mutex
	// keeping is held while a sketch is added to those of the log.
	keeping sync.Mutex
	// fetching are the filters whose history is being looked up beside appends, and
	// fetched what is known of filters that took long. Both are bounded.
	fetching map[string]bool
	fetched  map[string]subjectHistory
}

// subjectsTrackedMax is how many subjects are tracked before those that lie in
// sealed segments are dropped.
const subjectsTrackedMax = 1 << 18

// subjectHistory is what the sealed segments say about a filter.
type subjectHistory struct {
	last  uint64
	upTo  uint64 // last is that of all records up to here, sealed or not
	shed  uint64 // of the tracker, before the segments were looked at
	doubt *DamageError
}

// noteLocked follows an append.
func (t *subjectTracker) noteLocked(subject []byte, seq uint64) {
	if !t.enabled {
		return
	}
	if t.recent.len() >= t.limit && t.recent.last(subject) == 0 {
		t.shedLocked()
	}
	t.recent.note(subject, seq)
}

// shedLocked drops the subjects that what is known of sealed segments answers for.
// What is left lies in unsealed segments, which bounds it.
func (t *subjectTracker) shedLocked() {
	t.recent.dropUpTo(t.log.sealedUpTo())
	t.shed++
	t.limit = max(t.limit, 2*t.recent.len())
}

// sealedUpTo is the last sequence in front of the first unsealed segment.
func (l *Log) sealedUpTo() (last uint64) {
	for _, s := range *l.segments.Load() {
		if !s.ended() {
			break
		}
		last = s.lastSeq.Load()
	}
	return last
}

// history prepares a check outside the log's lock. With tracking on, nothing
// that is appended afterwards can be missed, unless staleLocked says so.
func (t *subjectTracker) history(filter []byte) (history subjectHistory, err error) {
	if err := t.load(); err != nil {
		return history, err
	}
	var known bool
	if known, history.shed = t.tracked(filter); known {
		return history, nil // the newest is known already
	}
	if fetched, ok := t.takeFetched(filter); ok {
		return fetched, fetched.err()
	}
	history.last, err = t.log.lastInSealed(t.log.moving, filter, t.beside())
	if errors.Is(err, errNotAtHand) {
		err = t.fetch(string(filter))
	}
	return history, t.log.endedBy(err)
}

// err is the doubt about a history, as an error.
func (h subjectHistory) err() error {
	if h.doubt == nil {
		return nil
	}
	return h.doubt
}

// staleLocked reports whether subjects were dropped that the history may not
// know.
func (t *subjectTracker) staleLocked(history subjectHistory) bool { return history.shed != t.shed }

// tracked reports whether filter is a subject whose last sequence is known.
func (t *subjectTracker) tracked(filter []byte) (known bool, shed uint64) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	return isLiteral(filter) && t.recent.last(filter) != 0, t.shed
}

// load turns tracking on and reads what the unsealed segments hold already.
func (t *subjectTracker) load() error {
	t.loading.Lock()
	defer t.loading.Unlock()
	before, loaded := t.enable()
	if loaded {
		return nil
	}
	if err := t.awaitWritten(before); err != nil {
		return err
	}
	from := before + 1
	for _, s := range *t.log.segments.Load() {
		if s.seal.Load() == nil && s.lost == "" {
			from = min(from, s.baseSeq())
		}
	}
	last := make(map[string]uint64)
	var doubt *DamageError
	err := t.log.eachRecordBetween(t.log.moving, from, before, Written, func(damage *DamageError) { doubt = damage }, func(rec Record) {
		last[string(rec.Subject)] = rec.Seq
	})
	if err != nil {
		return err
	}
	bySeq := slices.SortedFunc(maps.Keys(last), func(a, b string) int { return cmp.Compare(last[b], last[a]) })
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	for _, subject := range bySeq {
		t.recent.noteOld([]byte(subject), last[subject])
	}
	t.loaded, t.doubt = true, doubt
	return nil
}

func (t *subjectTracker) enable() (before uint64, loaded bool) {
	l := t.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if !t.enabled {
		t.enabled, t.recent = true, newTrackedSubjects()
		t.before = l.appended.Load()
	}
	return t.before, t.loaded
}

// writePatience bounds the one wait for what is not yet written.
const writePatience = time.Second

// awaitWritten makes sure that the records up to seq can be read. It waits once
// and not for long: whoever appends may have other logs to serve, on other disks.
// After that the append is refused until they can.
func (t *subjectTracker) awaitWritten(seq uint64) error {
	patience := writePatience
	if t.waited {
		patience = 0
	}
	t.waited = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := t.log.Wait(ctx, seq, Written)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	// It is this append that is refused, not the log that refuses.
	t.log.mu.pressure.total[Flush]++
	return &BackpressureError{
		Log: t.log.name, Kind: Flush, RetryAfter: backpressureRetry, Full: "what the condition asks about is not yet written",
	}
}

// looksRemembered is how many subjects a look for a filter passes that is not
// remembered.
const looksRemembered = 64

// lastLocked is the last sequence of a filter.
func (t *subjectTracker) lastLocked(filter []byte, history subjectHistory) uint64 {
	if isLiteral(filter) {
		return max(history.last, t.recent.last(filter))
	}
	last, looked := t.recent.lastMatching(filter, max(history.last, history.upTo))
	last = max(last, history.last)
	if looked > looksRemembered && len(t.fetched) < fetchedMax {
		t.fetched[string(filter)] = subjectHistory{last: last, upTo: t.log.appended.Load(), shed: t.shed}
	}
	return last
}
