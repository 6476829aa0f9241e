package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// eventReader is a plain subscriber to everything that is told.
type eventReader struct {
	t  *testing.T
	in *nats.Subscription
}

// serverWithReader is a server and a subscriber that is there before the bridge.
func serverWithReader(t *testing.T, options ServerOptions) (*Server, *eventReader) {
	t.Helper()
	s := startServer(t, options)
	conn := connect(t, s.ClientURL())
	in, err := conn.SubscribeSync("AOF.EVENT.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return s, &eventReader{t: t, in: in}
}

// next returns the next event on a subject, after a check of its envelope. Those
// on other subjects are passed over.
func (r *eventReader) next(subject, kind string) map[string]any {
	r.t.Helper()
	for {
		m, err := r.in.NextMsgWithContext(testContext(r.t))
		if err != nil {
			r.t.Fatalf("waiting for %s: %v", subject, err)
		}
		if m.Subject != "AOF.EVENT.ADVISORY."+subject {
			continue
		}
		var fields map[string]any
		decoder := json.NewDecoder(bytes.NewReader(m.Data))
		decoder.UseNumber()
		if err := decoder.Decode(&fields); err != nil {
			r.t.Fatalf("%s: %v", m.Data, err)
		}
		stamp, err := time.Parse(time.RFC3339Nano, text(fields, "timestamp"))
		if age := time.Since(stamp); err != nil || age < 0 || age > time.Minute || !strings.HasSuffix(text(fields, "timestamp"), "Z") {
			r.t.Errorf("%s: timestamp %v", m.Subject, fields["timestamp"])
		}
		if text(fields, "type") != "io.aof_nats.log.advisory.v1."+kind || len(text(fields, "id")) != 22 || text(fields, "log") != subject[strings.LastIndexByte(subject, '.')+1:] {
			r.t.Errorf("%s: envelope %s", m.Subject, m.Data)
		}
		for _, key := range []string{"type", "id", "timestamp", "log"} {
			delete(fields, key)
		}
		return fields
	}
}

func text(fields map[string]any, key string) string {
	value, _ := fields[key].(string)
	return value
}

// want checks that an event has exactly these fields behind its envelope; a text
// that ends with "…" gives the beginning.
func want(t *testing.T, got map[string]any, fields map[string]any) {
	t.Helper()
	for key, value := range fields {
		have := got[key]
		if number, ok := have.(json.Number); ok {
			have = number.String()
		}
		prefix, isPrefix := strings.CutSuffix(toText(value), "…")
		if toText(have) != toText(value) && !(isPrefix && strings.HasPrefix(toText(have), prefix)) {
			t.Errorf("%s is %v, want %v", key, have, value)
		}
	}
	for key := range got {
		if _, known := fields[key]; !known {
			t.Errorf("unexpected %s: %v", key, got[key])
		}
	}
}

func toText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	}
	encoded, _ := json.Marshal(value)
	return string(encoded)
}

func TestLifeOfALogIsToldOnNATS(t *testing.T) {
	s, events := serverWithReader(t, ServerOptions{})
	relay := NewEventRelay()
	disk := vfs.NewFaulty(vfs.OS())
	e := openEngine(t, engine.Options{FS: disk, OnEvent: relay.OnEngineEvent})
	b := startBridge(t, Options{Engine: e, URLs: []string{s.ClientURL()}, Events: relay, Logs: ordersLog()})
	want(t, events.next("LOG.CREATED.ORDERS", "log_created"), map[string]any{})
	log := b.logs[0].log
	fillLog(t, log, 3)
	want(t, events.next("SEGMENT.OPENED.ORDERS", "segment_opened"), map[string]any{"segment": 1, "first_seq": 1, "bytes": 1 << 20})
	if err := log.Seal(testContext(t)); err != nil {
		t.Fatal(err)
	}
	want(t, events.next("SEGMENT.SEALED.ORDERS", "segment_sealed"), map[string]any{
		"segment": 1, "first_seq": 1, "last_seq": 3, "bytes": int(log.State().Segments[0].Bytes),
	})
	disk.Add(vfs.Rule{Op: vfs.OpSync | vfs.OpSyncData, Err: errors.New("the disk is gone")})
	answer, err := connect(t, s.ClientURL()).RequestWithContext(testContext(t), "orders.x", nil)
	if err != nil {
		t.Fatal(err)
	}
	expectRefused(t, answer, 503, 20004)
	poisoned := events.next("LOG.POISONED.ORDERS", "log_poisoned")
	want(t, poisoned, map[string]any{"error": "engine: log is poisoned by a failed write or sync: log ORDERS…"})
	if !strings.Contains(text(poisoned, "error"), "the disk is gone") {
		t.Errorf("the cause is not told: %v", poisoned)
	}
}

func TestBackpressureIsToldOnNATSAtEachChange(t *testing.T) {
	s, events := serverWithReader(t, ServerOptions{})
	relay, g := NewEventRelay(), newGate(t)
	e := openEngine(t, engine.Options{FS: g.disk, OnEvent: relay.OnEngineEvent})
	logs := ordersLog()
	logs[0].Options.UnflushedBytesMax = 64 << 10
	b := startBridge(t, Options{Engine: e, URLs: []string{s.ClientURL()}, Events: relay, Logs: logs})
	log, began := b.logs[0].log, time.Now()
	fillLog(t, log, 1)
	g.hold(t)
	refused := 0
	for refused < 3 {
		if _, err := log.Append(&engine.Record{Payload: make([]byte, 4000)}); err != nil {
			refused++
		}
	}
	g.open()
	entered := events.next("BACKPRESSURE.FLUSH.ORDERS", "backpressure_entered")
	since, err := time.Parse(time.RFC3339Nano, text(entered, "since"))
	if err != nil || since.Before(began) || time.Since(since) > time.Minute || text(entered, "full") == "" {
		t.Errorf("entered %v", entered)
	}
	want(t, entered, map[string]any{"backpressure": "Flush", "since": text(entered, "since"), "full": text(entered, "full")})
	if err := log.Wait(testContext(t), log.Watermarks().Appended, engine.Durable); err != nil {
		t.Fatal(err)
	}
	fillOne(t, log)
	want(t, events.next("BACKPRESSURE.FLUSH.ORDERS", "backpressure_cleared"), map[string]any{
		"backpressure": "Flush", "since": text(entered, "since"), "refused": refused,
	})
}

func fillOne(t *testing.T, log *engine.Log) {
	t.Helper()
	if _, err := log.AppendSync(testContext(t), &engine.Record{Payload: []byte("x")}); err != nil {
		t.Fatal(err)
	}
}

// A root that was copied while its owner ran is one after a crash; here its last
// record was written in part.
func TestRecoveryAndQuarantineAreToldOnNATS(t *testing.T) {
	g := newGate(t)
	root := t.TempDir()
	first, err := engine.Open(root, engine.Options{FS: g.disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	log, err := first.OpenLog("ORDERS", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fillLog(t, log, 3)
	g.hold(t)
	seq, err := log.Append(&engine.Record{Payload: bytes.Repeat([]byte("torn"), 1024)})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Wait(testContext(t), seq, engine.Written); err != nil {
		t.Fatal(err)
	}
	crashed := t.TempDir()
	if err := os.CopyFS(crashed, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	g.open()
	tearLast(t, filepath.Join(crashed, "logs", "ORDERS", "segments"))

	s, events := serverWithReader(t, ServerOptions{})
	relay := NewEventRelay()
	e, err := engine.Open(crashed, engine.Options{OnEvent: relay.OnEngineEvent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	b := startBridge(t, Options{Engine: e, URLs: []string{s.ClientURL()}, Events: relay, Logs: ordersLog()})
	report := b.logs[0].log.State().Recovery
	if len(report.Cut) != 1 {
		t.Fatalf("the recovery has %+v", report)
	}
	want(t, events.next("SEGMENT.QUARANTINED.ORDERS", "segment_quarantined"), map[string]any{"segment": 1, "bytes": int(report.Cut[0].Bytes)})
	cut := report.Cut[0]
	want(t, events.next("LOG.RECOVERED.ORDERS", "log_recovered"), map[string]any{"recovery": map[string]any{
		"cut_count": json.Number("1"), "damaged_count": json.Number("0"), "rewritten_bytes": report.RewrittenBytes, "sealed_segments": report.SealedSegments,
		"cut": []any{map[string]any{"segment": cut.Segment, "offset": cut.Offset, "bytes": cut.Bytes, "atomic_batch": false, "quarantine_path": cut.QuarantinePath}},
	}})
}

// tearLast makes the second half of the last record what a lost write leaves.
func tearLast(t *testing.T, segments string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(segments, "*.seg"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("segments %q, %v", paths, err)
	}
	contents, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(contents, []byte("torntorn"))
	clear(contents[at+2048 : at+4096])
	if err := os.WriteFile(paths[0], contents, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatTheBridgeKnowsIsToldOnNATS(t *testing.T) {
	s, events := serverWithReader(t, ServerOptions{StoreDir: t.TempDir()})
	b := startBridge(t, Options{URLs: []string{s.ClientURL()}, Logs: []LogConfig{
		{Name: "ORDERS", Subjects: []string{"orders.>"}}, {Name: "OTHER", Subjects: []string{"other"}},
	}})
	conn := connect(t, s.ClientURL())
	if err := conn.PublishRequest("orders.x", "$JS.API.X", nil); err != nil {
		t.Fatal(err)
	}
	want(t, events.next("LOG.REPLY_REFUSED.ORDERS", "reply_refused"), map[string]any{"subject": "$JS.API.X", "count": 1})

	addStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "LATER", Subjects: []string{"orders.*"}})
	want(t, events.next("LOG.OVERLAP.ORDERS", "overlap_found"), map[string]any{"stream": "LATER", "error": ErrOverlap.Error()})
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(testContext(t), "LATER"); err != nil {
		t.Fatal(err)
	}
	want(t, events.next("LOG.OVERLAP.ORDERS", "overlap_cleared"), map[string]any{"stream": "LATER"})

	// The connection of the intake breaks: that concerns every log.
	disconnect(t, s, connectionName)
	for _, log := range []string{"ORDERS", "OTHER"} {
		lost := events.next("LOG.MESSAGES_LOST."+log, "messages_lost")
		want(t, lost, map[string]any{"error": text(lost, "error")})
		if text(lost, "error") == "" {
			t.Errorf("%s: no cause", log)
		}
	}
	eventually(t, "the bridge is back", func() bool { return len(b.Ready()) == 0 })
}

// disconnect closes the connection of a client that subscribes to a log.
func disconnect(t *testing.T, s *Server, name string) {
	t.Helper()
	list, err := s.server.Connz(&server.ConnzOptions{Subscriptions: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Conns {
		for _, subject := range c.Subs {
			if c.Name == name && subject == "orders.>" {
				if err := s.server.DisconnectClientByID(c.Cid); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatalf("no connection %q", name)
}

// Whoever has something to tell never waits, and what is not published is
// counted and told.
func TestTooManyEventsAreCountedAndTold(t *testing.T) {
	s, events := serverWithReader(t, ServerOptions{})
	relay := NewEventRelay()
	const count = relayQueueMax + 1000
	for i := range count { // before anybody publishes
		relay.OnEngineEvent(engine.Event{Kind: engine.EventSegmentOpened, Log: "ORDERS", Segment: uint64(i + 1), Time: time.Now().UnixNano()})
	}
	relay.OnEngineEvent(engine.Event{Kind: "nonsense", Log: "ORDERS"})
	startBridge(t, Options{URLs: []string{s.ClientURL()}, Events: relay, Logs: []LogConfig{{Name: "OTHER", Subjects: []string{"other"}}}})
	for i := range relayPerSecondMax {
		want(t, events.next("SEGMENT.OPENED.ORDERS", "segment_opened"), map[string]any{"segment": i + 1})
	}
	want(t, events.next("LOG.EVENTS_SUPPRESSED.ORDERS", "events_suppressed"), map[string]any{"count": count - relayPerSecondMax})
	for reason, n := range map[string]int{"rate": relayQueueMax - relayPerSecondMax, "queue": 1000, "unknown": 1, "publish": 0} {
		if got := testutil.ToFloat64(relay.dropped.WithLabelValues(reason)); got != float64(n) {
			t.Errorf("dropped for %s: %v, want %d", reason, got, n)
		}
	}
	if got := testutil.ToFloat64(relay.sent); got < relayPerSecondMax {
		t.Errorf("%v events are counted as published", got)
	}
	// The next second has room again.
	relay.OnEngineEvent(engine.Event{Kind: engine.EventSegmentOpened, Log: "ORDERS", Segment: 77777, Time: time.Now().UnixNano()})
	want(t, events.next("SEGMENT.OPENED.ORDERS", "segment_opened"), map[string]any{"segment": 77777})
}

func TestEveryEventOfTheEngineHasASubject(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "engine", "event.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, value := range spec.Values {
			literal, ok := value.(*ast.BasicLit)
			if !ok {
				continue
			}
			kind, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds++
			if where := whereOf(&engine.Event{Kind: engine.EventKind(kind)}); where == "" || strings.HasSuffix(where, ".") {
				t.Errorf("%s has no subject: add its group to advisoryGroups", kind)
			}
		}
		return true
	})
	if kinds < 8 {
		t.Errorf("%d kinds found", kinds)
	}
}

func TestARelayServesOneBridgeAtATime(t *testing.T) {
	relay := NewEventRelay()
	b := startBridge(t, Options{Events: relay, Logs: ordersLog()})
	_, err := Start(testContext(t), Options{Engine: openEngine(t, engine.Options{}), Listen: "127.0.0.1:0", Events: relay})
	if !errors.Is(err, ErrOptions) {
		t.Errorf("got %v", err)
	}
	if err := b.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	startBridge(t, Options{Events: relay, Logs: ordersLog()})
}
