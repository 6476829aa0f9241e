package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrOverlap says that a JetStream stream captures subjects of a log, so that a
// publisher would get two answers and take the first.
var ErrOverlap = errors.New("bridge: a JetStream stream captures the same subjects")

const (
	streamNamesSubject   = "$JS.API.STREAM.NAMES"
	streamCreatedSubject = "$JS.EVENT.ADVISORY.STREAM.CREATED.>"
	streamUpdatedSubject = "$JS.EVENT.ADVISORY.STREAM.UPDATED.>"
	streamDeletedSubject = "$JS.EVENT.ADVISORY.STREAM.DELETED.>"

	// overlapTimeout is long enough for a JetStream API under load; an account
	// without JetStream answers at once that nobody listens.
	overlapTimeout  = 5 * time.Second
	overlapInterval = time.Minute
	// overlapSettle is when the watch looks again after an advisory, and then
	// after four times as long and so on: a server tells of a new stream before
	// the stream is among those that it names.
	overlapSettle = 100 * time.Millisecond
)

// overlappingStream returns the name of a stream of the account that captures
// one of the subjects, "" if there is none or no JetStream.
func overlappingStream(ctx context.Context, conn *nats.Conn, subjects []string) (string, error) {
	for _, subject := range subjects {
		request, err := json.Marshal(map[string]string{"subject": subject})
		if err != nil {
			return "", fmt.Errorf("encode stream names request: %w", err)
		}
		reply, err := requestWithin(ctx, conn, streamNamesSubject, request)
		if errors.Is(err, nats.ErrNoResponders) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("ask JetStream for streams on %s (the bridge needs permission to publish on %s): %w", subject, streamNamesSubject, err)
		}
		var answer struct {
			Streams []string `json:"streams"`
		}
		if err := json.Unmarshal(reply.Data, &answer); err != nil {
			return "", fmt.Errorf("decode stream names: %w", err)
		}
		if len(answer.Streams) > 0 {
			return answer.Streams[0], nil
		}
	}
	return "", nil
}

func requestWithin(ctx context.Context, conn *nats.Conn, subject string, body []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, overlapTimeout)
	defer cancel()
	return conn.RequestWithContext(ctx, subject, body)
}

// overlapWatch looks every minute, and when a stream has changed, whether one
// captures a log's subjects. While it does, the bridge answers nobody.
type overlapWatch struct {
	conn    *nats.Conn
	logs    []*boundLog
	options *Options
	changed chan struct{}
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	advised []*nats.Subscription
}

// startOverlapWatch returns once the server knows the subscriptions. It looks at
// once, for a stream that came up after the bridge looked and before that.
func startOverlapWatch(ctx context.Context, conn *nats.Conn, logs []*boundLog, options *Options) (*overlapWatch, error) {
	running, cancel := context.WithCancel(context.Background())
	w := &overlapWatch{conn: conn, logs: logs, options: options, changed: make(chan struct{}, 1), cancel: cancel}
	if err := w.subscribe(ctx); err != nil {
		w.stop()
		return nil, fmt.Errorf("subscribe to stream advisories: %w", err)
	}
	w.poke()
	w.tasks.Go(func() { w.run(running) })
	return w, nil
}

func (w *overlapWatch) subscribe(ctx context.Context) error {
	for _, subject := range []string{streamCreatedSubject, streamUpdatedSubject, streamDeletedSubject} {
		subscription, err := w.conn.Subscribe(subject, func(*nats.Msg) { w.poke() })
		if err != nil {
			return err
		}
		w.advised = append(w.advised, subscription)
	}
	ctx, cancel := context.WithTimeout(ctx, overlapTimeout)
	defer cancel()
	return w.conn.FlushWithContext(ctx)
}

func (w *overlapWatch) poke() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *overlapWatch) run(ctx context.Context) {
	delay := overlapInterval
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			delay = min(4*delay, overlapInterval)
		case <-w.changed:
			delay = overlapSettle
		}
		for _, l := range w.logs {
			w.check(ctx, l)
		}
		timer.Reset(delay)
	}
}

// check notes whether a stream captures a log's subjects now. If JetStream does
// not answer, what was known stays.
func (w *overlapWatch) check(ctx context.Context, l *boundLog) {
	stream, err := overlappingStream(ctx, w.conn, l.config.Subjects)
	if err != nil {
		if ctx.Err() == nil {
			w.options.Logger.Warn("cannot look for overlapping streams", "log", l.name, "error", err)
		}
		return
	}
	known := l.overlap.Load()
	switch {
	case stream != "" && known == nil:
		l.overlap.Store(&stream)
		w.options.Logger.Error("a stream captures subjects of the log; publishers are no longer answered by the bridge", "log", l.name, "stream", stream)
		w.options.emit(Event{Kind: EventOverlapFound, Log: l.name, Subject: stream, Err: ErrOverlap})
	case stream == "" && known != nil:
		l.overlap.Store(nil)
		w.options.emit(Event{Kind: EventOverlapCleared, Log: l.name, Subject: *known})
	}
}

// stop ends the watch and waits for it.
func (w *overlapWatch) stop() {
	for _, subscription := range w.advised {
		_ = subscription.Unsubscribe() // fails only on a closed connection
	}
	w.cancel()
	w.tasks.Wait()
}
