package load

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// stallWait is how long PublishAsync may wait for room among the messages
	// in flight. The library's 200 ms are too short for a server that syncs
	// every message; all servers get the same.
	stallWait = time.Minute
	// sampleEvery is how many messages of Async there are to a measured one.
	sampleEvery = 128
)

// asyncPublisher publishes without waiting and notes what went wrong.
type asyncPublisher struct {
	js      jetstream.JetStream
	payload []byte
	samples sync.WaitGroup
	mu      struct {
		sync.Mutex
		failure   error
		latencies []time.Duration
	}
}

func (job *Job) async() (*Result, error) {
	conn, err := nats.Connect(job.URL)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	p := &asyncPublisher{payload: make([]byte, job.PayloadBytes)}
	p.js, err = jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(job.InFlight),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { p.fail(err) }))
	if err != nil {
		return nil, err
	}
	if _, err := p.publish(job, job.Warmup); err != nil {
		return nil, err
	}
	p.mu.latencies = nil
	elapsed, err := p.publish(job, job.Messages)
	if err != nil {
		return nil, err
	}
	result := &Result{Messages: job.Messages, Elapsed: elapsed}
	result.setLatencies(p.mu.latencies)
	return result, nil
}

// publish publishes so many messages and returns how long it took until the
// last was acknowledged.
func (p *asyncPublisher) publish(job *Job, messages int) (time.Duration, error) {
	began := time.Now()
	for i := range messages {
		future, err := p.js.PublishAsync(job.subject(i), p.payload, jetstream.WithStallWait(stallWait))
		if err != nil {
			return 0, err
		}
		if i%sampleEvery == 0 {
			published := time.Now()
			p.samples.Go(func() { p.sample(future, published) })
		}
	}
	<-p.js.PublishAsyncComplete()
	elapsed := time.Since(began)
	p.samples.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return elapsed, p.mu.failure
}

func (p *asyncPublisher) sample(future jetstream.PubAckFuture, published time.Time) {
	select {
	case <-future.Ok():
	case err := <-future.Err():
		p.fail(err)
		return
	}
	latency := time.Since(published)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.latencies = append(p.mu.latencies, latency)
}

func (p *asyncPublisher) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.failure == nil {
		p.mu.failure = err
	}
}
