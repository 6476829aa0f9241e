package engine

import "time"

// This file is how a log that found no room for its next segment looks again.

// roomRetryMax is how often a log that nobody appends to looks for room.
const roomRetryMax = 30 * time.Second

// untilRoomRetry is how long to wait until room for the next segment is looked
// for again. An eviction makes it be looked for at once; this is for room that
// others make. A log that nobody appends to looks less and less often.
func (c *committer) untilRoomRetry() time.Duration {
	if c.log.roomError() == nil {
		c.roomRetry = 0
		return idleForever
	}
	if c.roomRetry == 0 {
		c.roomRetry, c.roomLooked = stallRetry, time.Now()
	}
	wait := c.roomRetry
	if c.log.roomAsked() {
		wait = stallRetry
	}
	return max(0, wait-time.Since(c.roomLooked))
}

// retryRoom looks for room for the next segment again.
func (c *committer) retryRoom() {
	c.log.roomLookedFor()
	c.roomRetry, c.roomLooked = min(2*c.roomRetry, roomRetryMax), time.Now()
	c.log.keeper.retryRoom()
}
