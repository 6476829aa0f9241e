package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestAsynchronousPublisherOfNatsGoWorksUnmodified(t *testing.T) {
	const count = 5000
	publishers := map[string]func(t *testing.T, conn *nats.Conn, publish func(publish func(subject string, data []byte) error)){
		"jetstream": func(t *testing.T, conn *nats.Conn, run func(func(string, []byte) error)) {
			js, err := jetstream.New(conn, jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { t.Error(err) }))
			if err != nil {
				t.Fatal(err)
			}
			run(func(subject string, data []byte) error {
				_, err := js.PublishAsync(subject, data, jetstream.WithStallWait(testTimeout))
				return err
			})
			<-js.PublishAsyncComplete()
		},
		"legacy": func(t *testing.T, conn *nats.Conn, run func(func(string, []byte) error)) {
			js, err := conn.JetStream(nats.PublishAsyncErrHandler(func(_ nats.JetStream, _ *nats.Msg, err error) { t.Error(err) }))
			if err != nil {
				t.Fatal(err)
			}
			run(func(subject string, data []byte) error {
				_, err := js.PublishAsync(subject, data, nats.StallWait(testTimeout))
				return err
			})
			<-js.PublishAsyncComplete()
		},
	}
	for name, publisher := range publishers {
		t.Run(name, func(t *testing.T) {
			b := startBridge(t, Options{Logs: ordersLog()})
			var want []string
			publisher(t, connect(t, b.ClientURL()), func(publish func(string, []byte) error) {
				for i := range count {
					payload := fmt.Sprint(i)
					want = append(want, payload)
					if err := publish(fmt.Sprintf("orders.%d", i%7), []byte(payload)); err != nil {
						t.Fatal(err)
					}
				}
			})
			expectPayloads(t, b, want)
			expectSettled(t, b)
		})
	}
}

func expectPayloads(t *testing.T, b *Bridge, want []string) {
	t.Helper()
	var got []string
	for _, rec := range records(t, b.logs[0].log) {
		got = append(got, string(rec.Payload))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the log holds %d records, want %d in the order of their publisher", len(got), len(want))
	}
}

// expectSettled checks that nothing is left in the limits of a bridge that has
// answered everybody.
func expectSettled(t *testing.T, b *Bridge) {
	t.Helper()
	for _, l := range b.logs {
		eventually(t, "limits given back", func() bool { return l.unackedMessages.Load() == 0 && l.unackedBytes.Load() == 0 })
	}
}

func TestSynchronousPublishersOfNatsGoWorkUnmodified(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := js.Publish(testContext(t), "orders.a", []byte("1"), jetstream.WithMsgID("x"))
	if err != nil || ack.Sequence != 1 || ack.Stream != "ORDERS" || ack.Duplicate {
		t.Fatalf("got %+v, %v", ack, err)
	}
	ack, err = js.Publish(testContext(t), "orders.a", []byte("1"), jetstream.WithMsgID("x"))
	if err != nil || ack.Sequence != 1 || !ack.Duplicate {
		t.Fatalf("got %+v, %v", ack, err)
	}
	legacy, err := conn.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := legacy.Publish("orders.a", []byte("2"), nats.ExpectLastSequence(7)); err == nil {
		t.Error("a wrong expected sequence was accepted")
	}
	if ack, err := legacy.Publish("orders.a", []byte("2"), nats.ExpectLastSequence(1), nats.ExpectLastMsgId("x")); err != nil || ack.Sequence != 2 {
		t.Errorf("got %+v, %v", ack, err)
	}
}

func TestAcksOfAConnectionComeInTheOrderOfItsMessages(t *testing.T) {
	const count = 3000
	b := startBridge(t, Options{Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	inbox := conn.NewInbox()
	acks, err := conn.SubscribeSync(inbox + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		if err := conn.PublishRequest("orders.a", fmt.Sprintf("%s.%d", inbox, i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		m, err := acks.NextMsgWithContext(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%s.%d", inbox, i); m.Subject != want {
			t.Fatalf("ack %d came at %s, want %s", i, m.Subject, want)
		}
		expectStored(t, m, uint64(i+1))
	}
}

func TestOrderOfEachConnectionIsKeptAcrossSubjects(t *testing.T) {
	const publishers, count = 4, 4000
	b := startBridge(t, Options{Logs: []LogConfig{
		{Name: "ORDERS", Subjects: []string{"orders.>", "shop.*", "direct"}},
		{Name: "OTHER", Subjects: []string{"other.>"}},
	}})
	subjects := []string{"orders.a", "shop.x", "direct", "orders.b.c", "other.a"}
	done := make(chan error, publishers)
	for p := range publishers {
		conn := connect(t, b.ClientURL())
		go func() {
			for i := range count {
				if err := conn.Publish(subjects[(i*7+p)%len(subjects)], fmt.Appendf(nil, "%d %d", p, i)); err != nil {
					done <- err
					return
				}
			}
			done <- conn.Flush()
		}()
	}
	for range publishers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	eventually(t, "all records durable", func() bool {
		total = 0
		for _, l := range b.logs {
			total += int(l.log.Watermarks().Durable)
		}
		return total == publishers*count
	})
	for _, l := range b.logs {
		last := [publishers]int{-1, -1, -1, -1}
		for _, rec := range records(t, l.log) {
			var p, i int
			if _, err := fmt.Sscan(string(rec.Payload), &p, &i); err != nil {
				t.Fatal(err)
			}
			if i <= last[p] {
				t.Fatalf("log %s: publisher %d: %d stands behind %d", l.name, p, i, last[p])
			}
			last[p] = i
		}
	}
}

func TestRecordHoldsWhatWasPublished(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	before := time.Now()
	answer, err := conn.RequestMsgWithContext(testContext(t), &nats.Msg{
		Subject: "orders.new", Data: []byte("body"),
		Header: with("Zone", "z", "Nats-Msg-Id", "m", "App", "1", "App", "0", "Nats-Request-Info", "{}", "Status", "503"),
	})
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, answer, 1)
	rec := records(t, b.logs[0].log)[0]
	if string(rec.Subject) != "orders.new" || string(rec.Payload) != "body" ||
		string(rec.Headers) != "App: 1\r\nApp: 0\r\nNats-Msg-Id: m\r\nZone: z\r\n" {
		t.Errorf("got %s %q %q", rec.Subject, rec.Headers, rec.Payload)
	}
	if rec.Time().Before(before.Add(-time.Second)) || rec.Time().After(time.Now().Add(time.Second)) {
		t.Errorf("timestamp %s", rec.Time())
	}
}

func TestMessagesWithoutReplyAreStoredAndNotAnswered(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	if err := conn.PublishMsg(&nats.Msg{Subject: "orders.new", Header: with("Nats-Msg-Id", "m"), Data: []byte("quiet")}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Publish("orders.new", []byte("plain")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both durable", func() bool { return b.logs[0].log.Watermarks().Durable == 2 })
	expectPayloads(t, b, []string{"quiet", "plain"})
}
