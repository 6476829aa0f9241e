package bridge

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestPublishersAreToldThatTheSyncFailed(t *testing.T) {
	var events eventRecorder
	disk := vfs.NewFaulty(vfs.OS())
	b := startBridge(t, Options{
		Engine: openEngine(t, engine.Options{FS: disk}), OnEvent: events.record,
		Logs: []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}, {Name: "OTHER", Subjects: []string{"other"}}},
	})
	p := newPending(t, b.ClientURL())
	p.publish(t, "good", with("Nats-Msg-Id", "good"))
	expectStored(t, p.next(t, "good"), 1)

	disk.Add(vfs.Rule{Op: vfs.OpSyncData, PathPattern: "ORDERS/segments/*", Err: syscall.EIO})
	const waiting = 20
	for i := range waiting {
		p.publish(t, fmt.Sprintf("waiting-%d", i), nil)
	}
	for name, answer := range p.collect(t, waiting) {
		ack := expectRefused(t, answer, 503, 20004)
		if ack.header.Get("Nats-Service-Error-Code") != "503" || ack.header.Get("Nats-Service-Error") == "" {
			t.Errorf("%s: headers %v", name, ack.header)
		}
	}
	p.publish(t, "later", nil)
	expectRefused(t, p.next(t, "later"), 503, 20004)
	p.publish(t, "conditional", with("Nats-Expected-Stream", "ORDERS"))
	expectRefused(t, p.next(t, "conditional"), 503, 20004)

	if reasons := strings.Join(b.Ready(), "; "); !strings.Contains(reasons, "ORDERS is poisoned") || strings.Contains(reasons, "OTHER") {
		t.Errorf("readiness says %q", reasons)
	}
	if poisoned := events.find(EventLogPoisoned); len(poisoned) != 1 || poisoned[0].Log != "ORDERS" || !errors.Is(poisoned[0].Err, engine.ErrPoisoned) {
		t.Errorf("events %+v", poisoned)
	}
	if durable := records(t, b.logs[0].log); len(durable) != 1 {
		t.Errorf("%d records can be read, want the durable one", len(durable))
	}
	answer, err := p.conn.RequestWithContext(testContext(t), "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, answer, 1) // another log goes on
}

func TestFullDiskIsSaidAsBackpressure(t *testing.T) {
	b := startBridge(t, Options{
		Engine: openEngine(t, engine.Options{HotBytesMax: 1 << 20, WarmBytesMax: engine.NoWarm}),
		Logs: []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}, Options: engine.LogOptions{
			SegmentBytesMin: 64 << 10, SegmentBytesMax: 64 << 10,
		}}},
	})
	conn := connect(t, b.ClientURL())
	payload := make([]byte, 8<<10)
	for stored := uint64(1); ; stored++ {
		answer, err := conn.RequestWithContext(testContext(t), "orders.a", payload)
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Header) == 0 {
			expectStored(t, answer, stored)
			continue
		}
		ack := expectRefused(t, answer, 503, 10077)
		if kind := ack.header.Get("Aof-Backpressure"); kind == "Rollover" {
			stored-- // the next segment is on its way
			continue
		} else if kind != "Admission" {
			t.Fatalf("backpressure %q: %s", kind, answer.Data)
		}
		if ack.header.Get("Aof-Retry-After-Ms") == "" || ack.header.Get("Nats-Service-Error-Code") != "503" {
			t.Errorf("headers %v", ack.header)
		}
		if stored < 10 {
			t.Errorf("full after %d records", stored)
		}
		return
	}
}

func TestFullIngestIsAnsweredAtOnce(t *testing.T) {
	for name, limit := range map[string]LogConfig{
		"messages": {UnackedMessagesMax: 2},
		"bytes":    {UnackedBytesMax: int64(2 * len("orders.new"))},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			limit.Name, limit.Subjects = "ORDERS", []string{"orders.>"}
			b := startBridge(t, Options{
				Engine: openEngine(t, engine.Options{FS: g.disk}), Logs: []LogConfig{limit}, Registerer: prometheus.NewRegistry(),
			})
			p := newPending(t, b.ClientURL())
			p.publish(t, "first", nil)
			expectStored(t, p.next(t, "first"), 1)
			expectSettled(t, b)
			g.hold(t)
			p.publish(t, "a", nil)
			p.publish(t, "b", nil)
			p.publish(t, "c", nil)
			ack := expectRefused(t, p.next(t, "c"), 429, 10167)
			if ack.header.Get("Status") != "429" || ack.header.Get("Description") != "Too Many Requests" {
				t.Errorf("no inline status as JetStream gives: %v", ack.header)
			}
			if ack.header.Get("Nats-Service-Error-Code") != "429" || ack.header.Get("Aof-Retry-After-Ms") == "" {
				t.Errorf("headers %v", ack.header)
			}
			g.open()
			expectStored(t, p.next(t, "a"), 2)
			expectStored(t, p.next(t, "b"), 3)
			expectSettled(t, b)
			p.publish(t, "d", nil)
			expectStored(t, p.next(t, "d"), 4)
			if got := testutil.ToFloat64(b.logs[0].metrics.refusals[refusedOverload]); got != 1 {
				t.Errorf("%v overload refusals counted", got)
			}
			eventually(t, "four acks counted", func() bool {
				return testutil.ToFloat64(b.logs[0].metrics.acks[engine.Durable]) == 4
			})
		})
	}
}

func TestMessageBeyondTheLogsLimitIsRefused(t *testing.T) {
	b := startBridge(t, Options{Logs: []LogConfig{
		{Name: "ORDERS", Subjects: []string{"orders.>"}, MessageBytesMax: 100},
		{Name: "SMALL", Subjects: []string{"small"}, Options: engine.LogOptions{SegmentBytesMin: 64 << 10, SegmentBytesMax: 64 << 10}},
	}})
	conn := connect(t, b.ClientURL())
	for _, test := range []struct {
		subject string
		bytes   int
		ok      bool
	}{{"orders.a", 100, true}, {"orders.a", 101, false}, {"small", 32 << 10, true}, {"small", 80 << 10, false}} {
		answer, err := conn.RequestWithContext(testContext(t), test.subject, make([]byte, test.bytes))
		if err != nil {
			t.Fatal(err)
		}
		if test.ok {
			expectStored(t, answer, 1)
		} else {
			expectRefused(t, answer, 400, 10054)
		}
	}
}

// TestMalformedHeadersAreAnswered speaks the protocol itself: no client library
// sends such headers.
func TestMalformedHeadersAreAnswered(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	p := newPending(t, b.ClientURL())
	p.handled(t, b) // the subscription to the answers is there
	raw, err := net.Dial("tcp", strings.TrimPrefix(b.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	send := func(name, header string) {
		if _, err := fmt.Fprintf(raw, "HPUB orders.a %s.%s %d %d\r\n%sxy\r\n", p.inbox, name, len(header), len(header)+2, header); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := raw.Write([]byte("CONNECT {\"headers\":true}\r\n")); err != nil {
		t.Fatal(err)
	}
	send("lf", "NATS/1.0\r\nA: 1\nB: 2\r\n\r\n")
	expectRefused(t, p.next(t, "lf"), 400, 20003)
	send("version", "HTTP/1.1\r\n\r\n")
	expectRefused(t, p.next(t, "version"), 400, 20003)
	send("empty", "NATS/1.0\r\n\r\n")
	expectStored(t, p.next(t, "empty"), 1)
}

func TestClosedEngineIsSaid(t *testing.T) {
	e := openEngine(t, engine.Options{})
	b := startBridge(t, Options{Engine: e, Logs: ordersLog()})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	answer, err := connect(t, b.ClientURL()).RequestMsgWithContext(testContext(t), &nats.Msg{Subject: "orders.a"})
	if err != nil {
		t.Fatal(err)
	}
	expectRefused(t, answer, 503, 20005)
}
