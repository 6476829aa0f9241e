package client

import (
	"context"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
)

// testTimeout bounds every wait of a test; it is reached only by a failure.
const testTimeout = 20 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// startBridge starts a bridge with an embedded server and the log ORDERS on
// orders.>, and returns the log and the server's URL.
func startBridge(t *testing.T) (*engine.Log, string) {
	t.Helper()
	eng, err := engine.Open(t.TempDir(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eng.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := bridge.Start(testContext(t), bridge.Options{
		Engine: eng, Listen: "127.0.0.1:0",
		Logs: []bridge.LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(testContext(t)); err != nil {
			t.Error(err)
		}
	})
	log, err := eng.OpenLog("ORDERS", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return log, b.ClientURL()
}

func connect(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Connect(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
