package client

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks for goroutines that were left behind. nats.go leaves one of
// its own when a connection closes before it has asked for status changes: it
// then waits on a channel that is nil.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}
