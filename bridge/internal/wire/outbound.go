package wire

import (
	"errors"
	"net"
	"sync"
	"time"
)

// ErrClosed says that the connection was closed by its owner.
var ErrClosed = errors.New("wire: closed")

// breaksMax is how many connections may break on the same lines. A server closes
// a connection for a line that it does not take: sent again for ever, it would
// leave no connection that lasts.
const breaksMax = 3

// outbound gathers protocol lines and writes them in large chunks. Whoever adds
// bytes while nobody writes becomes the writer and goes on until nothing is
// left, so that a lone answer leaves without a change of goroutine and many
// answers share a system call. What could not be written when a connection
// broke is written again, whole lines from the start of the broken chunk, to
// the next one: an answer may arrive twice, which publishers ignore. What several
// connections broke on is given up. Control lines belong to one connection and
// are never carried over.
type outbound struct {
	bytesMax      int
	writeDeadline time.Duration
	perishable    bool // what a broken connection leaves over is dropped
	onGivenUp     func(bytes int)

	mu struct {
		sync.Mutex
		conn    net.Conn // nil while disconnected
		current uint64   // the number of conn, or of the last one
		pending []byte   // complete lines, not yet taken by a writer
		control []byte   // control lines, written behind what is pending
		chunk   []byte   // what the writer has taken
		retry   bool     // chunk is left over from a broken connection
		breaks  int      // connections that broke on chunk
		writing bool
		closed  bool
	}
	changed *sync.Cond // pending shrank, or closed
}

func newOutbound(bytesMax int, writeDeadline time.Duration) *outbound {
	o := &outbound{bytesMax: bytesMax, writeDeadline: writeDeadline}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// add appends complete lines and writes unless another goroutine does so
// already or there is no connection. It waits while the limit is reached.
// ErrClosed is its only error.
func (o *outbound) add(lines []byte) error {
	o.mu.Lock()
	for !o.mu.closed && len(o.mu.pending) > 0 && len(o.mu.pending)+len(lines) > o.bytesMax {
		o.changed.Wait()
	}
	if o.mu.closed {
		o.mu.Unlock()
		return ErrClosed
	}
	o.mu.pending = append(o.mu.pending, lines...)
	o.drainAndUnlock()
	return nil
}

// offer appends complete lines without ever waiting or writing; flush must be
// called, by a goroutine that may block. It reports false if the limit is
// reached.
func (o *outbound) offer(lines []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.closed || len(o.mu.pending)+len(lines) > o.bytesMax {
		return false
	}
	o.mu.pending = append(o.mu.pending, lines...)
	return true
}

// flush writes what is pending.
func (o *outbound) flush() {
	o.mu.Lock()
	o.drainAndUnlock()
}

// offerControl appends control lines for the present connection; they are
// written behind everything that was added before. flush must be called.
func (o *outbound) offerControl(lines []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.conn != nil {
		o.mu.control = append(o.mu.control, lines...)
	}
}

// drainAndUnlock writes until nothing is pending, without holding the lock over
// a write.
func (o *outbound) drainAndUnlock() {
	defer o.mu.Unlock()
	for !o.mu.writing && o.mu.conn != nil && (o.mu.retry || len(o.mu.pending)+len(o.mu.control) > 0) {
		var control []byte
		if !o.mu.retry {
			o.mu.pending, o.mu.chunk = o.mu.chunk[:0], o.mu.pending
			control, o.mu.control = o.mu.control, nil
			o.changed.Broadcast()
		}
		conn, chunk := o.mu.conn, o.mu.chunk
		o.mu.writing, o.mu.retry = true, false
		o.mu.Unlock()
		err := writeChunks(conn, o.writeDeadline, chunk, control)
		o.mu.Lock()
		o.mu.writing = false
		if err == nil {
			o.mu.chunk, o.mu.breaks = chunk[:0], 0
			continue
		}
		givenUp := o.noteBreakLocked(chunk)
		o.detachLocked(conn)
		_ = conn.Close() // wakes the reader, which reports why
		if givenUp > 0 && o.onGivenUp != nil {
			o.mu.Unlock()
			o.onGivenUp(givenUp)
			o.mu.Lock()
		}
	}
}

// noteBreakLocked decides what becomes of the chunk on which a connection broke:
// it is for the next one, unless too many broke on it. It returns how many bytes
// are given up.
func (o *outbound) noteBreakLocked(chunk []byte) (givenUp int) {
	if len(chunk) == 0 || o.perishable {
		return 0
	}
	if o.mu.breaks++; o.mu.breaks < breaksMax {
		o.mu.retry = true
		return 0
	}
	o.mu.chunk, o.mu.breaks = chunk[:0], 0
	return len(chunk)
}

func writeChunks(conn net.Conn, deadline time.Duration, chunks ...[]byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(deadline)); err != nil {
		return err
	}
	for _, chunk := range chunks {
		if len(chunk) == 0 {
			continue
		}
		if _, err := conn.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

// attach makes conn the connection to write to, beginning with control once
// flush is called.
func (o *outbound) attach(conn net.Conn, control []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.conn, o.mu.control = conn, control
	o.mu.current++
}

// detach stops writing to conn, which is about to be closed.
func (o *outbound) detach(conn net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.detachLocked(conn)
}

func (o *outbound) detachLocked(conn net.Conn) {
	if o.mu.conn == conn {
		o.mu.conn, o.mu.control = nil, nil
		o.perishLocked()
	}
}

// close releases waiters. Pending bytes are dropped.
func (o *outbound) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.closed, o.mu.conn = true, nil
	o.changed.Broadcast()
}
