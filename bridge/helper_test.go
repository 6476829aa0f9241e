package bridge

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// gate holds back the syncs of segment files: each waits for a step, or for all
// being let go.
type gate struct {
	disk  *vfs.Faulty
	rule  *vfs.ActiveRule
	steps chan struct{}
	open  func()
}

// newGate makes a disk whose segments can be held back from being durable.
func newGate(t testing.TB) *gate {
	t.Helper()
	return &gate{disk: vfs.NewFaulty(vfs.OS()), steps: make(chan struct{})}
}

// hold makes every sync of a segment from now on wait.
func (g *gate) hold(t testing.TB) { g.holdOnly(t, "*") }

// holdOnly does so for the logs whose name matches a pattern.
func (g *gate) holdOnly(t testing.TB, log string) {
	opened := make(chan struct{})
	g.disk.SetWait(func(vfs.Operation, time.Duration) {
		select {
		case <-g.steps:
		case <-opened:
		}
	})
	g.rule = g.disk.Add(vfs.Rule{Op: vfs.OpSyncData, PathPattern: log + "/segments/*", Delay: time.Hour})
	g.open = sync.OnceFunc(func() {
		g.rule.Remove()
		close(opened)
	})
	t.Cleanup(g.open) // before the cleanup of what waits for the syncs
}

// waiting waits until so many syncs have come to the gate.
func (g *gate) waiting(t testing.TB, syncs int) {
	t.Helper()
	eventually(t, "a sync waits at the gate", func() bool { return g.rule.Applied() == syncs })
}

// pubAck is an answer as its publisher reads it.
type pubAck struct {
	server.JSPubAckResponse
	header nats.Header
}

func decodeAck(t testing.TB, m *nats.Msg) pubAck {
	t.Helper()
	ack := pubAck{header: m.Header}
	if err := json.Unmarshal(m.Data, &ack.JSPubAckResponse); err != nil {
		t.Fatalf("answer %q: %v", m.Data, err)
	}
	return ack
}

func expectStored(t testing.TB, m *nats.Msg, seq uint64) pubAck {
	t.Helper()
	ack := decodeAck(t, m)
	if ack.Error != nil || ack.PubAck == nil || ack.Sequence != seq {
		t.Fatalf("got %s, want sequence %d", m.Data, seq)
	}
	return ack
}

func expectRefused(t testing.TB, m *nats.Msg, code int, errCode uint16) pubAck {
	t.Helper()
	ack := decodeAck(t, m)
	if ack.Error == nil || ack.Error.Code != code || ack.Error.ErrCode != errCode {
		t.Fatalf("got %s, want %d/%d", m.Data, code, errCode)
	}
	return ack
}

// records reads the durable records of a log.
func records(t testing.TB, log *engine.Log) (list []engine.Record) {
	t.Helper()
	reader, err := log.NewReader(engine.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}()
	for {
		rec, err := reader.Next(testContext(t))
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rec.Clone())
	}
}

// eventRecorder keeps the events of a bridge.
type eventRecorder struct {
	mu   sync.Mutex
	list []Event
}

func (r *eventRecorder) record(event Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, event)
}

// find returns the events of a kind.
func (r *eventRecorder) find(kind EventKind) (list []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, event := range r.list {
		if event.Kind == kind {
			list = append(list, event)
		}
	}
	return list
}

// ordersLog is the log of most tests.
func ordersLog() []LogConfig {
	return []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}}
}
