package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// Readers that do not answer cost the bound of all windows together and a
// record each, however much they ask for. What they had is there for others when
// their replays have ended.
func TestWindowsOfAllReplaysAreBoundedTogether(t *testing.T) {
	const (
		readers     = 4
		windows     = 256 << 10
		recordBytes = 8 << 10
		share       = windows / 2 / readers
	)
	b := startBridge(t, Options{Logs: ordersLog(), ReplaysMax: readers, ReplayWindowsBytes: windows, ReplayFlowTimeout: 500 * time.Millisecond})
	log := b.logs[0].log
	for range 64 {
		if _, err := log.AppendSync(testContext(t), &engine.Record{Subject: []byte("orders.x"), Payload: make([]byte, recordBytes)}); err != nil {
			t.Fatal(err)
		}
	}
	conn := connect(t, b.ClientURL())
	var begun []*replayReader
	for range readers {
		begun = append(begun, beginReplay(t, conn, `{"window_bytes":33554432,"follow":true}`))
	}
	sum := 0
	for i, r := range begun {
		sent := 0
		for {
			m := r.next()
			if r.isMark(m) && m.Header.Get("Status") == "409" {
				break
			}
			sent += len(m.Data)
		}
		if sum += sent; sent < share-recordBytes {
			t.Errorf("reader %d was sent %d bytes, %d are kept for it", i, sent, share)
		}
	}
	if sum > windows+readers*recordBytes {
		t.Errorf("%d readers that do not answer were sent %d bytes", readers, sum)
	}
	eventually(t, "the replays are gone", func() bool { return b.reads.replays.count() == 0 })
	r := beginReplay(t, conn, `{"window_bytes":65536}`)
	_, mark := r.until("100", "FlowControl Request")
	if got := mark.Header.Get(headerWindow); got != "65536" {
		t.Errorf("afterwards %s is granted", got)
	}
	if records, _ := r.until("204", "EOB"); len(records) == 0 {
		t.Error("nothing is delivered behind a mark that was not answered")
	}
}

// The first ones leave the share of all who may come.
func TestEveryReplayFindsItsShareOfTheWindows(t *testing.T) {
	o := Options{}
	o.ensureDefaults()
	w := newReplayWindows(&o)
	var granted []int64
	for range o.ReplaysMax {
		granted = append(granted, w.take(windowBytesMax))
	}
	if w.free < 0 || granted[0] != windowBytesMax || granted[len(granted)-1] < windowBytesDefault {
		t.Errorf("granted %v, %d are left", granted, w.free)
	}
	for _, bytes := range granted {
		w.giveBack(bytes)
	}
	if w != newReplayWindows(&o) {
		t.Errorf("given back is %+v", w)
	}
}

func TestWindowsThatAreTooSmallForAllReplaysAreRefused(t *testing.T) {
	o := Options{Engine: &engine.Engine{}, ReplaysMax: 64, ReplayWindowsBytes: 64 << 10}
	o.ensureDefaults()
	if err := o.validate(); !errors.Is(err, ErrOptions) {
		t.Errorf("got %v", err)
	}
}
