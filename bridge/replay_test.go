package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/engine"
)

// replayReader is a reader that knows the contract and nothing else.
type replayReader struct {
	t     testing.TB
	conn  *nats.Conn
	reply string
	in    *nats.Subscription
}

// beginReplay sends a request. Nothing is answered by itself.
func beginReplay(t testing.TB, conn *nats.Conn, body string) *replayReader {
	t.Helper()
	inbox := nats.NewInbox()
	in, err := conn.SubscribeSync(inbox + ".>") // one subscription: one order
	if err != nil {
		t.Fatal(err)
	}
	r := &replayReader{t: t, conn: conn, reply: inbox + ".r", in: in}
	if err := conn.PublishRequest("AOF.API.REPLAY.ORDERS", r.reply, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replayReader) next() *nats.Msg {
	r.t.Helper()
	m, err := r.in.NextMsgWithContext(testContext(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// isMark tells marks from records.
func (r *replayReader) isMark(m *nats.Msg) bool { return m.Subject == r.reply }

// until answers flow control and collects records up to a mark of a status and
// description, which it returns.
func (r *replayReader) until(status, description string) (records []*nats.Msg, mark *nats.Msg) {
	r.t.Helper()
	for {
		m := r.next()
		switch h := m.Header; {
		case !r.isMark(m):
			records = append(records, m)
		case h.Get("Status") == status && strings.HasPrefix(h.Get("Description"), description):
			return records, m
		case h.Get("Description") == "FlowControl Request":
			r.answer(m)
		case h.Get("Status") != "100":
			r.t.Fatalf("unexpected end %v", h)
		}
	}
}

func (r *replayReader) answer(m *nats.Msg) {
	r.t.Helper()
	if err := r.conn.Publish(m.Reply, nil); err != nil {
		r.t.Fatal(err)
	}
}

func seqsOf(t testing.TB, records []*nats.Msg, reply string) (list []uint64) {
	t.Helper()
	for _, m := range records {
		seq, err := strconv.ParseUint(strings.Split(strings.TrimPrefix(m.Subject, reply+"."), ".")[0], 10, 64)
		if err != nil {
			t.Fatalf("subject %s", m.Subject)
		}
		list = append(list, seq)
	}
	return list
}

func sequence(first, last uint64) (list []uint64) {
	for seq := first; seq <= last; seq++ {
		list = append(list, seq)
	}
	return list
}

func TestReplayDeliversRecordsUntouched(t *testing.T) {
	_, _, conn := filledBridge(t, 10)
	r := beginReplay(t, conn, "")
	records, end := r.until("204", "EOB")
	if len(records) != 10 || end.Header.Get(headerLastSequence) != "10" || end.Header.Get(headerScanned) != "10" {
		t.Fatalf("%d records, end %v", len(records), end.Header)
	}
	for i, m := range records {
		want := fmt.Sprintf("%s.%d.%d.orders.%d", r.reply, i+1, recordAt(i+1).UnixNano(), (i+1)%3)
		if m.Subject != want || string(m.Data) != fmt.Sprintf("payload-%d", i+1) {
			t.Errorf("record %d: %s %q", i+1, m.Subject, m.Data)
		}
		if hasHeaders := (i+1)%4 != 0; hasHeaders != (m.Header.Get("Nats-Sequence") == "999") || hasHeaders != (len(m.Header) == 2) {
			t.Errorf("record %d: headers %v", i+1, m.Header)
		}
	}
}

func TestReplayTellsMoreIfAsked(t *testing.T) {
	_, _, conn := filledBridge(t, 10)
	r := beginReplay(t, conn, `{"metadata":"full","subjects":["orders.1"]}`)
	records, _ := r.until("204", "EOB")
	previous := uint64(0)
	for _, m := range records {
		seq := seqsOf(t, []*nats.Msg{m}, r.reply)[0]
		want := fmt.Sprintf("%s.%d.%d.%d.%d.orders.1", r.reply, seq, recordAt(int(seq)).UnixNano(), previous, 1000+seq)
		if m.Subject != want {
			t.Errorf("got %s, want %s", m.Subject, want)
		}
		previous = seq
	}
	r = beginReplay(t, conn, `{"metadata":"headers","from_seq":9}`)
	records, _ = r.until("204", "EOB")
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	h := records[1].Header
	if records[1].Subject != r.reply+".10" || h.Get(headerStream) != "ORDERS" || h.Get(headerSubject) != "orders.1" || !slices.Equal(h.Values(headerSequence), []string{"10"}) ||
		h.Get(headerTimeStamp) != recordAt(10).Format(time.RFC3339Nano) || h.Get(headerLastSequence) != "9" || h.Get(headerExtID) != "1010" || h.Get("A") != "10" {
		t.Errorf("got %s %v", records[1].Subject, h)
	}
}

// A subject that does not fit into a protocol line, or would break one, is told
// in the headers.
func TestReplayTellsSubjectsThatDoNotFitInHeaders(t *testing.T) {
	_, log, conn := filledBridge(t, 1)
	long := strings.Repeat("long.", 800) + "end"
	for _, subject := range []string{long, "with blank", "line\r\nPUB x 0\r\n", "fine"} {
		if _, err := log.AppendSync(testContext(t), &engine.Record{Subject: []byte(subject)}); err != nil {
			t.Fatal(err)
		}
	}
	r := beginReplay(t, conn, `{"from_seq":2}`)
	records, _ := r.until("204", "EOB")
	if len(records) != 4 {
		t.Fatalf("%d records", len(records))
	}
	for i, want := range []string{long, "with blank", "line  PUB x 0  "} {
		if records[i].Subject != fmt.Sprintf("%s.%d", r.reply, i+2) || records[i].Header.Get(headerSubject) != want {
			t.Errorf("record %d: %.80s %.80q", i+2, records[i].Subject, records[i].Header.Get(headerSubject))
		}
	}
	if !strings.HasSuffix(records[3].Subject, ".fine") {
		t.Errorf("got %s", records[3].Subject)
	}
}

func TestReplayDeliversWhatIsAskedFor(t *testing.T) {
	_, log, conn := filledBridge(t, 30)
	reader, err := log.NewReader(engine.ReadOptions{FromSeq: 28})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Next(testContext(t)); err != nil {
		t.Fatal(err)
	}
	id := reader.RecordID()
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string][]uint64{
		`{"from_seq":28}`:                                                      {28, 29, 30},
		`{"from_seq":31}`:                                                      nil,
		`{"from_seq":5,"to_seq":7}`:                                            {5, 6, 7},
		`{"to_seq":1}`:                                                         {1},
		`{"subjects":["orders.0"],"to_seq":10}`:                                {3, 6, 9},
		`{"subjects":["*.1","orders.2"],"to_seq":5}`:                           {1, 2, 4, 5},
		`{"subjects":["none.>"]}`:                                              nil,
		`{"max_records":2}`:                                                    {1, 2},
		`{"max_bytes":1,"from_seq":3}`:                                         {3},
		`{"from_last":2}`:                                                      {29, 30},
		`{"from_last":2,"subjects":["orders.1"]}`:                              {25, 28},
		`{"from_last":2,"subjects":["none"]}`:                                  nil,
		`{"from_end":true}`:                                                    nil,
		`{"from_time":"1960-01-01T00:00:00Z","to_seq":2}`:                      {1, 2},
		`{"from_time":"1600-01-01T00:00:00Z","to_seq":2}`:                      {1, 2},
		`{"from_time":"2262-04-12T00:00:00Z"}`:                                 nil,
		`{"from_time":"2999-01-01T00:00:00Z"}`:                                 nil,
		fmt.Sprintf(`{"from_record_id":%d}`, uint64(id)):                       {28, 29, 30},
		fmt.Sprintf(`{"from_time":%q}`, recordAt(29).Format(time.RFC3339Nano)): {29, 30},
	} {
		r := beginReplay(t, conn, body)
		records, _ := r.until("204", "EOB")
		if got := seqsOf(t, records, r.reply); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", body, got, want)
		}
	}
}

func TestReplayRefusesWhatItCannotDo(t *testing.T) {
	_, _, conn := filledBridge(t, 3)
	for body, want := range map[string]string{
		`{`:                            "400 the request is not understood",
		`{"subject":["a"]}`:            `400 the request is not understood: json: unknown field "subject"`,
		`{"from_seq":1,"from_last":1}`: "400 give one of from_seq",
		`{"subjects":["a..b"]}`:        "400 subject filter",
		`{"window_bytes":1}`:           "400 window_bytes is not between",
		`{"metadata":"x"}`:             `400 metadata "x"`,
		`{"idle_heartbeat_ms":1}`:      "400 idle_heartbeat_ms",
		`{"from_record_id":99}`:        "404 engine: not found",
		strings.Repeat(" ", 70<<10):    "400 the request is longer",
	} {
		r := beginReplay(t, conn, body)
		m := r.next()
		if got := m.Header.Get("Status") + " " + m.Header.Get("Description"); !r.isMark(m) || !strings.HasPrefix(got, want) {
			t.Errorf("%.40s: got %s %q, want %q", body, m.Subject, got, want)
		}
	}
}

// A reader that does not answer is sent one window and not a byte more, and its
// replay ends in time.
func TestReaderThatDoesNotAnswerGetsOneWindow(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog(), ReplayFlowTimeout: 300 * time.Millisecond})
	fillLog(t, b.logs[0].log, 2000)
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"window_bytes":8192,"idle_heartbeat_ms":100}`)
	var records, marks []*nats.Msg
	bytes, beats := 0, 0
	for {
		m := r.next()
		if !r.isMark(m) {
			records = append(records, m)
			bytes += len(m.Subject) + len(m.Data)
			continue
		}
		if m.Header.Get("Description") == "Idle Heartbeat" {
			beats++
			continue
		}
		if marks = append(marks, m); m.Header.Get("Status") == "409" {
			break
		}
	}
	last := marks[len(marks)-1].Header
	if last.Get(headerEndReason) != endTimeout || last.Get(headerLastSequence) != strconv.Itoa(len(records)) {
		t.Errorf("end %v behind %d records", last, len(records))
	}
	if bytes > 8192 || bytes < 2048 || beats == 0 {
		t.Errorf("%d bytes, %d heartbeats", bytes, beats)
	}
	eventually(t, "the replay is gone", func() bool { return b.reads.replays.count() == 0 })
}

func TestAnswersOpenTheNextWindow(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	fillLog(t, b.logs[0].log, 2000)
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"window_bytes":8192}`)
	records, end := r.until("204", "EOB")
	if got := seqsOf(t, records, r.reply); !slices.Equal(got, sequence(1, 2000)) || end.Header.Get(headerLastSequence) != "2000" {
		t.Errorf("%d records, end %v", len(got), end.Header)
	}
}

// Answers to what was not asked, or by somebody who does not know the id, open
// nothing.
func TestOnlyTheRightAnswerOpensAWindow(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog(), ReplayFlowTimeout: 300 * time.Millisecond})
	fillLog(t, b.logs[0].log, 2000)
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"window_bytes":8192}`)
	records := 0
	for {
		m := r.next()
		if !r.isMark(m) {
			records++
			continue
		}
		if m.Header.Get("Status") == "409" {
			break
		}
		stem := m.Reply[:strings.LastIndexByte(m.Reply, '.')]
		for _, wrong := range []string{stem + ".0", stem + ".999999", stem + ".x", "AOF.API.REPLAY.ORDERS.FLOW.other.1"} {
			if err := conn.Publish(wrong, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if records == 0 || records > 200 {
		t.Errorf("%d records", records)
	}
}

func TestFollowingReplayGoesOnAndBeats(t *testing.T) {
	_, log, conn := filledBridge(t, 3)
	r := beginReplay(t, conn, `{"from_seq":2,"follow":true,"idle_heartbeat_ms":50,"to_seq":5}`)
	if m := r.next(); m.Header.Get("Description") != "Idle Heartbeat" {
		t.Errorf("it begins with %v", m.Header)
	}
	var records []*nats.Msg
	for len(records) < 2 {
		if m := r.next(); !r.isMark(m) {
			records = append(records, m)
		}
	}
	if m := r.next(); !r.isMark(m) || m.Header.Get("Status") != "100" || m.Header.Get("Description") != "Idle Heartbeat" || m.Header.Get(headerLastSequence) != "3" {
		t.Errorf("while idle: %s %v", m.Subject, m.Header)
	}
	for range 3 {
		if _, err := log.AppendSync(testContext(t), &engine.Record{Subject: []byte("orders.x")}); err != nil {
			t.Fatal(err)
		}
	}
	more, _ := r.until("204", "EOB")
	if got := seqsOf(t, append(records, more...), r.reply); !slices.Equal(got, sequence(2, 5)) {
		t.Errorf("got %v", got)
	}
}

// A follower that is gone is found out although nothing is delivered.
func TestFollowerThatIsGoneIsForgotten(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog(), ReplayFlowTimeout: 200 * time.Millisecond})
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"follow":true,"idle_heartbeat_ms":50}`)
	if m := r.next(); m.Header.Get("Status") != "100" {
		t.Errorf("begins with %v", m.Header)
	}
	conn.Close()
	eventually(t, "the replay is gone", func() bool { return b.reads.replays.count() == 0 })
}

// One that answers stays.
func TestFollowerThatAnswersStays(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog(), ReplayFlowTimeout: 200 * time.Millisecond})
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"follow":true,"idle_heartbeat_ms":50}`)
	for asked := 0; asked < 4; {
		m := r.next()
		if m.Header.Get("Status") != "100" {
			t.Fatalf("ended by %v", m.Header)
		}
		if m.Reply != "" {
			r.answer(m)
			asked++
		}
	}
	if got := b.reads.replays.count(); got != 1 {
		t.Errorf("%d replays", got)
	}
}

func TestReplayKeepsToARate(t *testing.T) {
	_, _, conn := filledBridge(t, 12)
	began := time.Now()
	r := beginReplay(t, conn, `{"max_records_per_second":50}`)
	records, _ := r.until("204", "EOB")
	if took := time.Since(began); len(records) != 12 || took < 200*time.Millisecond {
		t.Errorf("%d records in %s", len(records), took)
	}
}

func TestReplaysAreBoundedInNumber(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog(), ReplaysMax: 2})
	conn := connect(t, b.ClientURL())
	first := beginReplay(t, conn, `{"follow":true}`)
	first.next()
	beginReplay(t, conn, `{"follow":true}`).next()
	refused := beginReplay(t, conn, `{"follow":true}`).next()
	if refused.Header.Get("Status") != "429" || !strings.Contains(refused.Header.Get("Description"), "2 are running") {
		t.Errorf("the third gets %v", refused.Header)
	}
	// Its reader ends one.
	if err := conn.PublishRequest("AOF.API.REPLAY.ORDERS", first.reply, []byte(`{"stop":true}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one has ended", func() bool { return b.reads.replays.count() == 1 })
	if m := beginReplay(t, conn, `{"follow":true}`).next(); m.Header.Get("Status") != "100" {
		t.Errorf("another gets %v", m.Header)
	}
}

func TestOneReplayForEachReplySubject(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog()})
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"follow":true}`)
	r.next()
	if err := conn.PublishRequest("AOF.API.REPLAY.ORDERS", r.reply, nil); err != nil {
		t.Fatal(err)
	}
	if m := r.next(); m.Header.Get("Status") != "400" {
		t.Errorf("got %v", m.Header)
	}
}

func TestStoppingBridgeTellsItsReaders(t *testing.T) {
	s := startServer(t, ServerOptions{})
	b := startBridge(t, Options{URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	fillLog(t, b.logs[0].log, 3)
	conn := connect(t, s.ClientURL())
	r := beginReplay(t, conn, `{"follow":true}`)
	r.next()
	for range 3 {
		r.next()
	}
	if err := b.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if m := r.next(); m.Header.Get("Status") != "409" || m.Header.Get(headerEndReason) != endStopping || m.Header.Get(headerLastSequence) != "3" {
		t.Errorf("got %v", m.Header)
	}
}

func TestReplaysEndWithTheConnectionOfTheBridge(t *testing.T) {
	s := startServer(t, ServerOptions{})
	b := startBridge(t, Options{URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	conn := connect(t, s.ClientURL())
	beginReplay(t, conn, `{"follow":true}`).next()
	s.Stop()
	eventually(t, "the replay is gone", func() bool { return b.reads.replays.count() == 0 })
	ctx, cancel := context.WithCancel(testContext(t))
	cancel() // there is no server to wait for
	if err := b.Stop(ctx); err == nil {
		t.Error("the bridge stops in order without a server")
	}
}

func TestRecordLargerThanTheServerTakesEndsTheReplay(t *testing.T) {
	_, log, conn := filledBridge(t, 2)
	if _, err := log.AppendSync(testContext(t), &engine.Record{Payload: make([]byte, 2<<20)}); err != nil {
		t.Fatal(err)
	}
	r := beginReplay(t, conn, `{}`)
	records, end := r.until("409", "record 3 makes a message of 2097152 bytes")
	if len(records) != 2 || end.Header.Get(headerEndReason) != endTooLarge {
		t.Errorf("%d records, %v", len(records), end.Header)
	}
	if m := ask(t, conn, `{"seq":3}`, 1)[0]; m.Header.Get("Status") != "413" {
		t.Errorf("direct get answers %v", m.Header)
	}
}

// damageRecord flips a bit in the payload of a record.
func damageRecord(t *testing.T, log *engine.Log, text string) {
	t.Helper()
	for _, segment := range log.State().Segments {
		contents, err := os.ReadFile(segment.Path)
		if err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(string(contents), text); at >= 0 {
			contents[at] ^= 1
			if err := os.WriteFile(segment.Path, contents, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no segment holds %q", text)
}

func TestDamageEndsAReplayOrIsSkippedAndTold(t *testing.T) {
	_, log, conn := filledBridge(t, 10)
	damageRecord(t, log, "payload-5")
	r := beginReplay(t, conn, `{}`)
	records, end := r.until("409", "engine: log ORDERS: segment 1 is damaged at offset")
	if h := end.Header; len(records) != 4 || h.Get(headerEndReason) != endDamaged || h.Get(headerDamagedFirst) != "5" || h.Get(headerDamagedLast) != "5" {
		t.Errorf("%d records, end %v", len(records), h)
	}
	r = beginReplay(t, conn, `{"skip_damaged":true}`)
	records, mark := r.until("100", "Damaged Range")
	if got := seqsOf(t, records, r.reply); !slices.Equal(got, sequence(1, 4)) {
		t.Errorf("before the damage: %v", got)
	}
	var told damagedRange
	if err := json.Unmarshal(mark.Data, &told); err != nil {
		t.Fatal(err)
	}
	if told.FirstSeq != 5 || told.LastSeq != 5 || told.Segment != 1 || told.Log != "ORDERS" || told.Reason == "" || mark.Header.Get(headerDamagedFirst) != "5" {
		t.Errorf("told %+v, %v", told, mark.Header)
	}
	records, _ = r.until("204", "EOB")
	if got := seqsOf(t, records, r.reply); !slices.Equal(got, sequence(6, 10)) {
		t.Errorf("behind the damage: %v", got)
	}
	if m := ask(t, conn, `{"seq":5}`, 1)[0]; m.Header.Get("Status") != "500" || !strings.Contains(m.Header.Get("Description"), "sequences 5 to 5") {
		t.Errorf("direct get answers %v", m.Header)
	}
}

// What is stored and acknowledged does not wait for readers.
func TestStuckReadersHoldUpNobody(t *testing.T) {
	b, _, conn := filledBridge(t, 2000)
	for range 8 {
		beginReplay(t, conn, `{"window_bytes":4096}`).next()
	}
	for i := range 100 {
		answer, err := conn.RequestWithContext(testContext(t), "orders.new", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		expectStored(t, answer, uint64(2001+i))
	}
	if got := b.reads.replays.count(); got != 8 {
		t.Errorf("%d replays", got)
	}
}

// A mark that says how far the replay has looked does not count a record that
// still waits for the window: who resumes from there would miss it.
func TestMarksDoNotCountWhatIsNotDelivered(t *testing.T) {
	b := startBridge(t, Options{Logs: ordersLog(), ReplayFlowTimeout: 300 * time.Millisecond})
	fillLog(t, b.logs[0].log, 200)
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"window_bytes":4096,"idle_heartbeat_ms":50}`)
	for beats := 0; beats < 3; {
		m := r.next()
		if !r.isMark(m) {
			continue
		}
		if m.Header.Get(headerScanned) != m.Header.Get(headerLastSequence) {
			t.Fatalf("a mark says %v", m.Header)
		}
		if m.Header.Get("Description") == "Idle Heartbeat" {
			beats++
		}
	}
}

// A server that reads nothing more holds a replay's write, and with it neither
// the stop of the bridge nor those who wait for their answers.
func TestStuckWriteToReadersDoesNotHoldUpAStop(t *testing.T) {
	s := startServer(t, ServerOptions{})
	var stuck stuckDialer
	e := openEngine(t, engine.Options{})
	b, err := Start(testContext(t), Options{
		Engine: e, URLs: []string{s.ClientURL()}, Logs: ordersLog(), ConnectOptions: []nats.Option{nats.SetCustomDialer(&stuck)},
	})
	if err != nil {
		t.Fatal(err)
	}
	fillLog(t, b.logs[0].log, 2000)
	stuck.hold(t, readConnectionOrder)
	conn := connect(t, s.ClientURL())
	beginReplay(t, conn, `{"window_bytes":33554432}`)
	eventually(t, "a write to the reader is stuck", func() bool { return stuck.waiting.Load() > 0 })
	if m, err := conn.RequestWithContext(testContext(t), "orders.x", nil); err != nil {
		t.Fatal(err)
	} else {
		expectStored(t, m, 2001)
	}
	began := time.Now()
	if err := b.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*readDrainTimeout {
		t.Errorf("it took %s", took)
	}
}
