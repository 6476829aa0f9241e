package bridge

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestReplySubjectsThatWouldMisuseTheBridgeAreNotServed(t *testing.T) {
	var events eventRecorder
	b := startBridge(t, Options{
		Registerer: prometheus.NewRegistry(), OnEvent: events.record,
		Logs: []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}, {Name: "OTHER", Subjects: []string{"other.*"}}},
	})
	conn := connect(t, b.ClientURL())
	seen, err := conn.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	replies := []string{
		"$JS.API.STREAM.DELETE.ORDERS", "$SYS.REQ.SERVER.PING", "$SRV.PING",
		"AOF", "AOF.ADMIN.LOG.RM.ORDERS", "orders.loop", "other.loop", "*", ">", "_INBOX.*", "_INBOX.>", "a..b", "a.",
	}
	for _, reply := range replies {
		if err := conn.PublishMsg(&nats.Msg{Subject: "orders.attack", Reply: reply, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.conn.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	// A message behind them is the first that is stored.
	answer, err := conn.RequestWithContext(testContext(t), "orders.good", []byte("y"))
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, answer, 1)
	for range replies {
		if m := nextButEvents(t, seen); m.Subject != "orders.attack" {
			t.Errorf("%s was published", m.Subject)
		}
	}
	if m := nextButEvents(t, seen); m.Subject != "orders.good" {
		t.Errorf("%s was published", m.Subject)
	}
	if got := testutil.ToFloat64(b.logs[0].metrics.refusedReplies); got != float64(len(replies)) {
		t.Errorf("%v refused replies counted, want %d", got, len(replies))
	}
	counted := uint64(0)
	for _, event := range events.find(EventReplyRefused) {
		if event.Log != "ORDERS" || event.Subject == "" {
			t.Errorf("event %+v", event)
		}
		counted += event.Count
	}
	if counted != uint64(len(replies)) {
		t.Errorf("events tell of %d refused replies, want %d", counted, len(replies))
	}
	if reasons := b.Ready(); len(reasons) != 0 {
		t.Errorf("not ready: %q", reasons)
	}
}

// nextButEvents returns the next message that is no event.
func nextButEvents(t *testing.T, in *nats.Subscription) *nats.Msg {
	t.Helper()
	for {
		m, err := in.NextMsgWithContext(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(m.Subject, "AOF.EVENT.") {
			return m
		}
	}
}

func TestReplayedMessagesAreRefusedUnlessTheLogAcceptsThem(t *testing.T) {
	b := startBridge(t, Options{Logs: []LogConfig{
		{Name: "ORDERS", Subjects: []string{"orders.>"}}, {Name: "COPIES", Subjects: []string{"copies.>"}, AcceptReplays: true},
	}})
	conn := connect(t, b.ClientURL())
	publish := func(subject string) *nats.Msg {
		answer, err := conn.RequestMsgWithContext(testContext(t), &nats.Msg{Subject: subject, Header: with(headerReplay, "b/ORDERS/7")})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	expectRefused(t, publish("orders.a"), 400, 20006)
	expectStored(t, publish("copies.a"), 1)
}
