package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aof-nats/aof-nats/bridge/client"
)

// publishing is one run of `pub`.
type publishing struct {
	template *subjectTemplate
	headers  map[string][]string
	source   payloadSource
	progress *progress

	began   time.Time
	elapsed time.Duration
	sent    atomic.Uint64
	stop    context.CancelCauseFunc // of sending

	// What follows belongs to the goroutine that reports results until the
	// publisher is closed.
	acked      uint64
	ackedBytes int64
	duplicates uint64
	failed     uint64
	first      error             // of the failures
	logs       map[string]uint64 // the last sequence in each
}

// publishReport is what `pub --json` prints.
type publishReport struct {
	Sent              uint64            `json:"sent"`
	Acked             uint64            `json:"acked"`
	Duplicates        uint64            `json:"duplicates"`
	Failed            uint64            `json:"failed"`
	Bytes             int64             `json:"bytes"`
	Seconds           float64           `json:"seconds"`
	MessagesPerSecond float64           `json:"messages_per_second"`
	LastSeq           map[string]uint64 `json:"last_seq"`
}

// errNotAcknowledged stops sending; what is told is the failure itself.
var errNotAcknowledged = errors.New("a message was not acknowledged")

// run publishes until the source ends, something fails, or ctx ends, and waits
// for all answers.
func (p *publishing) run(ctx context.Context, connected *client.Client, window int) error {
	p.logs = make(map[string]uint64)
	ctx, p.stop = context.WithCancelCause(ctx)
	defer p.stop(nil)
	publisher, err := connected.NewPublisher(client.PublisherOptions{MessagesMax: window, OnResult: p.note})
	if err != nil {
		return err
	}
	p.began = time.Now()
	sendErr := p.sendAll(ctx, publisher)
	err = publisher.Close()
	p.elapsed = time.Since(p.began)
	p.progress.clear()
	if p.first != nil {
		p.first = fmt.Errorf("%s not acknowledged; the first is %w", p.countFailed(), p.first)
	}
	return errors.Join(p.first, sendErr, err)
}

func (p *publishing) countFailed() string {
	if p.failed == 1 {
		return "1 message was"
	}
	return formatCount(p.failed) + " messages were"
}

func (p *publishing) sendAll(ctx context.Context, publisher *client.Publisher) error {
	ahead := readAhead(ctx, p.source)
	for {
		var next sourced
		more := true
		select {
		case next, more = <-ahead:
		case <-ctx.Done():
		}
		switch {
		case ctx.Err() != nil: // also if there was a payload at the same time
			return stopped(ctx)
		case !more:
			return nil
		case next.err != nil:
			return next.err
		}
		if err := p.send(ctx, publisher, next.payload); err != nil {
			return err
		}
	}
}

func (p *publishing) send(ctx context.Context, publisher *client.Publisher, next payload) error {
	subject, err := p.template.subject(next.data)
	if err != nil {
		return usagef("%s: %w", next.origin, err)
	}
	message := &client.Message{Subject: subject, Header: p.headers, Data: next.data, Origin: next.origin}
	err = publisher.Publish(ctx, message)
	switch {
	case err == nil:
		p.sent.Add(1)
		return nil
	case ctx.Err() != nil:
		return stopped(ctx)
	}
	return fmt.Errorf("send %s: %w", next.origin, err)
}

// stopped is why sending ended before the source, unless a failure tells it.
func stopped(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errNotAcknowledged) {
		return nil
	}
	return fmt.Errorf("interrupted: %w", ctx.Err())
}

// note takes the result of one message.
func (p *publishing) note(r client.Result) {
	if r.Err != nil {
		p.failed++
		if p.first == nil {
			p.first = fmt.Errorf("%s on %s: %w", r.Message.Origin, r.Message.Subject, r.Err)
		}
		p.stop(errNotAcknowledged)
		return
	}
	p.acked++
	p.ackedBytes += int64(len(r.Message.Data))
	if r.Ack.Duplicate {
		p.duplicates++
	}
	p.logs[r.Ack.Log] = max(p.logs[r.Ack.Log], r.Ack.Seq)
	p.progress.update(func() string {
		return fmt.Sprintf("%s sent, %s acknowledged, %s/s", formatCount(p.sent.Load()), formatCount(p.acked),
			formatCount(int64(float64(p.acked)/time.Since(p.began).Seconds())))
	})
}

// report prints the counts.
func (p *publishing) report(a *app) error {
	r := publishReport{
		Sent: p.sent.Load(), Acked: p.acked, Duplicates: p.duplicates, Failed: p.failed, Bytes: p.ackedBytes,
		Seconds: p.elapsed.Seconds(), LastSeq: p.logs,
	}
	if r.Seconds > 0 {
		r.MessagesPerSecond = float64(r.Acked) / r.Seconds
	}
	if a.json {
		return printJSON(a.env.Stdout, r)
	}
	text := fmt.Sprintf("%s of %s acknowledged", formatCount(r.Acked), plural(r.Sent, "message"))
	if r.Duplicates > 0 {
		text += fmt.Sprintf(" (%s)", plural(r.Duplicates, "duplicate"))
	}
	text += fmt.Sprintf(", %s in %.2f s, %s/s", formatBytes(r.Bytes), r.Seconds, formatCount(int64(r.MessagesPerSecond)))
	for _, log := range slices.Sorted(maps.Keys(r.LastSeq)) {
		text += fmt.Sprintf("; %s is at %d", log, r.LastSeq[log])
	}
	_, err := fmt.Fprintln(a.env.Stdout, text)
	return err
}
