package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestNothingAckedIsLostWhenTheServerRestarts(t *testing.T) {
	const restarts, acksBetween = 3, 300
	s, err := StartServer(ServerOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	url := s.ClientURL()
	var events eventRecorder
	b := startBridge(t, Options{URLs: []string{url}, Logs: ordersLog(), OnEvent: events.record})
	conn := connect(t, url, nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWaitMax/20))
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	acked := make(chan string)
	ctx, stop := context.WithCancel(testContext(t))
	var publishers sync.WaitGroup
	for p := range 8 {
		publishers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				payload := fmt.Sprintf("%d-%d", p, i)
				if publishBriefly(ctx, js, payload) {
					acked <- payload
				}
			}
		})
	}
	all := make(map[string]bool)
	collect := func(count int) {
		for range count {
			select {
			case payload := <-acked:
				all[payload] = true
			case <-ctx.Done():
				t.Fatal("no acks")
			}
		}
	}
	for range restarts {
		collect(acksBetween)
		s.Stop()
		eventually(t, "not ready", func() bool { return len(b.Ready()) > 0 })
		if s, err = StartServer(ServerOptions{Listen: strings.TrimPrefix(url, "nats://")}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "ready again", func() bool { return len(b.Ready()) == 0 })
	}
	collect(acksBetween)
	stop()
	go func() {
		publishers.Wait()
		close(acked)
	}()
	for payload := range acked {
		all[payload] = true
	}
	stored := make(map[string]int)
	for _, rec := range records(t, b.logs[0].log) {
		stored[string(rec.Payload)]++
	}
	for payload := range all {
		if stored[payload] != 1 {
			t.Errorf("%s was acked and is stored %d times", payload, stored[payload])
		}
	}
	if lost := events.find(EventMessagesLost); len(lost) != restarts {
		t.Errorf("%d events tell of a gap, want %d", len(lost), restarts)
	}
	if err := b.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	s.Stop()
}

// publishBriefly gives up soon: what a broken connection swallowed is never
// answered.
func publishBriefly(ctx context.Context, js jetstream.JetStream, payload string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ack, err := js.Publish(ctx, "orders.a", []byte(payload), jetstream.WithMsgID(payload))
	return err == nil && ack.Sequence > 0
}

func TestStopAnswersEverythingThatWasDelivered(t *testing.T) {
	g := newGate(t)
	s := startServer(t, ServerOptions{})
	e := openEngine(t, engine.Options{FS: g.disk})
	b := startBridge(t, Options{Engine: e, URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	p := newPending(t, s.ClientURL())
	p.publish(t, "first", nil)
	expectStored(t, p.next(t, "first"), 1)
	g.hold(t)
	const count = 500
	for i := range count {
		p.publish(t, fmt.Sprint(i), nil)
	}
	if err := p.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop(testContext(t)) }()
	g.waiting(t, 1)
	p.expectNone(t)
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the sync: %v", err)
	default:
	}
	g.open()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	for name, answer := range p.collect(t, count) {
		if ack := decodeAck(t, answer); ack.Error != nil {
			t.Errorf("%s: %s", name, answer.Data)
		}
	}
	if marks := b.logs[0].log.Watermarks(); marks.Durable != count+1 {
		t.Errorf("durable up to %d, want %d", marks.Durable, count+1)
	}
	// Nobody listens any more, and the engine is still open.
	if _, err := p.conn.RequestWithContext(testContext(t), "orders.new", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v, want no responders", err)
	}
	again := startBridge(t, Options{Engine: e, URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	p.publish(t, "again", nil)
	expectStored(t, p.next(t, "again"), count+2)
	if again.ClientURL() != s.ClientURL() {
		t.Errorf("clients are sent to %s", again.ClientURL())
	}
}

func TestStopRefusesWhoeverStillWaitsWhenItsTimeIsUp(t *testing.T) {
	g := newGate(t)
	s := startServer(t, ServerOptions{})
	b := startBridge(t, Options{Engine: openEngine(t, engine.Options{FS: g.disk}), URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	p := newPending(t, s.ClientURL())
	p.publish(t, "first", nil)
	expectStored(t, p.next(t, "first"), 1)
	g.hold(t)
	p.publish(t, "waiting", nil)
	g.waiting(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop(ctx) }()
	eventually(t, "the queue is closed", func() bool {
		queue := b.logs[0].queues[engine.Durable]
		queue.mu.Lock()
		defer queue.mu.Unlock()
		return queue.mu.closed
	})
	cancel()
	expectRefused(t, p.next(t, "waiting"), 503, 20005)
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What finds no room was acknowledged to nobody: whoever waits for it is refused, and
// all the rest is closed as if it had not been there.
func TestStopRefusesWhoeverWaitsForRoom(t *testing.T) {
	disk, dir := vfs.NewFaulty(vfs.OS()), t.TempDir()
	e, err := engine.Open(dir, engine.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	b := startBridge(t, Options{Engine: e, Logs: []LogConfig{
		{Name: "ORDERS", Subjects: []string{"orders.>"}, Options: engine.LogOptions{SegmentBytesMin: 64 << 10, SegmentBytesMax: 64 << 10}},
	}})
	p := newPending(t, b.ClientURL())
	p.publish(t, "first", nil)
	expectStored(t, p.next(t, "first"), 1)
	disk.Add(vfs.Rule{Op: vfs.OpAllocate, PathPattern: "ORDERS/segments/*", Err: syscall.ENOSPC})
	log := b.logs[0].log
	large := make([]engine.Record, 60) // in one step, before the disk is found full
	for i := range large {
		large[i].Payload = make([]byte, 4<<10)
	}
	if _, err := log.AppendBatch(large, engine.BatchOptions{}); err != nil {
		t.Fatal(err)
	}
	p.publish(t, "waiting", nil)
	p.handled(t, b)
	if err := b.Stop(testContext(t)); err != nil {
		t.Errorf("stop: %v", err)
	}
	expectRefused(t, p.next(t, "waiting"), 503, 20005)
	durable := log.Watermarks().Durable
	if err := e.Close(); !errors.Is(err, engine.ErrUnwritten) {
		t.Errorf("close: %v", err)
	}
	e, err = engine.Open(dir, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if log, err = e.OpenLog("ORDERS", engine.LogOptions{}); err != nil {
		t.Fatal(err)
	}
	if state := log.State(); state.Watermarks.Durable != durable || state.Recovery.Eventful() {
		t.Errorf("durable up to %d, it was %d; %+v", state.Watermarks.Durable, durable, state.Recovery)
	}
}

// Answers that find no connection do not hold up a stop, however many they are:
// they are counted.
func TestStopDoesNotWaitForAServerThatWentAway(t *testing.T) {
	g := newGate(t)
	s := startServer(t, ServerOptions{})
	var said bytes.Buffer // read when the bridge has ended
	b := startBridge(t, Options{
		Engine: openEngine(t, engine.Options{FS: g.disk}), URLs: []string{s.ClientURL()}, Logs: ordersLog(),
		Logger: slog.New(slog.NewTextHandler(&said, nil)),
	})
	conn := connect(t, s.ClientURL())
	g.hold(t)
	reply := nats.NewInbox() + "." + strings.Repeat("x", 3000)
	const count = 6000 // their answers are more than what may wait to be written
	for range count {
		if err := conn.PublishRequest("orders.new", reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.conn.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop(t.Context()) }()
	eventually(t, "nothing more is taken in", func() bool {
		queue := b.logs[0].queues[engine.Durable]
		queue.mu.Lock()
		defer queue.mu.Unlock()
		return queue.mu.closed
	})
	s.Stop()
	eventually(t, "disconnected", func() bool { return !b.conn.Connected() })
	g.open()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testTimeout):
		t.Error("the stop hangs")
		b.conn.Close()
		t.Log("stopped at last:", <-stopped)
	}
	if durable := b.logs[0].log.Watermarks().Durable; durable != count {
		t.Errorf("durable up to %d, want %d", durable, count)
	}
	if want := fmt.Sprintf("count=%d\n", count); !strings.Contains(said.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, said.String())
	}
}
