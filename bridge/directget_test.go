package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/aof-nats/aof-nats/engine"
)

// recordAt is the timestamp of the i-th record of fillLog.
func recordAt(i int) time.Time { return time.Date(2026, 2, 1, 10, 0, i, 120000000+i, time.UTC) }

// fillLog appends so many records, on subjects that repeat after three.
func fillLog(t testing.TB, log *engine.Log, count int) {
	t.Helper()
	for i := 1; i <= count; i++ {
		rec := engine.Record{
			Timestamp: recordAt(i).UnixNano(), ExtID: uint64(1000 + i),
			Subject: fmt.Appendf(nil, "orders.%d", i%3), Payload: fmt.Appendf(nil, "payload-%d", i),
			Headers: fmt.Appendf(nil, "A: %d\r\nA: b\r\nNats-Sequence: 999\r\n", i),
		}
		if i%4 == 0 {
			rec.Headers = nil
		}
		if _, err := log.Append(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Wait(testContext(t), uint64(count), engine.Durable); err != nil {
		t.Fatal(err)
	}
}

// filledBridge is a bridge whose log ORDERS holds so many records.
func filledBridge(t testing.TB, count int) (*Bridge, *engine.Log, *nats.Conn) {
	t.Helper()
	b := startBridge(t, Options{Logs: ordersLog()})
	fillLog(t, b.logs[0].log, count)
	return b, b.logs[0].log, connect(t, b.ClientURL())
}

// ask sends a request and returns the replies up to one without payload that
// has a status, which it includes, or up to the count-th.
func ask(t testing.TB, conn *nats.Conn, body string, count int) (replies []*nats.Msg) {
	t.Helper()
	subscription, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = subscription.Unsubscribe() }()
	if err := conn.PublishRequest("AOF.API.DIRECT.GET.ORDERS", subscription.Subject, []byte(body)); err != nil {
		t.Fatal(err)
	}
	for range count {
		m, err := subscription.NextMsgWithContext(testContext(t))
		if err != nil {
			t.Fatalf("behind %d replies: %v", len(replies), err)
		}
		replies = append(replies, m)
		if len(m.Data) == 0 && m.Header.Get("Status") != "" {
			break
		}
	}
	return replies
}

func TestUnmodifiedClientGetsMessages(t *testing.T) {
	b, _, conn := filledBridge(t, 10)
	js, err := jetstream.NewWithAPIPrefix(conn, "AOF.API")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(testContext(t), "ORDERS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(testContext(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "orders.2" || m.Sequence != 5 || string(m.Data) != "payload-5" || !m.Time.Equal(recordAt(5)) {
		t.Errorf("got %+v", m)
	}
	if got := m.Header.Values("A"); len(got) != 2 || got[0] != "5" || got[1] != "b" {
		t.Errorf("stored headers: %q", m.Header)
	}
	if got := m.Header.Values("Nats-Sequence"); len(got) != 1 || got[0] != "5" {
		t.Errorf("a stored header of our own name came along: %q", got)
	}
	if m, err = stream.GetMsg(testContext(t), 3, jetstream.WithGetMsgSubject("orders.1")); err != nil || m.Sequence != 4 {
		t.Errorf("next by subject: %+v, %v", m, err)
	}
	if m, err = stream.GetLastMsgForSubject(testContext(t), "orders.0"); err != nil || m.Sequence != 9 {
		t.Errorf("last by subject: %+v, %v", m, err)
	}
	if _, err = stream.GetMsg(testContext(t), 11); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("behind the end: %v", err)
	}
	if _, err = stream.GetLastMsgForSubject(testContext(t), "orders.none"); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("no such subject: %v", err)
	}
	if _, err = js.Stream(testContext(t), "OTHER"); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a log that is nowhere: %v", err)
	}
	// The older API of the same library.
	old, err := conn.JetStream(nats.APIPrefix("AOF.API"), nats.DirectGet())
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := old.GetMsg("ORDERS", 7, nats.DirectGet()); err != nil || raw.Subject != "orders.1" || string(raw.Data) != "payload-7" {
		t.Errorf("got %+v, %v", raw, err)
	}
	if reasons := b.Ready(); len(reasons) != 0 {
		t.Errorf("not ready: %q", reasons)
	}
}

func TestStreamInfoDescribesTheLog(t *testing.T) {
	b, log, conn := filledBridge(t, 10)
	m, err := conn.RequestWithContext(testContext(t), "AOF.API.STREAM.INFO.ORDERS", nil)
	if err != nil {
		t.Fatal(err)
	}
	var info server.JSApiStreamInfoResponse
	if err := json.Unmarshal(m.Data, &info); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	c, s := info.Config, info.State
	if info.Type != "io.nats.jetstream.api.v1.stream_info_response" || c.Name != "ORDERS" || !c.AllowDirect || c.Sealed || len(c.Subjects) != 1 || c.Subjects[0] != "orders.>" {
		t.Errorf("got %s", m.Data)
	}
	if s.Msgs != 10 || s.FirstSeq != 1 || s.LastSeq != 10 || !s.FirstTime.Equal(recordAt(1)) || !s.LastTime.Equal(recordAt(10)) || s.Bytes == 0 {
		t.Errorf("state %+v", s)
	}
	if made := time.Unix(0, log.State().Created); !info.Created.Equal(made) || time.Since(made) > time.Minute {
		t.Errorf("created %s", info.Created)
	}
	if b.options.Domain != "" || info.Domain != "" {
		t.Errorf("domain %q", info.Domain)
	}
}

// The statuses are those of the server: the same requests go to a stream that
// holds the same messages.
func TestDirectGetAnswersAsTheServerDoes(t *testing.T) {
	s := startServer(t, ServerOptions{StoreDir: t.TempDir()})
	b := startBridge(t, Options{URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	addStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "TWIN", Subjects: []string{"twin.>"}, AllowDirect: true})
	for i := 1; i <= 6; i++ {
		m := &nats.Msg{Data: []byte("p" + strconv.Itoa(i)), Header: nats.Header{"K": {"v"}}}
		for _, m.Subject = range []string{fmt.Sprintf("orders.%d", i%2), fmt.Sprintf("twin.%d", i%2)} {
			if _, err := conn.RequestMsgWithContext(testContext(t), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano)
	for _, request := range []struct {
		rest, body string
		required   string // API level
	}{
		{body: ``}, {body: `{`}, {body: `{}`}, {body: `{"seq":"x"}`},
		{body: `{"seq":3}`}, {body: `{"seq":7}`}, {body: `{"seq":3,"no_hdr":true}`},
		{body: `{"last_by_subj":"S.1"}`}, {body: `{"last_by_subj":"S.*"}`}, {body: `{"last_by_subj":"S.9"}`},
		{body: `{"next_by_subj":"S.1"}`}, {body: `{"seq":2,"next_by_subj":"S.1"}`}, {body: `{"seq":2,"next_by_subj":"S.>"}`},
		{body: `{"seq":6,"next_by_subj":"S.1"}`},
		{body: `{"seq":1,"last_by_subj":"S.1"}`}, {body: `{"next_by_subj":"S.1","last_by_subj":"S.1"}`},
		{body: `{"last_by_subj":"S.1","batch":2}`}, {body: `{"seq":1,"start_time":"` + start + `"}`},
		{body: `{"seq":1,"batch":3}`}, {body: `{"seq":5,"batch":10}`}, {body: `{"seq":7,"batch":10}`}, {body: `{"seq":6,"batch":1}`},
		{body: `{"seq":1,"batch":10,"max_bytes":1}`}, {body: `{"start_time":"` + start + `","batch":2}`}, {body: `{"start_time":"` + start + `"}`},
		{body: `{"seq":1,"next_by_subj":"S.0","batch":10}`},
		{body: `{"seq":1,"batch":-1}`}, {body: `{"seq":4,"batch":-3}`}, {body: `{"seq":7,"batch":-1}`}, {body: `{"last_by_subj":"S.1","batch":-1}`},
		{body: `{"start_time":"` + start + `","batch":-1}`}, {body: `{"batch":-1}`}, {body: `{"seq":2,"next_by_subj":"S.1","batch":-1}`},
		{body: `{"next_by_subj":"S..1"}`}, {body: `{"seq":2,"next_by_subj":"S..1","batch":2}`}, {body: `{"next_by_subj":"S."}`}, {body: `{"next_by_subj":"S. 1"}`},
		{body: `{"last_by_subj":"S..1"}`}, {body: `{"last_by_subj":".S"}`}, {body: `{"seq":1,"next_by_subj":"S.> b"}`}, {body: `{"seq":1,"max_bytes":-1}`},
		{body: `{"seq":1,"batch":2,"max_bytes":-1}`}, {body: `{"seq":2,"other":1}`}, {body: `{"seq":2}{"seq":3}`},
		{body: `{"seq":1}`, required: "99"}, {body: `{"seq":1}`, required: "5"}, {body: `{"seq":1}`, required: "x"},
		{rest: ".S.1"}, {rest: ".S.9"}, {rest: ".S.1", body: `{"seq":1}`}, {rest: ".S.1", body: `{"no_hdr":true}`}, {rest: ".S.1", body: `{"batch":-1}`}, {rest: ".S.1", body: `{"up_to_seq":1}`}, {rest: ".S.1", body: `{`},
		{rest: ".S.1", required: "99"},
	} {
		t.Run(request.rest+request.body+request.required, func(t *testing.T) {
			var answers [2]string
			for i, target := range []struct{ api, subject string }{
				{"AOF.API.DIRECT.GET.ORDERS", "orders"}, {"$JS.API.DIRECT.GET.TWIN", "twin"},
			} {
				answers[i] = exchange(t, conn, target.api+strings.ReplaceAll(request.rest, "S", target.subject), strings.ReplaceAll(request.body, "S.", target.subject+"."), request.required)
				answers[i] = strings.ReplaceAll(strings.ReplaceAll(answers[i], "TWIN", "ORDERS"), "twin", "orders")
			}
			if answers[0] != answers[1] {
				t.Errorf("the bridge answers\n%sand the server\n%s", answers[0], answers[1])
			}
		})
	}
}

// exchange returns what a request is answered with, as text without times.
func exchange(t *testing.T, conn *nats.Conn, subject, body, required string) string {
	t.Helper()
	inbox, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inbox.Unsubscribe() }()
	request := &nats.Msg{Subject: subject, Reply: inbox.Subject, Data: []byte(body)}
	if required != "" {
		request.Header = nats.Header{"Nats-Required-Api-Level": {required}}
	}
	if err := conn.PublishMsg(request); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for batch := strings.Contains(body, "batch"); ; {
		m, err := inbox.NextMsgWithContext(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"Status", "Description", "K", headerStream, headerSubject, headerSequence, headerNumPending, headerLastSequence} {
			if values := m.Header.Values(key); len(values) > 0 && !(key == headerNumPending && strings.Contains(body, "next_by_subj")) {
				fmt.Fprintf(&text, "%s=%q ", key, values)
			}
		}
		_, err = time.Parse(time.RFC3339Nano, m.Header.Get(headerTimeStamp))
		fmt.Fprintf(&text, "time=%t %q\n", err == nil, m.Data)
		if !batch || m.Header.Get("Status") != "" {
			return text.String()
		}
	}
}

func TestBatchOfDirectGetsTellsWhatIsLeft(t *testing.T) {
	_, _, conn := filledBridge(t, 12)
	replies := ask(t, conn, `{"seq":2,"next_by_subj":"orders.1","batch":3}`, 10)
	if len(replies) != 4 {
		t.Fatalf("%d replies", len(replies))
	}
	for i, want := range []struct{ seq, last, pending string }{{"4", "0", "8"}, {"7", "4", "5"}, {"10", "7", "2"}} {
		h := replies[i].Header
		if h.Get(headerSequence) != want.seq || h.Get(headerLastSequence) != want.last || h.Get(headerNumPending) != want.pending {
			t.Errorf("reply %d: %v", i, h)
		}
	}
	if end := replies[3].Header; end.Get("Status") != "204" || end.Get("Description") != "EOB" || end.Get(headerLastSequence) != "10" {
		t.Errorf("end %v", end)
	}
	// A batch that reaches the end knows that nothing is left.
	replies = ask(t, conn, `{"seq":9,"next_by_subj":"orders.1","batch":9}`, 10)
	if end := replies[len(replies)-1].Header; end.Get(headerNumPending) != "0" || len(replies) != 2 {
		t.Errorf("end %v behind %d replies", end, len(replies)-1)
	}
}

func TestDirectGetFromATime(t *testing.T) {
	_, _, conn := filledBridge(t, 12)
	for at, want := range map[string]string{
		recordAt(5).Format(time.RFC3339Nano):  "5",
		"1969-01-01T00:00:00Z":                "1",
		recordAt(99).Format(time.RFC3339Nano): "",
		"2262-04-12T00:00:00Z":                "",
		"2999-01-01T00:00:00Z":                "",
	} {
		replies := ask(t, conn, fmt.Sprintf(`{"start_time":%q}`, at), 1)
		if got := replies[0].Header; got.Get(headerSequence) != want || (want == "" && got.Get("Status") != "404") {
			t.Errorf("from %s: %v", at, got)
		}
	}
}

func TestRequestsThatALogCannotAnswerAreRefused(t *testing.T) {
	_, _, conn := filledBridge(t, 3)
	for body, want := range map[string]string{
		`{"multi_last":["orders.>"]}`:                                 "400",
		strings.Repeat(" ", 70<<10):                                   "408",
		`{"up_to_seq":1,"up_to_time":"2026-01-01T00:00:00Z","seq":1}`: "408",
	} {
		m := ask(t, conn, body, 1)[0]
		if m.Header.Get("Status") != want {
			t.Errorf("%.40s: %v", body, m.Header)
		}
	}
}

func TestRepliesOfReadersAreJudged(t *testing.T) {
	var events eventRecorder
	b := startBridge(t, Options{OnEvent: events.record, Logs: ordersLog()})
	fillLog(t, b.logs[0].log, 3)
	conn := connect(t, b.ClientURL())
	seen, err := conn.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	for _, reply := range []string{"$JS.API.STREAM.DELETE.X", "orders.loop", "AOF.API.REPLAY.ORDERS", "AOF"} {
		for subject, body := range map[string]string{"AOF.API.DIRECT.GET.ORDERS": `{"seq":1}`, "AOF.API.STREAM.INFO.ORDERS": "", "AOF.API.STREAM.MSG.GET.ORDERS": `{"seq":1}`, "AOF.API.REPLAY.ORDERS": ""} {
			requests++
			if err := conn.PublishRequest(subject, reply, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The log captures what lies below this one.
	requests++
	if err := conn.PublishRequest("AOF.API.REPLAY.ORDERS", "orders", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "every one is told", func() bool { return len(events.find(EventReplyRefused)) == requests })
	if err := b.reads.conn.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	// The requests themselves, and nothing that the bridge published.
	for range requests {
		if m := nextButEvents(t, seen); m.Reply == "" {
			t.Errorf("%s was published", m.Subject)
		}
	}
	for pending, _, err := seen.Pending(); pending > 0; pending, _, err = seen.Pending() {
		if err != nil {
			t.Fatal(err)
		}
		m, err := seen.NextMsg(testTimeout)
		if err != nil || !strings.HasPrefix(m.Subject, "AOF.EVENT.") {
			t.Errorf("%v, %v was published", m, err)
		}
	}
	if got := b.logs[0].log.Watermarks().Appended; got != 3 {
		t.Errorf("the log holds %d records", got)
	}
}

func TestLogsThatAreOnlyReadAreServed(t *testing.T) {
	e := openEngine(t, engine.Options{})
	log, err := e.OpenLog("OLD", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fillLog(t, log, 4)
	b := startBridge(t, Options{Engine: e, Logs: ordersLog(), ReadLogs: []string{"OLD"}})
	conn := connect(t, b.ClientURL())
	js, err := jetstream.NewWithAPIPrefix(conn, "AOF.API")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(testContext(t), "OLD")
	if err != nil {
		t.Fatal(err)
	}
	if !stream.CachedInfo().Config.Sealed {
		t.Error("a log that takes no messages is not told as sealed")
	}
	if m, err := stream.GetMsg(testContext(t), 4); err != nil || string(m.Data) != "payload-4" {
		t.Errorf("%+v, %v", m, err)
	}
	_, err = Start(testContext(t), Options{Engine: e, Listen: "127.0.0.1:0", ReadLogs: []string{"NONE"}})
	if !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// What waits to be answered is bounded, headers included.
func TestRequestsWithLargeHeadersAreRefused(t *testing.T) {
	_, _, conn := filledBridge(t, 1)
	for bytes, want := range map[int]string{1 << 10: "", readRequestBytesMax: "408"} {
		request := &nats.Msg{Subject: "AOF.API.DIRECT.GET.ORDERS", Header: with("X", strings.Repeat("x", bytes)), Data: []byte(`{"seq":1}`)}
		m, err := conn.RequestMsgWithContext(testContext(t), request)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get("Status"); got != want {
			t.Errorf("headers of %d bytes: status %q %s", bytes, got, m.Header.Get("Description"))
		}
	}
}
