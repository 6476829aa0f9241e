package engine

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// committer writes and syncs what appenders encode. One goroutine runs it; the
// simulator calls step and tick itself. Its fields belong to that one caller.
type committer struct {
	log        *Log
	spare      *commitBuffer
	pending    *commitBuffer // taken and not yet written whole
	next       int           // the span of pending that is written next
	current    *segmentFile  // the segment that is written now, nil before the first
	dirty      bool          // current has bytes that were written and not synced
	since      time.Time     // when the first of them was written
	marked     bool          // nothing is to be proved by a mark
	owned      bool          // the manifest says whose epoch it is
	lastMark   closeMark     // where the last mark of current is
	stalled    bool          // pending waits for a segment to go to
	taken      uint64        // bytes encoded in what was taken so far
	takenSeq   uint64        // last sequence of it
	givenUp    error         // why what was appended last was not written when the log closed
	roomRetry  time.Duration // until room is looked for again, 0 while there is some
	roomLooked time.Time     // when it was last looked for
	sync       time.Duration // smoothed time of a sync
	syncs      int64         // of current
	synced     int64         // bytes that they made durable
}

// errStalled says that the next segment cannot be opened yet.
var errStalled = errors.New("engine: the next segment is not ready")

const (
	// durableMarkDelay is how long a log is idle before a mark proves its end.
	durableMarkDelay = time.Second
	// stallRetry is how often a stalled committer looks whether there is room.
	stallRetry = 200 * time.Millisecond

	idleForever time.Duration = 365 * 24 * time.Hour
)

// run commits until the log closes or fails.
func (c *committer) run() {
	defer close(c.log.stopped)
	timer := time.NewTimer(idleForever)
	defer timer.Stop()
	for {
		for c.step() {
		}
		if c.log.ended() {
			c.finish()
			return
		}
		timer.Reset(c.idleTime())
		select {
		case <-c.log.wake:
		case <-timer.C:
			c.tick()
		}
	}
}

// ended reports whether the committer is to finish.
func (l *Log) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failure != nil || l.mu.closing
}

// idleTime is how long the committer may sleep when nobody wakes it.
func (c *committer) idleTime() time.Duration {
	idle := idleForever
	switch {
	case c.stalled && c.log.roomError() == nil:
		idle = stallRetry
	case c.dirty:
		idle = max(0, c.untilFlush())
	case !c.marked && c.current != nil:
		idle = durableMarkDelay
	}
	return min(idle, c.untilRoomRetry(), c.log.untilSealByAge())
}

// step takes what is appended, writes it and syncs if that is wanted. It
// reports whether it did anything.
func (c *committer) step() bool {
	if c.pending == nil {
		c.gather()
	}
	if !c.take() {
		return false
	}
	did := c.pending != nil
	err := c.write()
	stalled := errors.Is(err, errStalled)
	if (err == nil || stalled) && c.wanted() {
		did = true
		err = c.syncInTurn()
		stalled = stalled || errors.Is(err, errStalled)
	}
	if err != nil && !errors.Is(err, errStalled) {
		c.log.poison(err)
	}
	return did && err == nil && !stalled
}

// syncInTurn syncs when it is this log's turn. What was appended while others
// had theirs goes along.
func (c *committer) syncInTurn() error {
	turns := c.log.engine.syncs
	var stalled error
	if !turns.tryTake() {
		turns.take()
		if c.pending == nil {
			c.take()
			stalled = c.write()
		}
	}
	defer turns.giveBack()
	if stalled != nil && !errors.Is(stalled, errStalled) {
		return stalled
	}
	if c.wanted() { // else opening the next segment has synced it
		if err := c.syncAndPublish(); err != nil {
			return err
		}
	}
	return stalled
}

// syncAfterTurn is for what is not urgent: marks, and what nobody waited for.
func (c *committer) syncAfterTurn() error {
	turns := c.log.engine.syncs
	turns.take()
	defer turns.giveBack()
	return c.syncAndPublish()
}

// gather yields the processor while appenders still fill the buffer: those that
// the last sync released come back within microseconds, and a sync that takes
// them along saves them a whole round. A lone record sees no growth and goes at
// once.
func (c *committer) gather() {
	if c.log.engine.opts.manual {
		return
	}
	var deadline time.Time
	for last := c.log.appended.Load(); last > c.takenSeq; {
		runtime.Gosched()
		now := c.log.appended.Load()
		if now == last {
			return
		}
		last = now
		if deadline.IsZero() {
			deadline = time.Now().Add(c.sync / 8)
		} else if time.Now().After(deadline) {
			return
		}
	}
}

// take swaps the commit buffers, if anything was appended and what was taken
// before is written, and tells what appenders were refused for. Every signal up
// to now is answered by what follows. It reports false if the log has failed.
func (c *committer) take() bool {
	l := c.log
	l.mu.Lock()
	l.mu.signaled = false
	alive := l.mu.failure == nil
	if alive && c.pending == nil && !l.mu.open.empty() {
		c.takeBufferLocked()
	}
	announce := l.mu.pressure.announce
	l.mu.pressure.announce = nil
	l.mu.Unlock()
	for _, event := range announce {
		l.emit(event)
	}
	return alive
}

func (c *committer) takeBufferLocked() {
	l, buffer := c.log, c.log.mu.open
	l.mu.open, c.spare = c.spare, nil
	l.mu.swappedSeq = buffer.lastSeq
	if buffer.durable != nil {
		l.mu.flight = append(l.mu.flight, buffer.durable)
	}
	c.pending, c.next = buffer, 0
	c.taken, c.takenSeq = l.mu.encoded, buffer.lastSeq
}

// write writes what is left of the pending buffer, each span to its segment,
// and opens the segments that begin with it. It returns errStalled, and goes on
// at the next call, when a segment is not ready.
func (c *committer) write() error {
	buffer := c.pending
	if buffer == nil {
		return nil
	}
	for ; c.next < len(buffer.spans); c.next++ {
		span := &buffer.spans[c.next]
		if err := c.writeSpan(span); err != nil {
			return err
		}
		if behind := buffer.spans[c.next+1:]; len(behind) == 0 || behind[0].segment != span.segment {
			c.show(span)
		}
	}
	c.log.publishWritten(buffer.lastSeq)
	c.pending, c.spare = nil, buffer
	buffer.recycle(&c.log.engine.blocks)
	return nil
}

func (c *committer) writeSpan(span *span) error {
	if span.segment != c.current {
		if err := c.moveTo(span.segment); err != nil {
			return err
		}
	}
	s := c.current
	if err := c.announceOwner(); err != nil {
		return err
	}
	end := span.offset + int64(len(span.bytes))
	if _, err := s.file.WriteAt(span.bytes, span.offset); err != nil {
		return fmt.Errorf("write segment %d at %d: %w", s.id(), span.offset, err)
	}
	if !c.dirty {
		c.since = c.log.engine.opts.Now()
	}
	c.dirty, c.marked = true, false
	if end > s.tail.capacity/2 && !c.log.retired(s) {
		c.log.keeper.wantSuccessor(c.log.plannedCapacity())
		c.pace(s, end)
	}
	return nil
}

// show lets readers see the current segment up to the last span that the buffer has
// for it: not before that is written, or they could see a part of a batch.
func (c *committer) show(last *span) {
	s := c.current
	s.lastSeq.Store(last.lastSeq)
	s.writtenEnd.Store(last.offset + int64(len(last.bytes)))
}

// announceOwner notes in the manifest whose epoch it is before the first record
// of an owner is written. A new segment's record does it by the way.
func (c *committer) announceOwner() error {
	if c.owned {
		return nil
	}
	if records := c.log.journal.ownerRecords(c.log.currentEpoch()); records != nil {
		if err := c.log.journal.record(records...); err != nil {
			return fmt.Errorf("record the new owner: %w", err)
		}
	}
	c.owned = true
	return nil
}

func (l *Log) currentEpoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epoch
}

// moveTo ends the current segment, whose records become durable first, and
// opens the next one.
func (c *committer) moveTo(next *segmentFile) error {
	if c.dirty {
		if err := c.syncCurrent(); err != nil {
			return err
		}
		c.log.publishWritten(c.current.lastSeq.Load())
		c.log.publishDurable(c.current.lastSeq.Load())
	}
	err := c.log.keeper.activate(next)
	c.stalled = errors.Is(err, errStalled)
	c.log.setRolling(c.stalled)
	if err != nil {
		return err
	}
	c.current, c.syncs, c.synced = next, 0, 0
	return nil
}

// untilFlush is how long what is written may stay unsynced. A clock that was
// set back does not make it longer.
func (c *committer) untilFlush() time.Duration {
	unsynced := c.log.engine.opts.Now().Sub(c.since)
	if unsynced < 0 {
		return 0
	}
	return c.log.opts.FlushInterval - unsynced
}

// wanted reports whether more is to become durable than is: because somebody
// waits, too much is unsynced, or it has been for too long.
func (c *committer) wanted() bool {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failure != nil || !c.dirty {
		return false
	}
	if c.untilFlush() <= 0 {
		return true
	}
	unflushed := int64(l.mu.encoded - l.flushed.Load())
	return min(l.mu.demandSeq, l.written.Load()) > l.durable.Load() || unflushed > l.opts.UnflushedBytesMax/2
}

// syncCurrent makes everything written to the current segment durable.
func (c *committer) syncCurrent() error {
	s := c.current
	end := s.writtenEnd.Load()
	began := time.Now()
	if err := s.file.SyncData(); err != nil {
		return fmt.Errorf("sync segment %d: %w", s.id(), err)
	}
	c.sync += (time.Since(began) - c.sync) / 8
	c.syncs++
	c.synced += end - s.durableEnd.Load()
	s.durableEnd.Store(end)
	c.dirty = false
	return nil
}

// syncAndPublish syncs and releases everybody who waits for what was written.
func (c *committer) syncAndPublish() error {
	l := c.log
	whole := c.pending == nil
	l.setSyncing(whole)
	err := c.syncCurrent()
	l.setSyncing(false)
	if err != nil {
		return err
	}
	if whole {
		l.flushed.Store(c.taken)
	}
	l.publishDurable(c.current.lastSeq.Load())
	if l.retired(c.current) {
		l.keeper.poke()
	}
	return nil
}

// tick does what time asks of a log: it syncs what nobody waited for, then
// proves the end of the records with a mark, and seals by age.
func (c *committer) tick() {
	l := c.log
	switch {
	case c.untilRoomRetry() <= 0:
		c.retryRoom()
	case c.stalled:
		l.keeper.poke()
	case c.dirty:
		if err := c.syncAfterTurn(); err != nil {
			l.poison(err)
		}
	case !c.marked && c.current != nil:
		c.mark(segment.DurableMark)
		c.marked = true
	}
	l.sealByAge()
}

func (l *Log) setSyncing(syncing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.syncing = syncing
}
