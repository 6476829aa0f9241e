// Package plain is the shortest bridge from NATS to the engine that a general
// client allows: one nats.go subscription, one answer a message. The product's
// own connection is compared with it.
package plain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/engine"
)

// bridge feeds one log from one subscription. It refuses nothing, checks no
// header and bounds no memory.
type bridge struct {
	log     *engine.Log
	conn    *nats.Conn
	arrived chan struct{}

	mu      sync.Mutex
	waiting []answer
	failure error
}

type answer struct {
	reply string
	seq   uint64
}

// Serve runs a bridge from subjects to a log below dir until it is told to stop
// by SIGTERM. It prints the line that says where it listens.
func Serve(out io.Writer, dir, name, subjects string) (err error) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	opened, err := engine.Open(dir, engine.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	log, err := opened.OpenLog(name, engine.LogOptions{})
	if err != nil {
		return err
	}
	s, conn, err := startServer()
	if err != nil {
		return err
	}
	defer s.Shutdown()
	defer conn.Close()
	b := &bridge{log: log, conn: conn, arrived: make(chan struct{}, 1)}
	subscription, err := conn.Subscribe(subjects, b.store)
	if err != nil {
		return err
	}
	if err := errors.Join(subscription.SetPendingLimits(-1, -1), conn.Flush()); err != nil {
		return err
	}
	if err := announce(out, s); err != nil {
		return err
	}
	return b.answerUntil(stop)
}

func (b *bridge) store(m *nats.Msg) {
	for {
		seq, err := b.log.Append(&engine.Record{Subject: []byte(m.Subject), Payload: m.Data})
		if errors.Is(err, engine.ErrBackpressure) {
			err = b.log.Wait(context.Background(), b.log.Watermarks().Appended, engine.Durable)
			if err == nil {
				continue
			}
		}
		b.mu.Lock()
		b.failure = errors.Join(b.failure, err)
		b.waiting = append(b.waiting, answer{m.Reply, seq})
		b.mu.Unlock()
		break
	}
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// answerUntil answers in order, each message once its record is durable.
func (b *bridge) answerUntil(stop <-chan os.Signal) error {
	var taken []answer
	for {
		select {
		case <-stop:
			return nil
		case <-b.arrived:
		}
		b.mu.Lock()
		taken, b.waiting = b.waiting, taken[:0]
		err := b.failure
		b.mu.Unlock()
		if err != nil || len(taken) == 0 {
			if err != nil {
				return fmt.Errorf("append: %w", err)
			}
			continue
		}
		if err := b.log.Wait(context.Background(), taken[len(taken)-1].seq, engine.Durable); err != nil {
			return err
		}
		for _, a := range taken {
			if err := b.conn.Publish(a.reply, acknowledgement(b.log.Name(), a.seq)); err != nil {
				return err
			}
		}
	}
}
