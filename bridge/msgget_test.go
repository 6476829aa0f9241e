package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/aof-nats/aof-nats/engine"
)

// The same requests go to a stream that holds the same messages.
func TestMessageGetAnswersAsTheServerDoes(t *testing.T) {
	s := startServer(t, ServerOptions{StoreDir: t.TempDir()})
	b := startBridge(t, Options{URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	addStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "TWIN", Subjects: []string{"twin.>"}})
	for i := 1; i <= 6; i++ {
		m := &nats.Msg{Data: []byte("p" + strconv.Itoa(i))}
		if i%3 > 0 {
			m.Header = nats.Header{"K": {"v", strconv.Itoa(i)}}
		}
		for _, m.Subject = range []string{fmt.Sprintf("orders.%d", i%2), fmt.Sprintf("twin.%d", i%2)} {
			if _, err := conn.RequestMsgWithContext(testContext(t), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano)
	for _, request := range []struct {
		body     string
		required string // API level
	}{
		{body: ``}, {body: `{`}, {body: `{}`}, {body: `{"seq":"x"}`},
		{body: `{"seq":2}`}, {body: `{"seq":3}`}, {body: `{"seq":7}`}, {body: `{"seq":2,"no_hdr":true}`},
		{body: `{"last_by_subj":"S.1"}`}, {body: `{"last_by_subj":"S.*"}`}, {body: `{"last_by_subj":"S.9"}`},
		{body: `{"next_by_subj":"S.1"}`}, {body: `{"seq":2,"next_by_subj":"S.1"}`}, {body: `{"seq":6,"next_by_subj":"S.1"}`},
		{body: `{"seq":1,"last_by_subj":"S.1"}`}, {body: `{"next_by_subj":"S.1","last_by_subj":"S.1"}`},
		{body: `{"seq":1,"start_time":"` + start + `"}`}, {body: `{"start_time":"` + start + `"}`},
		{body: `{"seq":1,"batch":3}`}, {body: `{"seq":1,"max_bytes":3}`},
		{body: `{"seq":2,"other":1}`}, {body: `{"other":1}`}, {body: `{"seq":2} {"seq":3}`}, {body: `{"seq":2} x`}, {body: `  `}, {body: `[]`}, {body: `null`},
		{body: `{"next_by_subj":"S..1"}`}, {body: `{"last_by_subj":"S..1"}`}, {body: `{"seq":1,"batch":-1}`}, {body: `{"seq":1,"max_bytes":-1}`},
		{body: `{"seq":2,"multi_last":["S.1"]}`}, {body: `{"multi_last":["S.1"]}`}, {body: `{"seq":2,"up_to_seq":1,"up_to_time":"` + start + `"}`},
		{body: `{"seq":1}`, required: "99"}, {body: `{"seq":1}`, required: "1"},
	} {
		t.Run(request.body+request.required, func(t *testing.T) {
			var answers [2]string
			for i, target := range []struct{ api, subject string }{
				{"AOF.API.STREAM.MSG.GET.ORDERS", "orders"}, {"$JS.API.STREAM.MSG.GET.TWIN", "twin"},
			} {
				m := &nats.Msg{Subject: target.api, Data: []byte(strings.ReplaceAll(request.body, "S.", target.subject+"."))}
				if request.required != "" {
					m.Header = nats.Header{"Nats-Required-Api-Level": {request.required}}
				}
				answer, err := conn.RequestMsgWithContext(testContext(t), m)
				if err != nil {
					t.Fatal(err)
				}
				answers[i] = strings.ReplaceAll(withoutTime(t, answer.Data), "twin", "orders")
			}
			if answers[0] != answers[1] {
				t.Errorf("the bridge answers\n%s\nand the server\n%s", answers[0], answers[1])
			}
		})
	}
}

// Header values are stored and given back with every byte that a stream keeps,
// blanks and tabs in front among them.
func TestHeaderValuesAreByteForByteThoseOfAStream(t *testing.T) {
	s := startServer(t, ServerOptions{StoreDir: t.TempDir()})
	b := startBridge(t, Options{URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	addStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "TWIN", Subjects: []string{"twin.>"}, AllowDirect: true})
	raw, err := net.Dial("tcp", strings.TrimPrefix(s.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	inbox, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil { // the answers go another way than the messages
		t.Fatal(err)
	}
	headers := block("A: 1", "B:  two", "B:      six", "C: \ttab", "D: trail \t ", "E: ", "F:    ", "G: \xff\xfe", "\xff: x", "Nats-Msg-Id:  id")
	sent := "CONNECT {\"headers\":true,\"verbose\":false}\r\n"
	for _, subject := range []string{"orders.h", "twin.h"} {
		sent += fmt.Sprintf("HPUB %s %s %d %d\r\n%s\r\n", subject, inbox.Subject, len(headers), len(headers), headers)
	}
	if _, err := raw.Write([]byte(sent)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if ack, err := inbox.NextMsgWithContext(testContext(t)); err != nil || !strings.Contains(string(ack.Data), `"seq":1`) {
			t.Fatalf("%v, %+v", err, ack)
		}
	}
	var lines [2][]string
	for i, subject := range []string{"$JS.API.STREAM.MSG.GET.TWIN", "AOF.API.STREAM.MSG.GET.ORDERS"} {
		answer, err := conn.RequestWithContext(testContext(t), subject, []byte(`{"seq":1}`))
		if err != nil {
			t.Fatal(err)
		}
		var got server.JSApiMsgGetResponse
		if err := json.Unmarshal(answer.Data, &got); err != nil || got.Message == nil {
			t.Fatalf("%s: %v", answer.Data, err)
		}
		lines[i] = strings.Split(string(got.Message.Header), "\r\n")
		slices.Sort(lines[i]) // a log keeps names in byte order
	}
	if !slices.Equal(lines[0], lines[1]) {
		t.Errorf("a stream has\n%q\nand the log\n%q", lines[0], lines[1])
	}
	duplicate, err := conn.RequestMsgWithContext(testContext(t), &nats.Msg{Subject: "orders.h", Header: nats.Header{"Nats-Msg-Id": {"id"}}})
	if err != nil || !strings.Contains(string(duplicate.Data), `"duplicate": true`) {
		t.Errorf("the same id: %v, %+v", err, duplicate)
	}
}

// withoutTime is an answer with the message's time, which must be there, and the
// words of the JSON decoder left out.
func withoutTime(t *testing.T, data []byte) string {
	t.Helper()
	var answer server.JSApiMsgGetResponse
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if answer.Message != nil {
		if age := time.Since(answer.Message.Time); age < 0 || age > time.Minute {
			t.Errorf("%s: time is %s ago", data, age)
		}
		answer.Message.Time = time.Time{}
	}
	if e := answer.Error; e != nil && strings.HasPrefix(e.Description, "invalid JSON: ") {
		e.Description = "invalid JSON: what the decoder says"
	}
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A client that knows no direct gets reads a log by its API prefix.
func TestUnmodifiedClientGetsMessagesAsJSON(t *testing.T) {
	_, _, conn := filledBridge(t, 10)
	js, err := conn.JetStream(nats.APIPrefix("AOF.API"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := js.GetMsg("ORDERS", 5)
	if err != nil || m.Subject != "orders.2" || m.Sequence != 5 || string(m.Data) != "payload-5" || !m.Time.Equal(recordAt(5)) {
		t.Fatalf("got %+v, %v", m, err)
	}
	if got := m.Header.Values("A"); len(got) != 2 || got[0] != "5" || got[1] != "b" {
		t.Errorf("stored headers: %q", m.Header)
	}
	if m, err = js.GetLastMsg("ORDERS", "orders.0"); err != nil || m.Sequence != 9 {
		t.Errorf("last by subject: %+v, %v", m, err)
	}
	if _, err = js.GetMsg("ORDERS", 11); !errors.Is(err, nats.ErrMsgNotFound) {
		t.Errorf("behind the end: %v", err)
	}
}

// A message that fits as it is and not as JSON is refused with the way that has
// room for it.
func TestAMessageThatIsTooLargeAsJSONIsRefused(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	rec := engine.Record{Subject: []byte("orders.a"), Payload: make([]byte, 900<<10)}
	if _, err := b.logs[0].log.AppendSync(testContext(t), &rec); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, b.ClientURL())
	answer, err := conn.RequestWithContext(testContext(t), "AOF.API.STREAM.MSG.GET.ORDERS", []byte(`{"seq":1}`))
	if err != nil {
		t.Fatal(err)
	}
	var refused server.JSApiMsgGetResponse
	if err := json.Unmarshal(answer.Data, &refused); err != nil || refused.Error == nil || refused.Error.Code != 413 || refused.Message != nil {
		t.Errorf("got %.300s, %v", answer.Data, err)
	}
	if m := ask(t, conn, `{"seq":1}`, 1)[0]; len(m.Data) != 900<<10 {
		t.Errorf("a direct get has %d bytes, %v", len(m.Data), m.Header)
	}
}
