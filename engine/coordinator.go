package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// coordinator moves sealed segments between the tiers. It decides nothing: it
// shows the planner what is there and carries out what comes back, a goroutine a
// move. When nothing is to be done it sleeps until somebody pokes it.
type coordinator struct {
	engine *Engine
	wake   chan struct{} // one pending signal
	stop   context.CancelFunc
	done   sync.WaitGroup // the loop

	mu struct {
		sync.Mutex
		moving   map[moveKey]planner.Kind
		failures map[moveKey]map[planner.Kind]planner.Failure
		running  map[planner.Kind]int
		started  map[uint64]map[planner.Kind]int64 // by log id: when a move last started
		outage   outage                            // of uploads
		unasked  outage                            // of evictions that have to ask the bucket first
		unprobed outage                            // of a bucket that was away when the engine was opened
		probing  bool                              // it is asked again
		counts   map[MoveKind]MoveCounts
		doubtful []planner.Action // verifications that are due, as of the last plan
		// shown is what the planner saw last: its memory is used again, as a plan
		// goes over all segments.
		shown []planner.Segment
	}
}

type moveKey struct{ log, segment uint64 }

// movesMax is how many moves of each kind run at once. A compression takes a
// processor; an upload waits for the bucket.
var movesMax = map[planner.Kind]int{planner.Compress: 1, planner.Upload: 4, planner.EvictHot: 1, planner.EvictWarm: 1}

func newCoordinator(e *Engine) *coordinator {
	c := &coordinator{engine: e, wake: make(chan struct{}, 1), stop: func() {}}
	c.mu.moving = make(map[moveKey]planner.Kind)
	c.mu.failures = make(map[moveKey]map[planner.Kind]planner.Failure)
	c.mu.running = make(map[planner.Kind]int)
	c.mu.started = make(map[uint64]map[planner.Kind]int64)
	c.mu.counts = make(map[MoveKind]MoveCounts)
	return c
}

func (c *coordinator) start() {
	if c.engine.opts.manual {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.done.Go(func() { c.run(ctx) })
}

// close ends the loop. The moves end with their logs.
func (c *coordinator) close() {
	c.stop()
	c.done.Wait()
}

// poke makes the coordinator look at what is to be moved.
func (c *coordinator) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *coordinator) run(ctx context.Context) {
	timer := time.NewTimer(idleForever)
	defer timer.Stop()
	for {
		now := c.engine.opts.Now()
		for _, action := range c.plan(now) {
			c.launch(action)
		}
		c.probeAgain(ctx, now)
		timer.Reset(c.untilRetry(now))
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// step carries out the first of the moves that are due and reports whether there
// was one. The simulator calls it.
func (c *coordinator) step() bool {
	for _, action := range c.plan(c.engine.opts.Now()) {
		if log := c.begin(action); log != nil {
			c.end(action, log.move(action, c.attempt(action)))
			log.moves.Done()
			return true
		}
	}
	return false
}

// launch starts a move in a goroutine of its log.
func (c *coordinator) launch(action planner.Action) {
	log := c.begin(action)
	if log == nil {
		return
	}
	go func() {
		defer log.moves.Done()
		c.end(action, log.move(action, c.attempt(action)))
	}()
}

// begin notes that a move is under way. It returns nil if its log is closing.
func (c *coordinator) begin(action planner.Action) *Log {
	log := c.engine.logByID(action.LogID)
	if log == nil || !log.holdForMove() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.moving[moveKey{action.LogID, action.Segment}] = action.Kind
	c.mu.running[action.Kind]++
	if c.mu.started[log.id] == nil {
		c.mu.started[log.id] = make(map[planner.Kind]int64)
	}
	c.mu.started[log.id][action.Kind] = c.engine.opts.Now().UnixNano()
	return log
}

// end notes how a move ended, and tells those who wait for the room that it
// made.
func (c *coordinator) end(action planner.Action, err error) {
	evicted := err == nil && (action.Kind == planner.EvictHot || action.Kind == planner.EvictWarm)
	var compressible []moveKey
	if evicted {
		compressible = c.engine.disk.noteEvicted(action.Bytes)
	}
	c.noteEnd(action, err, compressible)
	c.poke()
	if !evicted {
		return
	}
	for _, log := range c.engine.openLogs() {
		log.keeper.retryRoom()
	}
}

// noteEnd notes how a move ended, and that compressions that failed for want of
// room may be tried again.
func (c *coordinator) noteEnd(action planner.Action, err error, compressible []moveKey) {
	now := c.engine.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range compressible {
		delete(c.mu.failures[key], planner.Compress)
	}
	key := moveKey{action.LogID, action.Segment}
	delete(c.mu.moving, key)
	c.mu.running[action.Kind]--
	failures := c.mu.failures[key]
	switch {
	case errors.Is(err, errPinned) || errors.Is(err, context.Canceled):
	case errors.Is(err, ErrUploadsStopped):
		c.endOutageLocked() // by what the bucket has answered
	case err != nil:
		c.countLocked(action.Kind, true)
		c.engine.opts.Logger.Warn("tier_move_failed", "group", "aof2.tiered", "move", string(moveKinds[action.Kind]), "segment", action.Segment, "error", err)
		if failures == nil {
			failures = make(map[planner.Kind]planner.Failure)
			c.mu.failures[key] = failures
		}
		attempt := failures[action.Kind].Attempt + 1
		wait := planner.Backoff(attempt, c.engine.uniform)
		if action.Kind == moveVerify && isBadCopy(err) {
			wait = verifyWait(attempt)
		}
		failures[action.Kind] = planner.Failure{Attempt: attempt, NotBeforeNs: now.Add(wait).UnixNano()}
		if action.Kind == planner.Upload && isOutage(err) {
			c.mu.outage.begin(now, err, c.engine.uniform)
		}
	default:
		c.countLocked(action.Kind, false)
		delete(failures, action.Kind)
		if action.Kind == planner.Upload {
			c.endOutageLocked()
		}
	}
}

// endOutageLocked notes that the bucket answers. Everything that failed while it
// did not may be tried again at once.
func (c *coordinator) endOutageLocked() {
	c.mu.unprobed.end()
	if !c.mu.outage.end() {
		return
	}
	for _, failures := range c.mu.failures {
		delete(failures, planner.Upload)
	}
}

func (c *coordinator) attempt(action planner.Action) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.failures[moveKey{action.LogID, action.Segment}][action.Kind].Attempt + 1
}

// untilRetry is how long to sleep until a move that the plan of that time left
// out may be tried again. What was due then is started, or waits for a poke.
func (c *coordinator) untilRetry(planned time.Time) time.Duration {
	now := planned.UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	next, outage := int64(idleForever)+now, int64(0)
	if c.mu.outage.attempts > 0 {
		outage = c.mu.outage.notBefore.UnixNano()
	}
	for _, failures := range c.mu.failures {
		for kind, failure := range failures {
			at := failure.NotBeforeNs
			if kind == planner.Upload {
				at = max(at, outage)
			}
			if at > now {
				next = min(next, at)
			}
		}
	}
	if outage > now {
		next = min(next, outage) // for those that wait behind the one that failed
	}
	for _, other := range c.otherOutagesLocked() {
		if at := other.notBefore.UnixNano(); other.attempts > 0 && at > now {
			next = min(next, at)
		}
	}
	return time.Duration(next-now) + time.Millisecond
}

// forget drops what is remembered of a closed log's moves.
func (c *coordinator) forget(log *Log) {
	c.engine.disk.forget(log.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.mu.failures {
		if key.log == log.id {
			delete(c.mu.failures, key)
		}
	}
	delete(c.mu.started, log.id)
}

// reportDamage notes a copy that a reader found damaged. Where another copy is
// good, nothing counts on this one any more. The last one that was believed to be
// good stays in the manifest as it is: it is read again.
func (c *coordinator) reportDamage(log *Log, s *segmentFile, t manifest.Tier, cause error) {
	entry := log.entryOf(s)
	if log.engine.readOnly || entry == nil || !entry.Sealed || entry.Quarantined.Has(t) || !log.holdForMove() {
		return
	}
	note := func() {
		defer log.moves.Done()
		quarantined := &manifest.SegmentQuarantined{Tier: t, Reason: reasonOfDamage(cause)}
		entry := log.entryOf(s)
		if entry == nil || !entry.Resident.Has(t) {
			return // evicted meanwhile
		}
		if trusted(s, entry) == 0 {
			log.emit(Event{Kind: EventSegmentSuspected, Segment: s.id(), Tier: t.String(), Reason: quarantined.Reason, Err: cause})
			c.poke() // it is verified
			return
		}
		if log.noteMove(manifest.Record{SegmentID: s.id(), Payload: quarantined}) == nil {
			c.poke() // it may be made anew from another copy
			log.emit(Event{Kind: EventSegmentQuarantined, Segment: s.id(), Tier: t.String(), Reason: quarantined.Reason, Err: cause})
		}
	}
	if c.engine.opts.manual {
		note()
		return
	}
	go note() // the reader does not wait for it
}

func reasonOfDamage(err error) manifest.Reason {
	if isNotHot(err) || isColdMissing(err) {
		return manifest.ReasonObjectMissing
	}
	return manifest.ReasonChecksum
}
