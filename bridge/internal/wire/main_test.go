package wire

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every wait of a test; it is reached only by a failure.
const testTimeout = 20 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// recorder is a handler that copies what it gets.
type recorder struct {
	mu struct {
		sync.Mutex
		messages    []received
		open        int // messages since the last end of a batch
		batches     int
		connected   int
		gaps        int
		complaints  []string
		lastURL     string
		lastFailure error
	}
}

type received struct{ subject, reply, header, payload string }

func (r *recorder) HandleMessage(m *Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.open++
	r.mu.messages = append(r.mu.messages, received{string(m.Subject), string(m.Reply), string(m.Header), string(m.Payload)})
}

func (r *recorder) HandleBatchEnd() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.open = 0
	r.mu.batches++
}

func (r *recorder) HandleConnected(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.connected++
	r.mu.lastURL = url
}

func (r *recorder) HandleDisconnected(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.gaps++
	r.mu.lastFailure = err
}

func (r *recorder) HandleServerError(err *ServerError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.complaints = append(r.mu.complaints, err.Text)
}

func (r *recorder) payloads() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.mu.messages {
		list = append(list, m.payload)
	}
	return list
}

func (r *recorder) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.connected
}

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("not reached: %s", what)
		case <-tick.C:
		}
	}
}

// runServer starts a NATS server. Port 0 means a free one.
func runServer(t testing.TB, options *server.Options) *server.Server {
	t.Helper()
	options.Host, options.NoSigs, options.NoLog = "127.0.0.1", true, true
	if options.Port == 0 {
		options.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(testTimeout) {
		t.Fatal("the server does not accept connections")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func natsOptions(urls []string, list ...nats.Option) nats.Options {
	options := nats.GetDefaultOptions()
	options.Servers = urls
	options.NoRandomize = true
	options.ReconnectWait = 100 * time.Millisecond
	for _, option := range list {
		if err := option(&options); err != nil {
			panic(err)
		}
	}
	return options
}

// open makes a connection that is subscribed to the subjects.
func open(t testing.TB, options Options, subjects ...string) *Conn {
	t.Helper()
	c, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range subjects {
		c.Subscribe(subject)
	}
	if err := c.Connect(testContext(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return c
}
