package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
)

// fill appends so many records behind those that are there.
func fill(t *testing.T, log *engine.Log, count int) {
	t.Helper()
	var last uint64
	for range count {
		n := log.Watermarks().Appended + 1
		rec := engine.Record{
			Subject: fmt.Appendf(nil, "orders.%d", n%3), Payload: fmt.Appendf(nil, "payload-%d", n), ExtID: 5000 + n,
			Timestamp: at(n).UnixNano(), Headers: []byte("A: 1\r\nA:  two \r\nNats-Sequence: 999\r\n"),
		}
		var err error
		if last, err = log.Append(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Wait(testContext(t), last, engine.Durable); err != nil {
		t.Fatal(err)
	}
}

// at is the time of the n-th record.
func at(n uint64) time.Time { return time.Date(2026, 2, 1, 0, 0, int(n), int(n), time.UTC) }

func replay(t *testing.T, c *Client, o ReplayOptions) *Replay {
	t.Helper()
	r, err := c.Replay("ORDERS", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// take reads so many records, or all for a negative count.
func take(t *testing.T, r *Replay, count int) (records []Record) {
	t.Helper()
	for count < 0 || len(records) < count {
		record, err := r.Next(testContext(t))
		if errors.Is(err, io.EOF) && count < 0 {
			return records
		}
		if err != nil {
			t.Fatalf("behind %d records, %d is next: %v", len(records), r.next, err)
		}
		records = append(records, record)
	}
	return records
}

func wantSequences(t *testing.T, records []Record, first, last uint64) {
	t.Helper()
	if uint64(len(records)) != last-first+1 {
		t.Fatalf("%d records, want %d to %d", len(records), first, last)
	}
	for i, record := range records {
		if n := first + uint64(i); record.Seq != n || string(record.Data) != fmt.Sprintf("payload-%d", n) {
			t.Fatalf("record %d is %d %q", n, record.Seq, record.Data)
		}
	}
}

func TestReplayGivesRecordsAsStored(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 10)
	if _, err := log.AppendSync(testContext(t), &engine.Record{
		Subject: []byte("with blank"), Timestamp: at(11).UnixNano(), Payload: []byte("payload-11"), ExtID: 9, Headers: []byte("B: 2\r\n"),
	}); err != nil {
		t.Fatal(err)
	}
	records := take(t, replay(t, connect(t, Options{Server: url}), ReplayOptions{}), -1)
	wantSequences(t, records, 1, 11)
	for i, record := range records[:10] {
		n := uint64(i + 1)
		if !record.Time.Equal(at(n)) || record.Subject != fmt.Sprintf("orders.%d", n%3) || record.ExtID != 5000+n ||
			!slices.Equal(record.Header["A"], []string{"1", "two "}) || !slices.Equal(record.Header["Nats-Sequence"], []string{"999"}) {
			t.Errorf("record %+v", record)
		}
	}
	if last := records[10]; last.Subject != "with blank" || last.ExtID != 9 || len(last.Header) != 1 || !last.Time.Equal(at(11)) {
		t.Errorf("record %+v", last)
	}
}

func TestReplayReadsWhatIsAskedFor(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 30)
	c := connect(t, Options{Server: url})
	for _, test := range []struct {
		options ReplayOptions
		want    []uint64
	}{
		{ReplayOptions{FromSeq: 29}, []uint64{29, 30}},
		{ReplayOptions{FromSeq: 31}, nil},
		{ReplayOptions{FromTime: at(29)}, []uint64{29, 30}},
		{ReplayOptions{ToSeq: 2}, []uint64{1, 2}},
		{ReplayOptions{FromLast: 2}, []uint64{29, 30}},
		{ReplayOptions{FromLast: FromLastMax, ToSeq: 2}, []uint64{1, 2}},
		{ReplayOptions{FromEnd: true}, nil},
		{ReplayOptions{RecordsMax: 3, FromSeq: 10}, []uint64{10, 11, 12}},
		{ReplayOptions{Subjects: []string{"*.0"}, ToSeq: 10}, []uint64{3, 6, 9}},
		{ReplayOptions{Subjects: []string{"*.0"}, RecordsPerSecond: 1000, ToSeq: 10, WindowBytes: 1}, []uint64{3, 6, 9}},
	} {
		var got []uint64
		for record, err := range replay(t, c, test.options).All(testContext(t)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, record.Seq)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %v, want %v", test.options, got, test.want)
		}
	}
}

func TestReplayOfMuchMoreThanAWindow(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 20_000)
	wantSequences(t, take(t, replay(t, connect(t, Options{Server: url}), ReplayOptions{WindowBytes: 16 << 10}), -1), 1, 20_000)
}

func TestReplayFollows(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 3)
	r := replay(t, connect(t, Options{Server: url}), ReplayOptions{FromSeq: 2, Follow: true})
	wantSequences(t, take(t, r, 2), 2, 3)
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("at the end: %v", err)
	}
	fill(t, log, 2)
	wantSequences(t, take(t, r, 2), 4, 5)
	r.Close()
	if _, err := r.Next(testContext(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("behind Close: %v", err)
	}
}

func TestReplayErrorsSayWhatToDo(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 3)
	c := connect(t, Options{Server: url})
	for name, test := range map[string]struct {
		log     string
		options ReplayOptions
		want    error
		text    string
	}{
		"no such log":     {"NONE", ReplayOptions{}, ErrNotFound, "check its name"},
		"other prefix":    {"ORDERS", ReplayOptions{Prefix: "X"}, ErrNotFound, "X.API.REPLAY.ORDERS"},
		"no such place":   {"ORDERS", ReplayOptions{FromRecordID: 99}, ErrNotFound, "no record at"},
		"refused":         {"ORDERS", ReplayOptions{Subjects: []string{"a..b"}}, ErrOptions, "empty token"},
		"two beginnings":  {"ORDERS", ReplayOptions{FromSeq: 1, FromEnd: true}, ErrOptions, "give one of"},
		"window too wide": {"ORDERS", ReplayOptions{WindowBytes: 1 << 40}, ErrOptions, "window"},
		"no name":         {"", ReplayOptions{}, ErrOptions, "no name"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := c.Replay(test.log, test.options)
			if err == nil {
				defer r.Close()
				_, err = r.Next(testContext(t))
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.want, test.text)
			}
		})
	}
}

func TestReplayTellsOfDamage(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 10)
	path := log.State().Segments[0].Path
	damageFile(t, path, "payload-5")
	c := connect(t, Options{Server: url})
	r := replay(t, c, ReplayOptions{})
	wantSequences(t, take(t, r, 4), 1, 4)
	_, err := r.Next(testContext(t))
	var damage *DamagedError
	if !errors.As(err, &damage) || !errors.Is(err, ErrDamaged) || damage.FirstSeq != 5 || damage.LastSeq != 5 || damage.Segment != 1 || damage.Path != path {
		t.Errorf("got %v", err)
	}
	var skipped []*DamagedError
	r = replay(t, c, ReplayOptions{OnDamaged: func(d *DamagedError) { skipped = append(skipped, d) }})
	records := take(t, r, -1)
	if len(records) != 9 || len(skipped) != 1 || skipped[0].FirstSeq != 5 {
		t.Errorf("%d records, skipped %+v", len(records), skipped)
	}
}

// damageFile changes a byte where the text stands.
func damageFile(t *testing.T, path, text string) {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	contents[strings.Index(string(contents), text)] ^= 1
	if err := os.WriteFile(path, contents, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Who goes on behind damage must have got everything in front of it.
func TestMissingRecordInFrontOfDamageIsNoticed(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 10)
	damageFile(t, log.State().Segments[0].Path, "payload-5")
	r := replay(t, connect(t, Options{Server: url}), ReplayOptions{})
	waitForMessages(t, r, func(m *nats.Msg) bool { return m.Header.Get(headerStatus) == "409" })
	for range len(r.messages) {
		if m := <-r.messages; !strings.HasPrefix(m.Subject, r.reply+".4.") {
			r.messages <- m
		}
	}
	wantSequences(t, take(t, r, 4), 1, 4)
	if _, err := r.Next(testContext(t)); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// restartable is a server on one port.
type restartable struct {
	*bridge.Server
	listen string
}

func startServer(t *testing.T) *restartable {
	t.Helper()
	s, err := bridge.StartServer(bridge.ServerOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	where, err := url.Parse(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	r := &restartable{Server: s, listen: where.Host}
	t.Cleanup(func() { r.Stop() })
	return r
}

func (r *restartable) restart(t *testing.T) {
	t.Helper()
	r.Stop()
	s, err := bridge.StartServer(bridge.ServerOptions{Listen: r.listen})
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
}

func bridgeAt(t *testing.T, eng *engine.Engine, o bridge.Options) *bridge.Bridge {
	t.Helper()
	o.Engine, o.Logs = eng, []bridge.LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}}
	b, err := bridge.Start(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Stop(testContext(t)) })
	return b
}

func openEngine(t *testing.T) (*engine.Engine, *engine.Log) {
	t.Helper()
	eng, err := engine.Open(t.TempDir(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	log, err := eng.OpenLog("ORDERS", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return eng, log
}

// Whatever breaks, the records are those of the log, once and in order.
func TestReplayGoesOnWhenServerAndBridgeRestart(t *testing.T) {
	s := startServer(t)
	eng, log := openEngine(t)
	b := bridgeAt(t, eng, bridge.Options{URLs: []string{s.ClientURL()}})
	fill(t, log, 100)
	c := connect(t, Options{Server: s.ClientURL(), Reconnect: true})
	all := replay(t, c, ReplayOptions{Follow: true, Heartbeat: 100 * time.Millisecond, WindowBytes: 4 << 10})
	odd := replay(t, c, ReplayOptions{Follow: true, Heartbeat: 100 * time.Millisecond, Subjects: []string{"orders.1"}})
	wantSequences(t, take(t, all, 50), 1, 50)
	take(t, odd, 5)

	s.restart(t)
	fill(t, log, 100)
	wantSequences(t, take(t, all, 100), 51, 150)
	take(t, odd, 40)

	if err := b.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	bridgeAt(t, eng, bridge.Options{URLs: []string{s.ClientURL()}})
	fill(t, log, 100)
	wantSequences(t, take(t, all, 150), 151, 300)
	for i, record := range take(t, odd, 55) {
		if want := uint64(136 + 3*i); record.Seq != want {
			t.Fatalf("record %d is %d, want %d", i, record.Seq, want)
		}
	}
}

// A reader that takes its time longer than the bridge waits for it finds its
// place again.
func TestSlowReaderLosesNothing(t *testing.T) {
	s := startServer(t)
	eng, log := openEngine(t)
	var ended int
	bridgeAt(t, eng, bridge.Options{URLs: []string{s.ClientURL()}, ReplayFlowTimeout: 100 * time.Millisecond})
	fill(t, log, 2000)
	r := replay(t, connect(t, Options{Server: s.ClientURL()}), ReplayOptions{WindowBytes: 16 << 10})
	var records []Record
	for range 4 {
		records = append(records, take(t, r, 1)...)
		// The bridge gives the replay up while nothing is taken.
		waitForMessages(t, r, func(m *nats.Msg) bool { return m.Header.Get(headerEndReason) == "flow_control_timeout" })
		ended++
		records = append(records, take(t, r, 300)...)
	}
	records = append(records, take(t, r, -1)...)
	wantSequences(t, records, 1, 2000)
	if ended != 4 {
		t.Errorf("ended %d times", ended)
	}
}

// waitForMessages waits until a message has come that is not yet taken. What
// waits is put back in its order.
func waitForMessages(t *testing.T, r *Replay, want func(*nats.Msg) bool) {
	t.Helper()
	var waiting []*nats.Msg
	for found := false; !found; {
		select {
		case m := <-r.messages:
			waiting = append(waiting, m)
			found = want(m)
		case <-time.After(testTimeout):
			t.Fatal("it does not come")
		}
	}
	for _, m := range waiting {
		r.messages <- m
	}
}

func TestReplayEndsWhenNobodyComesBack(t *testing.T) {
	s := startServer(t)
	eng, log := openEngine(t)
	b := bridgeAt(t, eng, bridge.Options{URLs: []string{s.ClientURL()}})
	fill(t, log, 3)
	r := replay(t, connect(t, Options{Server: s.ClientURL()}), ReplayOptions{Follow: true, ResumeFor: 200 * time.Millisecond})
	wantSequences(t, take(t, r, 3), 1, 3)
	if err := b.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Next(testContext(t))
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "the next sequence would be 4") {
		t.Errorf("got %v", err)
	}
}

// A message that does not arrive shows at the next one, or at the next mark.
func TestMissingRecordIsNoticed(t *testing.T) {
	log, url := startBridge(t)
	fill(t, log, 10)
	c := connect(t, Options{Server: url})
	for name, lose := range map[string]string{"in the middle": ".4.", "at the end": ".10."} {
		t.Run(name, func(t *testing.T) {
			r := replay(t, c, ReplayOptions{Subjects: []string{"orders.1"}}) // 1, 4, 7, 10
			waitForMessages(t, r, func(m *nats.Msg) bool { return m.Header.Get(headerStatus) == "204" })
			for range len(r.messages) {
				if m := <-r.messages; !strings.HasPrefix(m.Subject, r.reply+lose) {
					r.messages <- m
				}
			}
			var got []uint64
			for _, record := range take(t, r, -1) {
				got = append(got, record.Seq)
			}
			if !slices.Equal(got, []uint64{1, 4, 7, 10}) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func FuzzDecodeDelivery(f *testing.F) {
	for _, rest := range []string{"7.1700000000000000001.5.0.orders.a.b", "7", "7.1.7.0.x", "0.1.0.0.x", "7.1.5.0.", "-1.1.1.1.x", "7.x.1.1.x", "7.1.2.3", ""} {
		f.Add(rest, "2026-01-01T00:00:00Z", "5", "orders")
	}
	f.Fuzz(func(t *testing.T, rest, stamp, last, subject string) {
		m := &nats.Msg{Subject: "R." + rest, Header: nats.Header{"Nats-Time-Stamp": {stamp}, "Nats-Last-Sequence": {last}, "Nats-Subject": {subject}, "K": {"v"}}}
		d, err := decodeDelivery(rest, m)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Errorf("error %v", err)
			}
			return
		}
		if d.record.Seq == 0 || d.previous >= d.record.Seq || d.record.Subject == "" || d.record.Header["K"] == nil {
			t.Errorf("accepted %+v", d)
		}
	})
}
