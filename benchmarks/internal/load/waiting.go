package load

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publishTimeout bounds the wait for one ack.
const publishTimeout = 30 * time.Second

// waitingPublisher has a connection of its own.
type waitingPublisher struct {
	conn      *nats.Conn
	js        jetstream.JetStream
	subject   string
	payload   []byte
	latencies []time.Duration
	failure   error
}

func (job *Job) waiting() (*Result, error) {
	publishers := make([]*waitingPublisher, 0, job.Publishers)
	for i := range job.Publishers {
		p, err := newWaitingPublisher(job, i)
		if err != nil {
			return nil, err
		}
		defer p.conn.Close()
		publishers = append(publishers, p)
	}
	if _, err := publishAll(publishers, job.Warmup); err != nil {
		return nil, err
	}
	for _, p := range publishers {
		p.latencies = make([]time.Duration, 0, job.Messages/job.Publishers+1)
	}
	elapsed, err := publishAll(publishers, job.Messages)
	if err != nil {
		return nil, err
	}
	var all [][]time.Duration
	for _, p := range publishers {
		all = append(all, p.latencies)
	}
	latencies := slices.Concat(all...)
	result := &Result{Messages: len(latencies), Elapsed: elapsed}
	result.setLatencies(latencies)
	return result, nil
}

func newWaitingPublisher(job *Job, i int) (*waitingPublisher, error) {
	conn, err := nats.Connect(job.URL)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &waitingPublisher{conn: conn, js: js, subject: job.subject(i), payload: make([]byte, job.PayloadBytes)}, nil
}

// publishAll shares out so many messages and returns how long the slowest
// publisher took.
func publishAll(publishers []*waitingPublisher, messages int) (time.Duration, error) {
	began := time.Now()
	var running sync.WaitGroup
	for _, p := range publishers {
		running.Go(func() { p.failure = p.publish(messages / len(publishers)) })
	}
	running.Wait()
	elapsed := time.Since(began)
	for _, p := range publishers {
		if p.failure != nil {
			return 0, p.failure
		}
	}
	return elapsed, nil
}

func (p *waitingPublisher) publish(messages int) error {
	for range messages {
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		began := time.Now()
		_, err := p.js.Publish(ctx, p.subject, p.payload)
		latency := time.Since(began)
		cancel()
		if err != nil {
			return err
		}
		p.latencies = append(p.latencies, latency)
	}
	return nil
}
