package bridge

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// readConnectionOrder is which of a bridge's connections serves readers: the
// general one and that of intake are made before it.
const readConnectionOrder = 2

// stuckDialer makes connections whose writes can be held back until they are
// closed.
type stuckDialer struct {
	waiting atomic.Int64
	mu      sync.Mutex
	made    []*stuckConn
}

func (d *stuckDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	made := &stuckConn{Conn: conn, dialer: d, closed: make(chan struct{})}
	d.made = append(d.made, made)
	return made, nil
}

// hold makes the writes of the n-th connection wait from now on.
func (d *stuckDialer) hold(t *testing.T, n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if n >= len(d.made) {
		t.Fatalf("%d connections were made", len(d.made))
	}
	d.made[n].held.Store(true)
}

type stuckConn struct {
	net.Conn
	dialer *stuckDialer
	held   atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (c *stuckConn) Write(b []byte) (int, error) {
	if c.held.Load() {
		c.dialer.waiting.Add(1)
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
