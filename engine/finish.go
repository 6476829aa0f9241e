package engine

import (
	"fmt"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// This file is how a committer ends.

// finish commits what is left, proves the end with a close mark and lets go. A
// log whose last segment has no room for the mark is sealed instead, and so is one
// that had no room for the segment behind it: what was appended for that one, and
// never acknowledged, is given up.
func (c *committer) finish() {
	l := c.log
	c.drain()
	if c.dirty && !l.failed() {
		if err := c.syncAfterTurn(); err != nil {
			l.poison(err)
		}
	}
	if c.pending != nil && !l.failed() {
		c.givenUp = fmt.Errorf("%w: %w: log %s: %w", ErrClosed, ErrUnwritten, l.name, l.roomError())
	}
	if l.failed() || c.closedAlready() {
		return
	}
	if !c.mark(segment.CloseMark) && !l.failed() {
		l.retireTail()
		l.keeper.poke()
	}
}

// drain writes what was appended before the log began to close. It waits for
// segments that are still to be prepared or sealed, but not for room.
func (c *committer) drain() {
	l := c.log
	for {
		for c.step() {
		}
		if c.pending == nil || l.failed() || l.roomError() != nil {
			return
		}
		if l.engine.opts.manual {
			l.keeper.step()
			continue
		}
		select {
		case <-l.wake:
		case <-time.After(stallRetry):
		}
	}
}

// closedAt is the mark that a log ends with that has been closed cleanly.
func (c *committer) closedAt() closeMark {
	if c.current == nil || c.log.retired(c.current) {
		return closeMark{}
	}
	return c.lastMark
}

// closedAlready reports whether the disk already says where the records end:
// nothing was appended since the log was opened, or the last segment is sealed
// or about to be.
func (c *committer) closedAlready() bool {
	return c.current == nil || c.log.retired(c.current) || !c.log.ownsEpoch()
}

func (l *Log) ownsEpoch() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochTaken
}
