package bridge

import (
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

func TestAckComesAfterTheSyncAndWrittenOnesDoNotWaitForIt(t *testing.T) {
	g := newGate(t)
	b := startBridge(t, Options{Engine: openEngine(t, engine.Options{FS: g.disk}), Logs: ordersLog()})
	p := newPending(t, b.ClientURL())
	p.publish(t, "first", nil)
	expectStored(t, p.next(t, "first"), 1)

	g.hold(t)
	p.publish(t, "syncing", nil)
	g.waiting(t, 1)
	p.publish(t, "durable", nil)
	p.publish(t, "named", with(headerAckLevel, "durable"))
	p.handled(t, b)
	p.expectNone(t)
	g.steps <- struct{}{}
	expectStored(t, p.next(t, "syncing"), 2)
	g.waiting(t, 2) // the sync of the two others; they are written
	p.publish(t, "more", nil)
	p.publish(t, "written", with(headerAckLevel, "written"))
	p.handled(t, b)
	p.expectNone(t)
	g.steps <- struct{}{}
	answers := p.collect(t, 3)
	if ack := expectStored(t, answers["durable"], 3); len(ack.header) != 0 {
		t.Errorf("headers on an ordinary ack: %v", ack.header)
	}
	if ack := expectStored(t, answers["named"], 4); ack.header.Get(headerAcked) != "durable" {
		t.Errorf("headers %v", ack.header)
	}
	if ack := expectStored(t, answers["written"], 6); ack.header.Get(headerAcked) != "written" {
		t.Errorf("headers %v", ack.header)
	}
	g.waiting(t, 3)
	p.expectNone(t)
	g.open()
	expectStored(t, p.next(t, "more"), 5)
	expectSettled(t, b)
}

func TestDuplicateWaitsForTheLevelOfItsOriginal(t *testing.T) {
	g := newGate(t)
	b := startBridge(t, Options{Engine: openEngine(t, engine.Options{FS: g.disk}), Logs: ordersLog()})
	p := newPending(t, b.ClientURL())
	p.publish(t, "first", nil)
	expectStored(t, p.next(t, "first"), 1)
	g.hold(t)
	p.publish(t, "original", with("Nats-Msg-Id", "m"))
	p.publish(t, "duplicate", with("Nats-Msg-Id", "m"))
	p.handled(t, b)
	g.waiting(t, 1)
	p.expectNone(t)
	g.open()
	expectStored(t, p.next(t, "original"), 2)
	duplicate := p.next(t, "duplicate")
	if string(duplicate.Data) != `{"stream":"ORDERS","seq":2,"duplicate": true}` {
		t.Errorf("got %s", duplicate.Data)
	}
	p.publish(t, "later", with("Nats-Msg-Id", "m", headerAckLevel, "written"))
	if ack := expectStored(t, p.next(t, "later"), 2); !ack.Duplicate || ack.header.Get(headerAcked) != "durable" {
		t.Errorf("got %+v %v: the original is durable by now", ack.PubAck, ack.header)
	}
}

// The original may have asked for less, and have its ack.
func TestDuplicateWaitsForAnOriginalThatWasAckedAsWritten(t *testing.T) {
	g := newGate(t)
	b := startBridge(t, Options{Engine: openEngine(t, engine.Options{FS: g.disk}), Logs: ordersLog()})
	p := newPending(t, b.ClientURL())
	p.publish(t, "first", nil)
	expectStored(t, p.next(t, "first"), 1)
	g.hold(t)
	p.publish(t, "original", with("Nats-Msg-Id", "m", headerAckLevel, "written"))
	expectStored(t, p.next(t, "original"), 2)
	p.publish(t, "duplicate", with("Nats-Msg-Id", "m"))
	p.handled(t, b)
	g.waiting(t, 1)
	p.expectNone(t)
	g.open()
	if ack := expectStored(t, p.next(t, "duplicate"), 2); !ack.Duplicate {
		t.Errorf("got %+v", ack.PubAck)
	}
}

func TestLogCanAckWrittenRecordsByDefault(t *testing.T) {
	g := newGate(t)
	b := startBridge(t, Options{Engine: openEngine(t, engine.Options{FS: g.disk}), Logs: []LogConfig{
		{Name: "ORDERS", Subjects: []string{"orders.>"}, Ack: engine.Written},
	}})
	p := newPending(t, b.ClientURL())
	p.publish(t, "first", with(headerAckLevel, "durable"))
	expectStored(t, p.next(t, "first"), 1)
	g.hold(t)
	p.publish(t, "default", nil)
	expectStored(t, p.next(t, "default"), 2)
	p.publish(t, "durable", with(headerAckLevel, "durable"))
	g.waiting(t, 1)
	p.expectNone(t)
	if marks := b.logs[0].log.Watermarks(); marks.Durable != 1 {
		t.Errorf("durable up to %d while syncs are held back", marks.Durable)
	}
	g.open()
	expectStored(t, p.next(t, "durable"), 3)
}

func TestAckLevelsThatCannotBeGivenAreRefused(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	p := newPending(t, b.ClientURL())
	p.publish(t, "unknown", with(headerAckLevel, "fsync"))
	expectRefused(t, p.next(t, "unknown"), 400, 20001)
	p.publish(t, "empty", with(headerAckLevel, ""))
	expectRefused(t, p.next(t, "empty"), 400, 20001)
	p.publish(t, "cold", with(headerAckLevel, "cold"))
	expectRefused(t, p.next(t, "cold"), 400, 20002)
	if marks := b.logs[0].log.Watermarks(); marks.Appended != 0 {
		t.Errorf("%d records were stored", marks.Appended)
	}
}
