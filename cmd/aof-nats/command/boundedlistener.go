package command

import (
	"net"
	"sync"
)

// boundedListener accepts a connection when there is a place for it; until then it
// waits with the system.
type boundedListener struct {
	net.Listener
	places chan struct{} // holds one for each connection
	closed chan struct{}
	once   sync.Once
}

func boundListener(listener net.Listener, places chan struct{}) *boundedListener {
	return &boundedListener{Listener: listener, places: places, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placedConn{Conn: conn, places: l.places}, nil
}

// Close implements net.Listener.
func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placedConn gives its place back when it is closed.
type placedConn struct {
	net.Conn
	places chan struct{}
	once   sync.Once
}

// Close implements net.Conn.
func (c *placedConn) Close() error {
	c.once.Do(func() { <-c.places })
	return c.Conn.Close()
}
