package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// refuseTimeout bounds how long those who still wait at the end of a stop may take
// to be refused.
const refuseTimeout = time.Second

const (
	// roomPatience is how long a stop waits for room that a log has not.
	roomPatience = 2 * time.Second
	// roomLook is how often it looks whether there is some.
	roomLook = 100 * time.Millisecond
)

// errNoRoom says that what a log took last finds no room.
var errNoRoom = errors.New("bridge: no room for what was published last")

// Stop ends the subscriptions, stores what had been delivered, waits until it
// is as safe as its publishers asked for, answers them, and stops the embedded
// server. When ctx ends before that, the publishers that still wait are refused; and
// so are they, without an error, when what they sent finds no room and nobody makes
// any.
// Where the server is away nobody can be answered, and nobody is waited for. The
// engine and its logs stay open. Later calls return what the first did.
func (b *Bridge) Stop(ctx context.Context) error {
	b.stopOnce.Do(func() {
		b.stopErr = b.drain(ctx)
		b.release()
	})
	return b.stopErr
}

// drain answers everybody, then waits until the server has every answer.
func (b *Bridge) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, b.giveUp)
	defer stop()
	var failures []error
	b.reads.drain(ctx)
	if err := b.stopIntake(ctx); err != nil {
		failures = append(failures, fmt.Errorf("unsubscribe: %w", err))
		b.conn.Close()
	}
	for _, l := range b.logs {
		l.log.Request(l.log.Watermarks().Appended, engine.Durable)
		for _, queue := range l.queues {
			if queue != nil {
				queue.close()
			}
		}
	}
	failures = append(failures, b.commit(ctx)...)
	err := b.awaitAckers(ctx)
	if err == nil {
		err = b.passBarrier(ctx)
	}
	if err != nil {
		failures = append(failures, fmt.Errorf("flush answers: %w", err))
	}
	b.tellUnanswered()
	return errors.Join(failures...)
}

// commit waits until all logs are durable to their ends, or have no room.
func (b *Bridge) commit(ctx context.Context) (failures []error) {
	errs := make([]error, len(b.logs))
	var group sync.WaitGroup
	for i, l := range b.logs {
		group.Go(func() { errs[i] = l.commit(ctx) })
	}
	group.Wait()
	for i, err := range errs {
		switch {
		case errors.Is(err, errNoRoom):
			b.options.Logger.Warn("publishers that wait are refused: there is no room for what they sent", "log", b.logs[i].name, "error", err)
			b.giveUp()
		case err != nil:
			failures = append(failures, fmt.Errorf("commit log %s: %w", b.logs[i].name, err))
		}
	}
	return failures
}

// commit waits until the log is durable to its end. The error matches errNoRoom if
// it has no room for that, and has not had any for roomPatience.
func (l *boundLog) commit(ctx context.Context) error {
	last := l.log.Watermarks().Appended
	for full := time.Duration(0); ; full += roomLook {
		looking, cancel := context.WithTimeout(ctx, roomLook)
		err := l.log.Wait(looking, last, engine.Durable)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		cause := l.log.State().NoRoom
		if cause == nil {
			full = 0
		} else if full >= roomPatience {
			return fmt.Errorf("%w: %w", errNoRoom, cause)
		}
	}
}

// awaitAckers waits until every publisher was answered, or cannot be because the
// connection broke. When ctx ends, those who still wait are refused; an acker that
// waits for a connection to write to is released soon after, by closing it.
func (b *Bridge) awaitAckers(ctx context.Context) error {
	answered := make(chan struct{})
	go func() { // ends with the ackers, which are waited for in any case
		b.ackers.Wait()
		close(answered)
	}()
	select {
	case <-answered:
		return nil
	case <-b.intake.broke:
		b.conn.Close()
		<-answered // nothing holds them up: all is durable, or ctx has ended
		return nil
	case <-ctx.Done():
	}
	timer := time.NewTimer(refuseTimeout)
	defer timer.Stop()
	select {
	case <-answered:
	case <-timer.C:
		b.conn.Close()
		<-answered
	}
	return ctx.Err()
}

// stopIntake ends the subscriptions. When it returns nil, everything that had
// been delivered was handled and nothing is being handled any more: a server may
// deliver a last message behind its answer to the first barrier, which is then
// not looked at, and the second barrier is behind that. From a server that is away
// nothing comes: a connection that it made anew would have no subscriptions.
func (b *Bridge) stopIntake(ctx context.Context) error {
	b.conn.UnsubscribeAll()
	if err := b.passBarrier(ctx); err != nil {
		return err
	}
	b.intake.stopped.Store(true)
	return b.passBarrier(ctx)
}

// passBarrier waits until the server has everything that was sent to it and the
// intake everything that it had sent. When the connection breaks, or is broken,
// there is nothing to wait for: it is closed, and what it did not take is lost.
func (b *Bridge) passBarrier(ctx context.Context) error {
	err := b.conn.Barrier(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	b.options.Logger.Warn("stopping without a server: it is away", "error", err)
	b.conn.Close()
	return nil
}

// tellUnanswered says how many publishers were stored and could not be told.
func (b *Bridge) tellUnanswered() {
	count := int64(b.conn.Unsent())
	for _, l := range b.logs {
		count += l.unanswered.Load()
	}
	if count > 0 {
		b.metrics.answersDropped.Inc()
		b.options.Logger.Warn("answers could not be sent: the server was away; what was stored stays stored", "count", count)
	}
}
