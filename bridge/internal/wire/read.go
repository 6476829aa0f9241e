package wire

import (
	"errors"
	"time"
)

// errLameDuck ends the reading of a server that is about to shut down while
// another one is known.
var errLameDuck = errors.New("wire: the server is in lame-duck mode")

// errStale: the server has not answered several PINGs.
var errStale = errors.New("wire: stale connection")

// run reads one connection after the other until Close.
func (c *Conn) run(st *stream) {
	for {
		err := c.read(st)
		c.detach(st, err)
		if c.ctx.Err() != nil {
			return
		}
		c.options.Handler.HandleDisconnected(err)
		c.options.Logger.Warn("disconnected", "error", err)
		if st, err = c.connectAny(c.ctx, func(error) bool { return false }); err != nil {
			return
		}
		c.reconnects.Add(1)
		c.attach(st)
	}
}

// attach subscribes on a fresh connection.
func (c *Conn) attach(st *stream) {
	c.leaving, c.left = false, false
	url := Redact(c.pool.servers[c.pool.current].url)
	c.mu.Lock()
	defer c.mu.Unlock()
	var control []byte
	for _, s := range c.mu.subscriptions {
		control = s.appendLine(control)
	}
	c.mu.pings = append(c.mu.pings, func(err error) {
		if err == nil {
			c.subscribed.Store(true)
			c.options.Handler.HandleConnected(url)
		}
	})
	c.mu.conn = st.conn
	c.out.attach(st.conn, append(control, "PING\r\n"...))
	if c.ctx.Err() != nil { // Close did not see this connection
		_ = st.conn.Close()
	}
	c.flushSoon()
}

func (c *Conn) detach(st *stream, err error) {
	c.subscribed.Store(false)
	c.out.detach(st.conn)
	c.mu.Lock()
	pings := c.mu.pings
	c.mu.pings, c.mu.conn = nil, nil
	c.mu.Unlock()
	_ = st.conn.Close() // it is broken or abandoned; err says why
	for _, onPong := range pings {
		onPong(errors.Join(errors.New("wire: disconnected"), err))
	}
}

// read hands everything that a connection sends to the handler.
func (c *Conn) read(st *stream) error {
	var complaint error
	for {
		batch := c.handleBuffered(st)
		if batch.delivered { // also in front of an error: the handler has taken the messages
			c.options.Handler.HandleBatchEnd()
		}
		if batch.err != nil {
			return batch.err
		}
		if batch.complaint != nil {
			complaint = batch.complaint
		}
		if c.completePings(batch.pongs); c.left {
			return errLameDuck
		}
		if err := st.fill(); err != nil {
			return errors.Join(complaint, err)
		}
	}
}

// batch is what one socket read has brought.
type batch struct {
	delivered bool // messages
	pongs     int
	complaint error // what the server complained of last
	err       error // the connection is of no more use
}

// handleBuffered takes every operation that is complete.
func (c *Conn) handleBuffered(st *stream) (b batch) {
	handler := c.options.Handler
	for {
		operation, err := st.next()
		if err != nil {
			b.err = err
			return b
		}
		switch operation {
		case Incomplete:
			return b
		case OperationMessage:
			b.delivered = true
			handler.HandleMessage(&st.parser.Message)
		case OperationPong:
			b.pongs++
		case OperationError:
			refusal := &ServerError{Text: string(st.parser.Text)}
			b.complaint = refusal
			handler.HandleServerError(refusal)
		default:
			if b.err = c.control(operation, st.parser.Text); b.err != nil {
				return b
			}
		}
	}
}

// control handles what keeps the connection going.
func (c *Conn) control(operation Operation, text []byte) error {
	switch operation {
	case OperationPing:
		c.out.offerControl([]byte("PONG\r\n"))
		c.flushSoon()
	case OperationInfo:
		info, err := parseInfo(text)
		if err != nil {
			return err
		}
		c.pool.discover(info.ConnectURLs)
		if info.LameDuck && !c.leaving && c.pool.hasOther() {
			c.leave()
		}
	}
	return nil
}

// leave ends the subscriptions at a server in lame-duck mode; when the last
// message under way has been handled, another server is connected to.
func (c *Conn) leave() {
	c.leaving = true
	c.mu.Lock()
	c.out.offerControl(c.unsubscribeLinesLocked())
	c.mu.Unlock()
	c.ping(func(err error) { c.left = err == nil })
}

func (c *Conn) completePings(pongs int) {
	for ; pongs > 0; pongs-- {
		c.mu.Lock()
		if len(c.mu.pings) == 0 {
			c.mu.Unlock()
			return
		}
		onPong := c.mu.pings[0]
		c.mu.pings = c.mu.pings[1:]
		c.mu.Unlock()
		onPong(nil)
	}
}

// flushAndPing writes what was offered and watches that the server answers.
func (c *Conn) flushAndPing() {
	interval := c.options.NATS.PingInterval
	if interval <= 0 {
		interval = 2 * time.Minute
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.kick:
			c.out.flush()
		case <-ticker.C:
			c.keepAlive()
		}
	}
}

func (c *Conn) keepAlive() {
	c.mu.Lock()
	stale := len(c.mu.pings) > max(c.options.NATS.MaxPingsOut, 1)
	if stale && c.mu.conn != nil {
		c.options.Logger.Warn("closing the connection", "error", errStale)
		_ = c.mu.conn.Close() // wakes the reader
	}
	c.mu.Unlock()
	if !stale {
		c.ping(func(error) {})
	}
}
