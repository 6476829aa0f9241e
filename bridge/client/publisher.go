package client

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PublisherOptions bound what a publisher keeps in flight.
type PublisherOptions struct {
	// MessagesMax and BytesMax bound what was sent and not yet answered.
	// Defaults 4,096 messages and 16 MiB; a single larger message goes alone.
	MessagesMax int
	BytesMax    int64
	// OnResult is called for every message, in the order of publishing and from
	// one goroutine. The publisher waits for it: it should return quickly and
	// must not call the publisher.
	OnResult func(Result)
}

const (
	windowMessagesDefault = 4096
	windowBytesDefault    = 16 << 20
)

// Publisher publishes messages with the asynchronous publish of an ordinary
// JetStream client: many in flight, every answer accounted for. Publish and
// Close are for one goroutine.
type Publisher struct {
	client  *Client
	stream  jetstream.JetStream
	options PublisherOptions
	flying  chan flight
	room    chan struct{} // one pending signal that something was answered
	done    chan struct{}

	mu struct {
		sync.Mutex
		messages int
		bytes    int64
		closed   bool
	}
}

// flight is a message that was sent.
type flight struct {
	message *Message
	answer  jetstream.PubAckFuture // nil: sending failed with err
	err     error
}

// NewPublisher starts a publisher. It must be closed, before its client is.
func (c *Client) NewPublisher(o PublisherOptions) (*Publisher, error) {
	if o.MessagesMax == 0 {
		o.MessagesMax = windowMessagesDefault
	}
	if o.BytesMax == 0 {
		o.BytesMax = windowBytesDefault
	}
	if o.OnResult == nil {
		o.OnResult = func(Result) {}
	}
	if o.MessagesMax < 1 || o.BytesMax < 1 {
		return nil, fmt.Errorf("%w: the window is not positive", ErrOptions)
	}
	stream, err := jetstream.New(c.conn, jetstream.WithPublishAsyncMaxPending(o.MessagesMax+1), jetstream.WithPublishAsyncTimeout(c.options.Timeout))
	if err != nil {
		return nil, fmt.Errorf("make JetStream publisher: %w", err)
	}
	p := &Publisher{
		client: c, stream: stream, options: o,
		flying: make(chan flight, o.MessagesMax), room: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go p.collect()
	return p, nil
}

// Publish sends a message, waiting while the window is full. The message belongs
// to the publisher until its result was reported. An error means that it was not
// sent and no result follows: ctx's error, ErrConnection or ErrClosed.
func (p *Publisher) Publish(ctx context.Context, m *Message) error {
	if err := p.reserve(ctx, m.bytes()); err != nil {
		return err
	}
	answer, err := p.stream.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Data})
	p.flying <- flight{message: m, answer: answer, err: err} // has room: the window is as large
	return nil
}

// reserve takes a message's share of the window.
func (p *Publisher) reserve(ctx context.Context, bytes int64) error {
	for {
		if err := ctx.Err(); err != nil {
			return err // though there may be room: nobody wants it sent any more
		}
		if p.client.isClosed() {
			return errLost
		}
		if taken, err := p.take(bytes); err != nil || taken {
			return err
		}
		select {
		case <-p.room:
		case <-p.client.closed:
			return errLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Publisher) take(bytes int64) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return false, ErrClosed
	}
	if p.mu.messages > 0 && (p.mu.messages >= p.options.MessagesMax || p.mu.bytes+bytes > p.options.BytesMax) {
		return false, nil
	}
	p.mu.messages++
	p.mu.bytes += bytes
	return true, nil
}

func (p *Publisher) giveBack(bytes int64) {
	p.mu.Lock()
	p.mu.messages--
	p.mu.bytes -= bytes
	p.mu.Unlock()
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// collect reports the results in order.
func (p *Publisher) collect() {
	defer close(p.done)
	for f := range p.flying {
		result := Result{Message: f.message}
		result.Ack, result.Err = p.await(f)
		bytes := f.message.bytes()
		p.options.OnResult(result)
		p.giveBack(bytes)
	}
}

// await waits for the answer, at most as long as the client's timeout.
func (p *Publisher) await(f flight) (Ack, error) {
	if f.err != nil {
		return Ack{}, publishError(f.err)
	}
	select {
	case ack := <-f.answer.Ok():
		return Ack{Log: ack.Stream, Seq: ack.Sequence, Duplicate: ack.Duplicate}, nil
	case err := <-f.answer.Err():
		return Ack{}, publishError(err)
	case <-p.client.closed:
		return p.answered(f)
	}
}

// answered takes an answer that came before the connection ended.
func (p *Publisher) answered(f flight) (Ack, error) {
	select {
	case ack := <-f.answer.Ok():
		return Ack{Log: ack.Stream, Seq: ack.Sequence, Duplicate: ack.Duplicate}, nil
	case err := <-f.answer.Err():
		return Ack{}, publishError(err)
	default:
		return Ack{}, fmt.Errorf("%w: it was lost before the answer", ErrConnection)
	}
}

// Close waits until every message was answered and reported, which takes at most
// the client's timeout. Calling it again returns ErrClosed.
func (p *Publisher) Close() error {
	p.mu.Lock()
	closed := p.mu.closed
	p.mu.closed = true
	p.mu.Unlock()
	if closed {
		return ErrClosed
	}
	close(p.flying)
	<-p.done
	p.stream.CleanupPublisher()
	return nil
}
