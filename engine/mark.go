package engine

import "github.com/aof-nats/aof-nats/engine/internal/segment"

// This file writes the marks that prove where the records end.

// mark writes a mark pair behind the last record, syncs it and reports whether
// it did: not while appends are under way, and not where there is no room.
func (c *committer) mark(kind segment.ControlKind) bool {
	if !c.takeMark(kind) {
		return false
	}
	err := c.write()
	if err == nil {
		err = c.syncAfterTurn()
	}
	if err != nil {
		c.log.poison(err)
	}
	return err == nil
}

// takeMark encodes the marks and takes the commit buffer with nothing else in it: a
// record that is appended behind them has its own way, and may need a segment that
// is not ready.
func (c *committer) takeMark(kind segment.ControlKind) bool {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.mu.tail
	if s == nil || s != c.current || c.pending != nil || !l.mu.open.empty() || l.mu.failure != nil || !s.tail.fits(0) {
		return false
	}
	l.encodeMarkLocked(s, func(dst []byte) []byte {
		return segment.AppendMarkPair(dst, s.tail.end, s.header.Salt, kind, l.appended.Load(), s.unsyncedAtTail(), l.now())
	})
	c.lastMark = markBehind(s.id(), s.tail.end)
	c.takeBufferLocked()
	return true
}
