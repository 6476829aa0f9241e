package engine

import (
	"context"
	"errors"
	"sync"
	"time"
)

// subjectTracker knows the last sequence of each subject that was appended to
// the unsealed segments, so that expectations can be checked under the log's
// lock. It costs nothing until the first expectation; what lies before comes
// from the indexes of sealed segments, outside the lock.
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
	last    map[string]*uint64
	limit   int    // of subjects in last, until the next shedding
	shed    uint64 // how often subjects were dropped that lie in sealed segments
	// doubt is the last range of the segments that were unsealed which nobody can
	// read: its subjects are not known.
	doubt *DamageError

	// besideBytes is besideBytesMax; it does not change.
	besideBytes int64
	// fetching are the filters whose history is being looked up beside appends, and
	// fetched what came of it. Both are bounded.
	fetching map[string]bool
	fetched  map[string]subjectHistory
}

// subjectsTrackedMax is how many subjects are tracked before those that lie in
// sealed segments are dropped.
const subjectsTrackedMax = 1 << 20

// subjectHistory is what the sealed segments say about a filter.
type subjectHistory struct {
	last  uint64
	shed  uint64 // of the tracker, before the segments were looked at
	doubt *DamageError
}

// noteLocked follows an append.
func (t *subjectTracker) noteLocked(subject []byte, seq uint64) {
	if !t.enabled {
		return
	}
	if last := t.last[string(subject)]; last != nil {
		*last = max(*last, seq)
		return
	}
	t.addLocked(string(subject), seq)
}

func (t *subjectTracker) addLocked(subject string, seq uint64) {
	if len(t.last) >= t.limit {
		t.shedLocked()
	}
	t.last[subject] = &seq
}

// shedLocked drops the subjects that the indexes of sealed segments answer for.
// What is left lies in unsealed segments, which bounds it.
func (t *subjectTracker) shedLocked() {
	sealed := t.log.sealedUpTo()
	for subject, seq := range t.last {
		if *seq <= sealed {
			delete(t.last, subject)
		}
	}
	t.shed++
	t.limit = max(t.limit, 2*len(t.last))
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
	history.last, err = t.log.lastInSealed(t.log.moving, filter, &reach{bytes: t.besideBytes})
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
	return isLiteral(filter) && t.last[string(filter)] != nil, t.shed
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
	var doubt *DamageError
	err := t.log.eachRecordBetween(t.log.moving, from, t.log.watermark(Written), Written, func(damage *DamageError) { doubt = damage }, func(rec Record) {
		t.log.mu.Lock()
		defer t.log.mu.Unlock()
		t.noteLocked(rec.Subject, rec.Seq)
	})
	if err != nil {
		return err
	}
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	t.loaded, t.doubt = true, doubt
	return nil
}

func (t *subjectTracker) enable() (before uint64, loaded bool) {
	l := t.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if !t.enabled {
		t.enabled, t.last = true, make(map[string]*uint64)
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

// lastLocked is the last sequence of a filter.
func (t *subjectTracker) lastLocked(filter []byte, history subjectHistory) uint64 {
	last := history.last
	if isLiteral(filter) {
		if seq := t.last[string(filter)]; seq != nil {
			last = max(last, *seq)
		}
		return last
	}
	for subject, seq := range t.last {
		if *seq > last && MatchSubject(filter, []byte(subject)) {
			last = *seq
		}
	}
	return last
}
