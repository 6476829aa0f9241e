package bridge

import (
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// A rate is a bound, also behind a time in which there was nothing to deliver.
func TestRateIsNotSavedUp(t *testing.T) {
	_, log, conn := filledBridge(t, 1)
	r := beginReplay(t, conn, `{"follow":true,"max_records_per_second":20,"idle_heartbeat_ms":200}`)
	for beats := 0; beats < 6; { // a second and more, worth more than what follows
		m := r.next()
		if r.isMark(m) && m.Header.Get("Description") == "Idle Heartbeat" {
			beats++
		}
	}
	const count = 15
	for range count {
		if _, err := log.AppendSync(testContext(t), &engine.Record{Subject: []byte("orders.x")}); err != nil {
			t.Fatal(err)
		}
	}
	var first, last time.Time
	for delivered := 0; delivered < count; {
		if m := r.next(); r.isMark(m) {
			continue
		}
		if last = time.Now(); delivered == 0 {
			first = last
		}
		delivered++
	}
	if took := last.Sub(first); took < 500*time.Millisecond { // 14 intervals of 50 ms
		t.Errorf("%d records in %s", count, took)
	}
}

// A reader that is gone is found out in time, however seldom it asked to hear
// from the bridge and however few records it asked for.
func TestReaderThatIsGoneIsForgottenWhateverItAskedFor(t *testing.T) {
	for name, body := range map[string]string{
		"rare heartbeats": `{"follow":true,"idle_heartbeat_ms":3600000}`,
		"low rate":        `{"max_records_per_second":10,"idle_heartbeat_ms":3600000}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := startBridge(t, Options{Logs: ordersLog(), ReplayFlowTimeout: 200 * time.Millisecond})
			fillLog(t, b.logs[0].log, 2000)
			conn := connect(t, b.ClientURL())
			r := beginReplay(t, conn, body)
			for r.isMark(r.next()) { // the first record
			}
			conn.Close()
			eventually(t, "the replay is gone", func() bool { return b.reads.replays.count() == 0 })
		})
	}
}
