package bridge

import (
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

// A log whose disk does not answer refuses conditions that it cannot judge; the
// publishers of other logs notice nothing.
func TestConditionOnAStalledLogHoldsUpNoOtherLog(t *testing.T) {
	g := newGate(t)
	b := startBridge(t, Options{
		Engine: openEngine(t, engine.Options{FS: g.disk}),
		Logs:   []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}, {Name: "OTHERS", Subjects: []string{"others.>"}}},
	})
	p := newPending(t, b.ClientURL())
	p.publish(t, "first", nil)
	expectStored(t, p.next(t, "first"), 1)
	g.holdOnly(t, "ORDERS")
	p.publish(t, "a", nil)
	g.waiting(t, 1)
	p.publish(t, "b", nil) // stays in memory until the sync has ended
	for _, name := range []string{"c", "d"} {
		p.publish(t, name, with("Nats-Expected-Last-Subject-Sequence", "3"))
		ack := expectRefused(t, p.next(t, name), 503, 10077)
		if kind := ack.header.Get("Aof-Backpressure"); kind != engine.Flush.String() {
			t.Errorf("backpressure %q: %s", kind, ack.Error.Description)
		}
	}
	m, err := p.conn.RequestWithContext(testContext(t), "others.x", nil)
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, m, 1)
	g.open()
	expectStored(t, p.next(t, "a"), 2)
	expectStored(t, p.next(t, "b"), 3)
	p.publish(t, "e", with("Nats-Expected-Last-Subject-Sequence", "3"))
	expectStored(t, p.next(t, "e"), 4)
}
