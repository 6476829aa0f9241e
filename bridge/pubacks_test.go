package bridge

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/aof-nats/aof-nats/engine"
)

// publishCase is one message that is published to a stream and to a log.
type publishCase struct {
	name        string
	subject     string // default: orders.new
	header      nats.Header
	payload     string
	replySuffix string
}

func with(pairs ...string) nats.Header {
	header := nats.Header{}
	for i := 0; i < len(pairs); i += 2 {
		header[pairs[i]] = append(header[pairs[i]], pairs[i+1])
	}
	return header
}

// pubAckCases are published in this order: later ones build on the sequences
// and message ids of earlier ones.
var pubAckCases = []publishCase{
	{name: "plain", payload: "hello"},
	{name: "empty payload"},
	{name: "headers", header: with("A", "1", "B", "2"), payload: "x"},
	{name: "message id", header: with("Nats-Msg-Id", "id-1")},
	{name: "duplicate", header: with("Nats-Msg-Id", "id-1")},
	{name: "duplicate on another subject", subject: "orders.old", header: with("Nats-Msg-Id", "id-1")},
	{name: "empty message id", header: with("Nats-Msg-Id", "")},
	{name: "other case", header: with("nats-msg-id", "id-1")},
	{name: "first message id counts", header: with("Nats-Msg-Id", "id-2", "Nats-Msg-Id", "id-1")},

	{name: "expected stream", header: with("Nats-Expected-Stream", "ORDERS")},
	{name: "other stream", header: with("Nats-Expected-Stream", "OTHER")},
	{name: "empty expected stream", header: with("Nats-Expected-Stream", "")},

	{name: "expected last sequence", header: with("Nats-Expected-Last-Sequence", "9")},
	{name: "wrong last sequence", header: with("Nats-Expected-Last-Sequence", "3")},
	{name: "last sequence not a number", header: with("Nats-Expected-Last-Sequence", "x")},
	{name: "empty last sequence", header: with("Nats-Expected-Last-Sequence", "")},

	{name: "subject has no message yet", subject: "orders.a", header: with("Nats-Expected-Last-Subject-Sequence", "0")},
	{name: "subject has a message", subject: "orders.a", header: with("Nats-Expected-Last-Subject-Sequence", "0")},
	{name: "last sequence of an unknown subject", subject: "orders.b", header: with("Nats-Expected-Last-Subject-Sequence", "7")},
	{name: "last sequence of the subject not a number", subject: "orders.a", header: with("Nats-Expected-Last-Subject-Sequence", "-1")},
	{name: "of another subject", subject: "orders.c", header: with("Nats-Expected-Last-Subject-Sequence", "0", "Nats-Expected-Last-Subject-Sequence-Subject", "orders.z")},
	{name: "of another subject, wrong", subject: "orders.c", header: with("Nats-Expected-Last-Subject-Sequence", "1", "Nats-Expected-Last-Subject-Sequence-Subject", "orders.a")},
	{name: "of a wildcard, wrong", subject: "orders.c", header: with("Nats-Expected-Last-Subject-Sequence", "1", "Nats-Expected-Last-Subject-Sequence-Subject", "orders.*")},
	{name: "subject without sequence", header: with("Nats-Expected-Last-Subject-Sequence-Subject", "orders.a")},
	{name: "subject without sequence, wrong last sequence", header: with("Nats-Expected-Last-Subject-Sequence-Subject", "orders.a", "Nats-Expected-Last-Sequence", "1")},
	{name: "both sequences wrong", subject: "orders.a", header: with("Nats-Expected-Last-Subject-Sequence", "1", "Nats-Expected-Last-Sequence", "1")},

	{name: "message id with special characters", header: with("Nats-Msg-Id", `<"id"> & é\`)},
	{name: "wrong last message id", header: with("Nats-Expected-Last-Msg-Id", "id-1")},
	{name: "last message id", header: with("Nats-Expected-Last-Msg-Id", `<"id"> & é\`)},
	{name: "last message had no id", header: with("Nats-Expected-Last-Msg-Id", "id-1")},
	{name: "duplicate with wrong last message id", header: with("Nats-Msg-Id", "id-2", "Nats-Expected-Last-Msg-Id", "x")},
	{name: "duplicate with wrong last sequence", header: with("Nats-Msg-Id", "id-2", "Nats-Expected-Last-Sequence", "1")},

	{name: "TTL", header: with("Nats-TTL", "1h")},
	{name: "TTL in seconds", header: with("Nats-TTL", "5")},
	{name: "TTL never", header: with("Nats-TTL", "Never")},
	{name: "TTL of nothing", header: with("Nats-TTL", "0")},
	{name: "TTL too short", header: with("Nats-TTL", "10ms")},
	{name: "TTL not a duration", header: with("Nats-TTL", "soon")},
	{name: "TTL beyond 64 bits", header: with("Nats-TTL", "99999999999999999999")},
	{name: "TTL that overflows to less than nothing", header: with("Nats-TTL", "9223372036854775808")},
	{name: "TTL that overflows to nothing", header: with("Nats-TTL", "18446744073709551616")},
	{name: "TTL too short, duplicate", header: with("Nats-TTL", "10ms", "Nats-Msg-Id", "id-2")},
	{name: "TTL too short, rollup", header: with("Nats-TTL", "10ms", "Nats-Rollup", "sub")},
	{name: "TTL, other stream", header: with("Nats-TTL", "1h", "Nats-Expected-Stream", "OTHER")},

	{name: "counter", header: with("Nats-Incr", "1")},
	{name: "counter with sign", header: with("Nats-Incr", "+1")},
	{name: "counter not a number", header: with("Nats-Incr", "1_000")},
	{name: "counter, other stream", header: with("Nats-Incr", "x", "Nats-Expected-Stream", "OTHER")},

	{name: "rollup", header: with("Nats-Rollup", "sub")},
	{name: "rollup of all", header: with("Nats-Rollup", "all")},
	{name: "unknown rollup", header: with("Nats-Rollup", "x")},
	{name: "rollup, duplicate", header: with("Nats-Rollup", "sub", "Nats-Msg-Id", "id-2")},
	{name: "rollup, wrong last sequence", header: with("Nats-Rollup", "sub", "Nats-Expected-Last-Sequence", "1")},
	{name: "rollup, wrong last message id", header: with("Nats-Rollup", "sub", "Nats-Expected-Last-Msg-Id", "x")},

	{name: "schedule", header: with("Nats-Schedule", "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target", "orders.a")},
	{name: "invalid schedule", header: with("Nats-Schedule", "sometimes")},
	{name: "schedule, wrong last sequence", header: with("Nats-Schedule", "sometimes", "Nats-Expected-Last-Sequence", "1")},
	{name: "schedule, duplicate", header: with("Nats-Schedule", "sometimes", "Nats-Msg-Id", "id-2")},
	{name: "time zone alone", header: with("Nats-Schedule-Time-Zone", "UTC")},
	{name: "unknown time zone", header: with("Nats-Schedule-Time-Zone", "Nowhere/Land")},
	{name: "empty time zone", header: with("Nats-Schedule-Time-Zone", "")},
	{name: "schedule purge", header: with("Nats-Schedule-Next", "purge", "Nats-Scheduler", "orders.s")},
	{name: "schedule next", header: with("Nats-Schedule-Next", "2030-01-01T00:00:00Z", "Nats-Scheduler", "orders.s")},
	{name: "schedule purge of itself", header: with("Nats-Schedule-Next", "purge", "Nats-Scheduler", "orders.new")},
	{name: "schedule purge of a wildcard", header: with("Nats-Schedule-Next", "purge", "Nats-Scheduler", "orders.*")},
	{name: "schedule purge without scheduler", header: with("Nats-Schedule-Next", "purge")},
	{name: "scheduler alone", header: with("Nats-Scheduler", "orders.s")},
	{name: "source", header: with("Nats-Stream-Source", "X 1 > > orders.new")},
	{name: "source and scheduler", header: with("Nats-Stream-Source", "X", "Nats-Scheduler", "orders.s")},

	{name: "atomic batch", header: with("Nats-Batch-Id", "b", "Nats-Batch-Sequence", "1")},
	{name: "atomic batch, other stream", header: with("Nats-Batch-Id", "b", "Nats-Expected-Stream", "OTHER")},
	{name: "empty batch id", header: with("Nats-Batch-Id", "")},
	{name: "fast batch", replySuffix: ".uuid.10.ok.1.0.$FI"},
	{name: "malformed fast batch", replySuffix: ".$FI"},
	{name: "fast batch, other stream", replySuffix: ".uuid.10.ok.1.0.$FI", header: with("Nats-Expected-Stream", "OTHER")},

	{name: "headers of 64 KiB", header: with("A", strings.Repeat("x", 65535-len("NATS/1.0\r\nA: \r\n\r\n")))},
	{name: "headers beyond 64 KiB", header: with("A", strings.Repeat("x", 65536-len("NATS/1.0\r\nA: \r\n\r\n")))},
	{name: "headers far beyond 64 KiB, other stream", header: with("A", strings.Repeat("x", 400<<10), "Nats-Expected-Stream", "OTHER")},
	{name: "plain, last", payload: "bye"},
}

func TestAnswersAreByteForByteThoseOfJetStream(t *testing.T) {
	for _, domain := range []string{"", "hub"} {
		t.Run("domain "+domain, func(t *testing.T) {
			reference := startJetStream(t, domain)
			addStream(t, reference.ClientURL(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.*"}})
			bridge := startBridge(t, Options{Domain: domain, Logs: []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.*"}}}})
			want, got := newAsker(t, reference.ClientURL()), newAsker(t, bridge.ClientURL())
			for _, c := range pubAckCases {
				wanted, answer := want.ask(t, c), got.ask(t, c)
				if string(answer.Data) != string(wanted.Data) || !reflect.DeepEqual(answer.Header, wanted.Header) {
					t.Errorf("%s:\n got %s %v\nwant %s %v", c.name, answer.Data, answer.Header, wanted.Data, wanted.Header)
				}
			}
		})
	}
}

// startJetStream starts a server with JetStream and a domain.
func startJetStream(t testing.TB, domain string) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, JetStreamDomain: domain, StoreDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(testTimeout) {
		t.Fatal("the server does not accept connections")
	}
	return s
}

// asker publishes messages one by one and waits for each answer.
type asker struct {
	conn    *nats.Conn
	answers *nats.Subscription
	inbox   string
	number  int
}

func newAsker(t testing.TB, url string) *asker {
	t.Helper()
	a := &asker{conn: connect(t, url), inbox: nats.NewInbox()}
	answers, err := a.conn.SubscribeSync(a.inbox + ".>")
	if err != nil {
		t.Fatal(err)
	}
	a.answers = answers
	return a
}

func (a *asker) ask(t testing.TB, c publishCase) *nats.Msg {
	t.Helper()
	a.number++
	subject := c.subject
	if subject == "" {
		subject = "orders.new"
	}
	reply := fmt.Sprintf("%s.%d%s", a.inbox, a.number, c.replySuffix)
	if err := a.conn.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: c.header, Data: []byte(c.payload)}); err != nil {
		t.Fatal(err)
	}
	answer, err := a.answers.NextMsgWithContext(testContext(t))
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	if answer.Subject != reply {
		t.Fatalf("%s: answer on %s, want %s", c.name, answer.Subject, reply)
	}
	return answer
}

func TestRefusalsSayWhatTheServersErrorTableSays(t *testing.T) {
	for _, r := range []refusal{
		refuseMessageTooLarge, refuseHeaderTooLarge, refuseIncrInvalid, refuseIncr, refuseOtherStream, refuseTTL, refuseTTLInvalid,
		refuseFilterWithoutSeq, refuseSchedule, refuseScheduler, refuseSource, refuseAtomicBatch, refuseFastBatch, refuseIngestFull,
		refusalOf(&engine.ConflictError{Kind: engine.ConflictLastSeq, ActualSeq: 41}),
		refusalOf(&engine.ConflictError{Kind: engine.ConflictLastMsgID, ActualMsgID: "a"}),
	} {
		known := server.ApiErrors[server.ErrorIdentifier(r.errCode)]
		if known == nil {
			t.Errorf("%d: the server has no such error", r.errCode)
			continue
		}
		description := strings.NewReplacer("{seq}", "41", "{id}", "a").Replace(known.Description)
		if known.Code != r.code || description != r.description {
			t.Errorf("%d: got %d %q, want %d %q", r.errCode, r.code, r.description, known.Code, description)
		}
		apiError := *known
		apiError.Description = description
		want, err := json.Marshal(&server.JSPubAckResponse{Error: &apiError, PubAck: &server.PubAck{Stream: "S"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.appendBody(nil, "S"); string(got) != string(want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

func TestErrorTextIsEncodedAsJSON(t *testing.T) {
	for _, text := range []string{"", "plain", `quote " and \`, "<tag> & more", "line\nbreak\x00\x7f", "é ü \u2028", "\xff\xfe"} {
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendJSONString(nil, text); string(got) != string(want) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestContractPageListsEveryRefusal(t *testing.T) {
	page, err := os.ReadFile("../docs/nats-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for line := range strings.Lines(string(page)) {
		if fields := strings.Split(line, " | "); len(fields) >= 4 {
			listed[strings.TrimPrefix(strings.Join(fields[:3], " | "), "| ")] = true
		}
	}
	for _, r := range []refusal{
		refuseMessageTooLarge, refuseHeaderTooLarge, refuseIncrInvalid, refuseIncr, refuseOtherStream, refuseTTL, refuseTTLInvalid,
		refuseFilterWithoutSeq, refuseSchedule, refuseScheduler, refuseSource, refuseRollup, refuseAtomicBatch, refuseFastBatch,
		refuseIngestFull, refuseUnknownLevel, refuseLevelUnavailable, refuseMalformedHeader, refusePoisoned, refuseClosed, refuseReplay, refuseNextSeqUnknown,
		{code: 400, errCode: codeWrongLastSequence, description: "wrong last sequence: N"},
		{code: 400, errCode: codeWrongLastMsgID, description: "wrong last msg ID: X"},
	} {
		if row := fmt.Sprintf("%d | %d | %s", r.code, r.errCode, r.description); !listed[row] {
			t.Errorf("the page has no row %q", row)
		}
	}
}
