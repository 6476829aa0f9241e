package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	resumePauseMin = 50 * time.Millisecond
	resumePauseMax = 2 * time.Second
	// stopTimeout bounds telling a bridge that nobody reads any more.
	stopTimeout = time.Second
)

// Replay reads records of a log from a bridge, in order and without a gap. It
// answers flow control as its records are taken, watches heartbeats, and goes on
// behind the last record when the connection or the bridge was away; a reader
// that is slow for a long time costs the bridge nothing. It is for one goroutine
// at a time.
type Replay struct {
	client  *Client
	log     string
	options ReplayOptions

	// Of the present request.
	reply     string
	in        *nats.Subscription // nil: none is under way
	messages  chan *nats.Msg
	delivered uint64 // sequence of its last record, 0: none yet
	heard     bool   // something came

	next   uint64    // where to go on; 0: as the options say
	taken  uint64    // records so far
	lostAt time.Time // since when nothing comes; zero: it does
	lostBy error
	pause  time.Duration
	watch  *time.Timer
	end    error // what Next returns from now on
}

// Replay begins to read a log. The client should be one that reconnects, or the
// replay ends with the connection. The replay must be closed. Whether the log is
// there shows at the first Next.
func (c *Client) Replay(log string, o ReplayOptions) (*Replay, error) {
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if log == "" {
		return nil, fmt.Errorf("%w: the log has no name", ErrOptions)
	}
	r := &Replay{client: c, log: log, options: o, pause: resumePauseMin, watch: time.NewTimer(time.Hour)}
	r.watch.Stop()
	if err := r.begin(); err != nil {
		return nil, err
	}
	return r, nil
}

// Next returns the next record. Errors: io.EOF at the end; ctx's error, after
// which it may be called again; ErrNotFound if nobody serves the log, or where it
// is to begin is not there; ErrOptions for a request that the bridge refuses;
// *DamagedError; ErrBackpressure if the bridge serves too many; ErrEnded if it
// ended the replay; ErrConnection or ErrTimeout if it could not be resumed in
// time; ErrClosed.
func (r *Replay) Next(ctx context.Context) (Record, error) {
	for r.end == nil {
		if r.in == nil {
			if err := r.resume(ctx); err != nil {
				return Record{}, err
			}
			continue
		}
		m, err := r.receive(ctx)
		if err != nil {
			return Record{}, err
		}
		if m == nil {
			continue
		}
		if len(m.Subject) <= len(r.reply) {
			r.mark(m)
			continue
		}
		if record, ok := r.accept(m); ok {
			return record, nil
		}
	}
	return Record{}, r.end
}

// All iterates over Next until it returns io.EOF, which it leaves out, or
// another error, which it yields last.
func (r *Replay) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			record, err := r.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// Buffered is how many messages have arrived and are not yet taken; with 0 the
// next call of Next may wait.
func (r *Replay) Buffered() int { return len(r.messages) }

// Close ends the replay and tells the bridge. Calling it again does nothing.
func (r *Replay) Close() {
	if !errors.Is(r.end, io.EOF) {
		r.end = ErrClosed
	}
	r.watch.Stop()
	if r.in == nil {
		return
	}
	r.leave()
	if r.client.conn.IsConnected() {
		_ = r.client.conn.FlushTimeout(stopTimeout) // if it does not arrive, the bridge finds out
	}
}

// begin sends a request for what is left.
func (r *Replay) begin() error {
	body, err := r.options.body(r.next, r.taken)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	// One subscription gets marks and records in one order. Its channel has room
	// for more than the bridge sends before it is answered.
	inbox := nats.NewInbox()
	r.messages = make(chan *nats.Msg, r.options.WindowBytes/lineBytesMin+marksUnderWayCount)
	in, err := r.client.conn.ChanSubscribe(inbox+".>", r.messages)
	if err != nil {
		return r.connectionError(err)
	}
	r.in, r.reply, r.delivered, r.heard = in, inbox+".r", 0, false
	if err := r.client.conn.PublishRequest(r.subject(), r.reply, body); err != nil {
		return r.connectionError(err)
	}
	return nil
}

func (r *Replay) subject() string { return r.options.Prefix + ".API.REPLAY." + r.log }

// leave gives the present request up.
func (r *Replay) leave() {
	if r.in == nil {
		return
	}
	_ = r.in.Unsubscribe() // fails only without a connection
	if body, err := stopBody(); err == nil && r.client.conn.IsConnected() {
		_ = r.client.conn.PublishRequest(r.subject(), r.reply, body)
	}
	r.in = nil
}

// receive waits for a message. It returns nil if none came for too long, or the
// connection ended, and the request was given up.
func (r *Replay) receive(ctx context.Context) (*nats.Msg, error) {
	select {
	case m := <-r.messages:
		return m, nil
	default:
	}
	silence := heartbeatsMissed * r.options.Heartbeat
	if !r.heard {
		silence = max(silence, r.client.options.Timeout)
	}
	r.watch.Reset(silence)
	defer r.watch.Stop()
	select {
	case m := <-r.messages:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.client.closed:
		r.end = errLost
	case <-r.watch.C:
		r.lost(fmt.Errorf("%w: nothing came from the bridge of log %s for %s", ErrTimeout, r.log, silence))
	}
	return nil, nil
}

// lost gives the present request up; the next one goes on where it was.
func (r *Replay) lost(cause error) {
	if r.lostAt.IsZero() {
		r.lostAt, r.pause = time.Now(), resumePauseMin
	}
	r.lostBy = cause
	r.leave()
}

// resume sends another request, after a pause that grows. When that has been
// tried for long enough, the replay ends with what went wrong.
func (r *Replay) resume(ctx context.Context) error {
	if time.Since(r.lostAt) > r.options.ResumeFor {
		r.end = fmt.Errorf("%w; given up after %s, the next sequence would be %d", r.lostBy, r.options.ResumeFor, r.next)
		return nil
	}
	r.watch.Reset(r.pause)
	defer r.watch.Stop()
	select {
	case <-r.watch.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.client.closed:
		r.end = errLost
		return nil
	}
	r.pause = min(2*r.pause, resumePauseMax)
	if !r.client.conn.IsConnected() {
		r.lostBy = errLost
		return nil
	}
	if err := r.begin(); err != nil {
		r.lost(err)
	}
	return nil
}

func (r *Replay) connectionError(err error) error {
	return fmt.Errorf("%w: ask for log %s: %w", ErrConnection, r.log, err)
}

// accept takes a record, if it is the one that follows.
func (r *Replay) accept(m *nats.Msg) (Record, bool) {
	d, err := decodeDelivery(m.Subject[len(r.reply)+1:], m)
	if err != nil {
		r.end = err
		return Record{}, false
	}
	if d.previous != r.delivered || d.record.Seq < r.next {
		r.lost(fmt.Errorf("%w: records behind %d are missing", ErrConnection, r.delivered))
		return Record{}, false
	}
	r.alive()
	r.delivered, r.next = d.record.Seq, d.record.Seq+1
	if r.taken++; r.options.RecordsMax > 0 && r.taken >= r.options.RecordsMax {
		r.finish(io.EOF)
	}
	return d.record, true
}

// alive notes that the bridge delivers.
func (r *Replay) alive() { r.heard, r.lostAt, r.lostBy = true, time.Time{}, nil }
