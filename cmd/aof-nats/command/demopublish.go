package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/aof-nats/aof-nats/bridge/client"
)

const (
	// demoWindow is how many publishes may wait for their acknowledgement.
	demoWindow = 512
	// burstBeforeKill is how many events are sent right before the kill.
	burstBeforeKill = demoWindow / 2
	// refusalPauseMin and refusalPauseMax are how long to wait after backpressure;
	// refusalsFor is when to give up, if nothing is acknowledged any more.
	refusalPauseMin = 10 * time.Millisecond
	refusalPauseMax = 500 * time.Millisecond
	refusalsFor     = time.Minute
	demoTimeout     = 20 * time.Second
)

// demoPublisher publishes the events, each until it is acknowledged, over the
// lives of bridges.
type demoPublisher struct {
	ledger   *eventLedger
	source   *eventReader
	progress *progress
	killDue  bool   // the bridge is to be killed
	killAt   uint64 // once so many events are acknowledged, at the latest with the last

	window  chan struct{} // a slot is taken from the send to the answer
	waiting []event       // to be published again, before what comes next
	elapsed time.Duration // while a bridge ran
	answers publishAnswers
}

// publishAnswers are what the publisher was told. The goroutine that reports
// answers shares them with the one that sends.
type publishAnswers struct {
	sync.Mutex
	flying     []flyingEvent // in the order of sending
	failed     []event       // not acknowledged: to be published again
	acked      uint64
	duplicates uint64 // acknowledged as stored before: by the bridge that was killed
	refused    uint64
	ackTimes   []time.Duration
	lastAck    time.Time
	killed     bool
	sentAtKill int // of flying, how many were sent before the kill
	inFlight   uint64
	fatal      error
}

type flyingEvent struct {
	event
	sent time.Time
}

func newDemoPublisher(l *eventLedger, source *eventReader, p *progress) *demoPublisher {
	return &demoPublisher{
		ledger: l, source: source, progress: p, killDue: true, killAt: uint64(len(l.events) / 2), window: make(chan struct{}, demoWindow),
	}
}

// demoLife is what the life of a bridge came to.
type demoLife struct {
	killed   bool
	inFlight uint64         // publishes that the kill left without an answer
	requests bucketRequests // of a bridge that was killed, as of shortly before
}

// publishTo publishes what is left, and kills the bridge in the middle.
func (p *demoPublisher) publishTo(ctx context.Context, b *demoBridge) (life demoLife, err error) {
	connected, err := client.Connect(ctx, client.Options{Server: b.NATSURL, Name: "aof-nats demo", Timeout: demoTimeout})
	if err != nil {
		return life, err
	}
	defer connected.Close()
	// One more than the window: a slot is given back shortly before the
	// publisher's own, and a publish must not wait with its clock running.
	publisher, err := connected.NewPublisher(client.PublisherOptions{
		MessagesMax: demoWindow + 1, BytesMax: (demoWindow + 1) * (demoLineBytesMax + subjectBytesMax), OnResult: p.note,
	})
	if err != nil {
		return life, err
	}
	began := time.Now()
	p.answers.lastAck, p.answers.killed, p.answers.inFlight = began, false, 0
	err = p.sendAll(ctx, b, publisher, &life)
	err = errors.Join(err, publisher.Close())
	p.progress.clear()
	p.elapsed += p.answers.lastAck.Sub(began)
	life.inFlight = p.answers.inFlight
	p.takeFailed()
	if err == nil {
		err = p.answers.fatal
	}
	return life, err
}

// sendAll sends until everything is acknowledged or the bridge is gone.
func (p *demoPublisher) sendAll(ctx context.Context, b *demoBridge, publisher *client.Publisher, life *demoLife) error {
	burst := 0 // events that were sent since the kill is near
	for {
		next, err := p.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		last := next.number == len(p.ledger.events)-1
		if burst == 0 && p.killDue && (last || p.acked() >= p.killAt) {
			if life.requests, err = b.requests(ctx); err != nil {
				return err
			}
			burst = 1
		}
		if err := p.send(ctx, publisher, next); errors.Is(err, client.ErrConnection) {
			if !life.killed {
				return fmt.Errorf("the bridge is gone and nobody killed it: %w\n%s", err, b.lastLines())
			}
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case burst == 0 || !p.killDue:
		case last || burst >= burstBeforeKill:
			p.killDue, life.killed = false, true
			p.noteKill()
			b.kill()
		default:
			burst++
		}
	}
}

// next is the event to publish now. When some were refused it waits until the
// bridge has answered the others, and then for a while.
func (p *demoPublisher) next(ctx context.Context) (event, error) {
	pause := refusalPauseMin
	for {
		if len(p.waiting) > 0 {
			next := p.waiting[0]
			p.waiting = p.waiting[1:]
			return next, nil
		}
		refused := p.someFailed()
		if !refused {
			next, err := p.source.next()
			if !errors.Is(err, io.EOF) {
				return next, err
			}
		}
		if err := p.drain(ctx); err != nil {
			return event{}, err
		}
		if p.takeFailed(); len(p.waiting) == 0 {
			return event{}, io.EOF
		}
		if err := p.rest(ctx, &pause); err != nil {
			return event{}, err
		}
	}
}

// rest waits after a refusal.
func (p *demoPublisher) rest(ctx context.Context, pause *time.Duration) error {
	p.answers.Lock()
	silent := time.Since(p.answers.lastAck)
	p.answers.Unlock()
	if silent > refusalsFor {
		return fmt.Errorf("%w: nothing was acknowledged for %s", client.ErrBackpressure, refusalsFor)
	}
	timer := time.NewTimer(*pause)
	defer timer.Stop()
	*pause = min(2**pause, refusalPauseMax)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain waits until nothing is in flight.
func (p *demoPublisher) drain(ctx context.Context) error {
	for range demoWindow {
		select {
		case p.window <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range demoWindow {
		<-p.window
	}
	return nil
}

func (p *demoPublisher) acked() uint64 {
	p.answers.Lock()
	defer p.answers.Unlock()
	return p.answers.acked
}

func (p *demoPublisher) someFailed() bool {
	p.answers.Lock()
	defer p.answers.Unlock()
	return len(p.answers.failed) > 0
}

// takeFailed moves what was not acknowledged to what is published next.
func (p *demoPublisher) takeFailed() {
	p.answers.Lock()
	defer p.answers.Unlock()
	p.waiting = append(p.waiting, p.answers.failed...)
	p.answers.failed = nil
	slices.SortFunc(p.waiting, func(a, b event) int { return a.number - b.number })
}

// send publishes one event, once there is room for it.
func (p *demoPublisher) send(ctx context.Context, publisher *client.Publisher, e event) error {
	select {
	case p.window <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.takeOff(e); err != nil {
		<-p.window
		return err
	}
	err := publisher.Publish(ctx, &client.Message{
		Subject: e.subject, Data: e.payload, Origin: e.origin, Header: map[string][]string{messageIDHeader: {messageID(e.number)}},
	})
	if err != nil { // not sent, and nobody will answer
		p.answers.Lock()
		p.answers.flying = p.answers.flying[:len(p.answers.flying)-1]
		p.answers.failed = append(p.answers.failed, e)
		p.answers.Unlock()
		<-p.window
	}
	return err
}

// takeOff notes that an event is sent now, unless all is lost already.
func (p *demoPublisher) takeOff(e event) error {
	p.answers.Lock()
	defer p.answers.Unlock()
	if p.answers.fatal == nil {
		p.answers.flying = append(p.answers.flying, flyingEvent{event: e, sent: time.Now()})
	}
	return p.answers.fatal
}

// noteKill notes what is in flight as the bridge is killed.
func (p *demoPublisher) noteKill() {
	p.answers.Lock()
	defer p.answers.Unlock()
	p.answers.killed, p.answers.sentAtKill = true, len(p.answers.flying)
}

// note takes the next answer; they come in the order of sending.
func (p *demoPublisher) note(r client.Result) {
	a := &p.answers
	a.Lock()
	defer a.Unlock()
	defer func() { <-p.window }()
	answered := a.flying[0]
	a.flying = a.flying[1:]
	if a.killed && a.sentAtKill > 0 {
		a.sentAtKill--
		if r.Err != nil {
			a.inFlight++
		}
	}
	switch {
	case r.Err == nil:
		a.acked++
		a.lastAck = time.Now()
		a.ackTimes = append(a.ackTimes, a.lastAck.Sub(answered.sent))
		if r.Ack.Duplicate {
			a.duplicates++
		}
		if err := p.ledger.ack(answered.number, r.Ack.Seq); err != nil {
			a.fatal = err
		}
	case errors.Is(r.Err, client.ErrBackpressure):
		a.refused++
		a.failed = append(a.failed, answered.event)
	case errors.Is(r.Err, client.ErrConnection) && a.killed:
		a.failed = append(a.failed, answered.event)
	default:
		a.failed = append(a.failed, answered.event)
		if a.fatal == nil {
			a.fatal = fmt.Errorf("publish %s: %w", answered.origin, r.Err)
		}
	}
	p.progress.update(func() string {
		return fmt.Sprintf("%s of %s acknowledged", formatCount(a.acked), plural(len(p.ledger.events), "event"))
	})
}

// percentile is the value that a share of the durations does not exceed, in
// milliseconds; 0 of none. It sorts them.
func percentile(durations []time.Duration, share float64) float64 {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	at := min(int(share*float64(len(durations))), len(durations)-1)
	return float64(durations[at].Microseconds()) / 1000
}

// killAgain plans another kill, if there is something left to publish.
func (p *demoPublisher) killAgain() {
	left := uint64(len(p.ledger.events) - p.source.count)
	p.killDue, p.killAt = left > 0, p.answers.acked+left/4
}
