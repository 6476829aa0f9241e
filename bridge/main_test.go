package bridge

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/aof-nats/aof-nats/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every wait of a test; it is reached only by a failure.
const testTimeout = 20 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func openEngine(t testing.TB, options engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.TempDir(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil && !t.Failed() {
			t.Log("close engine:", err)
		}
	})
	return e
}

// startBridge starts a bridge with an embedded server on a free port and stops
// it at the end of the test.
func startBridge(t testing.TB, options Options) *Bridge {
	t.Helper()
	if options.Engine == nil {
		options.Engine = openEngine(t, engine.Options{})
	}
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	b, err := Start(testContext(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(testContext(t)); err != nil {
			t.Log("stop bridge:", err)
		}
	})
	return b
}

func startServer(t testing.TB, options ServerOptions) *Server {
	t.Helper()
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	s, err := StartServer(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
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
