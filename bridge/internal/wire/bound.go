package wire

import "errors"

// ErrBroken says that the connection that lines belong to is no more.
var ErrBroken = errors.New("wire: the connection is broken")

// Generation is the number of the present connection, which grows with each
// one, and 0 while there is none. A Handler's calls between HandleConnected and
// HandleDisconnected all see the same.
func (c *Conn) Generation() uint64 { return c.out.generation() }

// WriteTo is Write for lines that belong to one connection: of a sequence of
// them, the server gets a prefix and nothing behind a gap, if the connection is
// Perishable. It fails with ErrBroken once the connection of that generation is
// no more, also while it waits for room, and with ErrClosed.
func (c *Conn) WriteTo(generation uint64, lines []byte) error {
	return c.out.addTo(generation, lines)
}

func (o *outbound) generation() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.conn == nil {
		return 0
	}
	return o.mu.current
}

func (o *outbound) addTo(generation uint64, lines []byte) error {
	o.mu.Lock()
	for o.isLocked(generation) && len(o.mu.pending) > 0 && len(o.mu.pending)+len(lines) > o.bytesMax {
		o.changed.Wait()
	}
	switch {
	case o.mu.closed:
		o.mu.Unlock()
		return ErrClosed
	case !o.isLocked(generation):
		o.mu.Unlock()
		return ErrBroken
	}
	o.mu.pending = append(o.mu.pending, lines...)
	o.drainAndUnlock()
	return nil
}

// isLocked reports whether the connection of a generation is the present one.
func (o *outbound) isLocked(generation uint64) bool {
	return !o.mu.closed && o.mu.conn != nil && o.mu.current == generation
}

// perishLocked drops what a connection that ended leaves over and wakes those
// who wait to write to it.
func (o *outbound) perishLocked() {
	if !o.perishable {
		return
	}
	o.mu.pending, o.mu.chunk, o.mu.retry = nil, nil, false
	o.changed.Broadcast()
}
