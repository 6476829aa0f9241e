package wire

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Defaults of Options.
const (
	outboundBytesMaxDefault = 8 << 20
	writeDeadline           = 10 * time.Second
	reconnectWaitMin        = 50 * time.Millisecond
)

// Options configures a connection.
type Options struct {
	// NATS gives servers, credentials, TLS, dialer, timeouts, ping interval and
	// the longest wait between two attempts to reconnect (ReconnectWait and its
	// jitter). Reconnecting never ends, whatever MaxReconnect says. Callbacks
	// about the connection's state are not called.
	NATS nats.Options
	// Handler gets what the server sends.
	Handler Handler
	// OutboundBytesMax bounds what waits to be written. Default 8 MiB.
	OutboundBytesMax int
	// Perishable drops what was not written when the connection breaks, instead
	// of sending it over the next one: for answers that are of no use, or
	// harmful, behind a gap.
	Perishable bool
	// OnGivenUp is called when lines are dropped because several connections
	// broke on them, with their bytes. It must not use the connection. Default:
	// nothing.
	OnGivenUp func(bytes int)
	// Logger receives changes of state. Default: discard.
	Logger *slog.Logger
}

// Handler gets what a connection reads. All calls come from the connection's
// one reading goroutine, which reads nothing more until they return: they must
// not block and must not call Barrier or Close.
type Handler interface {
	// HandleMessage gets one message; it may keep nothing of it.
	HandleMessage(message *Message)
	// HandleBatchEnd follows the last message of each socket read.
	HandleBatchEnd()
	// HandleConnected says that a server has taken all subscriptions.
	HandleConnected(url string)
	// HandleDisconnected says that the connection broke and why. Messages that
	// were published since the last one handled may have been missed.
	HandleDisconnected(err error)
	// HandleServerError gets what the server complains of.
	HandleServerError(err *ServerError)
}

// Conn is a NATS client connection that reconnects for ever. Its methods are
// safe for concurrent use.
type Conn struct {
	options Options
	out     *outbound
	pool    *serverPool // of the reading goroutine
	leaving bool        // of the reading goroutine: the server is in lame-duck mode
	left    bool        // of the reading goroutine: nothing more comes from it

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	kick   chan struct{} // something was offered to out

	mu struct {
		sync.Mutex
		conn          net.Conn // nil while disconnected
		subscriptions []subscription
		lastSID       uint32
		pings         []func(error) // called with each PONG, in order
	}
	subscribed atomic.Bool
	reconnects atomic.Uint64
}

type subscription struct {
	sid     uint32
	subject string
}

// New makes a connection that is not yet made: Subscribe may be called, then
// Connect. The error is about server URLs.
func New(options Options) (*Conn, error) {
	if options.OutboundBytesMax == 0 {
		options.OutboundBytesMax = outboundBytesMaxDefault
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	pool, err := newServerPool(&options.NATS)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		options: options, pool: pool, kick: make(chan struct{}, 1),
		out: newOutbound(options.OutboundBytesMax, writeDeadline),
	}
	c.out.perishable, c.out.onGivenUp = options.Perishable, options.OnGivenUp
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Connect connects and logs in. It tries all servers until ctx ends; a server
// that refuses the credentials ends it at once. After a success Close must be
// called.
func (c *Conn) Connect(ctx context.Context) error {
	st, err := c.connectAny(ctx, func(err error) bool {
		var refused *ServerError
		return errors.As(err, &refused)
	})
	if err != nil {
		return err
	}
	c.attach(st)
	c.tasks.Go(func() { c.run(st) })
	c.tasks.Go(c.flushAndPing)
	return nil
}

// connectAny tries one server after the other, with growing waits between the
// rounds, until one takes us, isFinal says so, or ctx ends.
func (c *Conn) connectAny(ctx context.Context, isFinal func(error) bool) (*stream, error) {
	o := &c.options.NATS
	wait := reconnectWaitMin
	for tried := 0; ; {
		s := c.pool.next()
		st, info, err := dial(ctx, o, s)
		if err == nil {
			c.pool.discover(info.ConnectURLs)
			c.options.Logger.Info("connected", "server", Redact(s.url), "version", info.Version)
			return st, nil
		}
		if ctx.Err() != nil || isFinal(err) {
			return nil, errors.Join(err, ctx.Err())
		}
		if tried == 0 {
			c.options.Logger.Warn("cannot connect", "server", Redact(s.url), "error", err)
		}
		if tried++; tried%len(c.pool.servers) != 0 {
			continue
		}
		jitter := time.Duration(rand.Int64N(int64(min(wait, max(o.ReconnectJitter, time.Millisecond))) + 1))
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(wait + jitter):
		}
		wait = min(2*wait, max(o.ReconnectWait, reconnectWaitMin))
	}
}

// Subscribe asks for the messages of a subject, now and after each reconnect,
// and returns the number that they carry: 1 for the first subscription, then
// one more each. Barrier tells when the server has it.
func (c *Conn) Subscribe(subject string) uint32 {
	c.mu.Lock()
	c.mu.lastSID++
	s := subscription{sid: c.mu.lastSID, subject: subject}
	c.mu.subscriptions = append(c.mu.subscriptions, s)
	c.out.offerControl(s.appendLine(nil))
	c.mu.Unlock()
	c.flushSoon()
	return s.sid
}

func (s subscription) appendLine(b []byte) []byte {
	b = append(append(b, "SUB "...), s.subject...)
	b = strconv.AppendUint(append(b, ' '), uint64(s.sid), 10)
	return append(b, "\r\n"...)
}

func appendUnsubscribe(b []byte, sid uint32) []byte {
	b = strconv.AppendUint(append(b, "UNSUB "...), uint64(sid), 10)
	return append(b, "\r\n"...)
}

// UnsubscribeAll ends all subscriptions. Messages that are under way still
// arrive: a Barrier behind it is passed when the last has been handled.
func (c *Conn) UnsubscribeAll() {
	c.mu.Lock()
	c.out.offerControl(c.unsubscribeLinesLocked())
	c.mu.subscriptions = nil
	c.mu.Unlock()
	c.flushSoon()
}

func (c *Conn) unsubscribeLinesLocked() (lines []byte) {
	for _, s := range c.mu.subscriptions {
		lines = appendUnsubscribe(lines, s.sid)
	}
	return lines
}

// Barrier waits until the server has processed everything that was sent before
// and the handler everything that the server had sent before it answered. It
// fails when the connection breaks meanwhile or ctx ends.
func (c *Conn) Barrier(ctx context.Context) error {
	passed := make(chan error, 1)
	if !c.ping(func(err error) { passed <- err }) {
		return nats.ErrDisconnected
	}
	select {
	case err := <-passed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ping sends a PING whose PONG calls onPong from the reading goroutine, behind
// the end of the batch. It reports false while there is no connection.
func (c *Conn) ping(onPong func(error)) bool {
	c.mu.Lock()
	connected := c.mu.conn != nil
	if connected {
		c.mu.pings = append(c.mu.pings, onPong)
		c.out.offerControl([]byte("PING\r\n"))
	}
	c.mu.Unlock()
	c.flushSoon()
	return connected
}

// Write sends complete PUB or HPUB lines with their payloads, in order. It may
// wait for the network or, beyond the limit, for a connection; it fails only
// with ErrClosed. What a broken connection may have lost is sent again, but not
// for ever: see Options.OnGivenUp.
func (c *Conn) Write(lines []byte) error { return c.out.add(lines) }

// Offer is Write for callers that may not wait, a Handler above all: it reports
// false if the limit is reached, and then nothing was taken.
func (c *Conn) Offer(lines []byte) bool {
	ok := c.out.offer(lines)
	c.flushSoon()
	return ok
}

// Unsent counts the messages that were taken and not written, as far as they were
// not given up. It is for a connection that was closed, when nobody writes any more.
func (c *Conn) Unsent() int { return c.out.unsent() }

func (c *Conn) flushSoon() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Connected reports whether a server has taken all subscriptions.
func (c *Conn) Connected() bool { return c.subscribed.Load() }

// Reconnects counts how often the connection was made again.
func (c *Conn) Reconnects() uint64 { return c.reconnects.Load() }

// Close drops the connection and what waits to be written, and waits for the
// connection's goroutines. The handler is not called after it.
func (c *Conn) Close() {
	c.cancel()
	c.out.close()
	c.mu.Lock()
	if c.mu.conn != nil {
		_ = c.mu.conn.Close() // the reader ends with its error
	}
	c.mu.Unlock()
	c.tasks.Wait()
}
