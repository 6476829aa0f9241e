package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

// sealOne appends records until a segment is sealed.
func sealOne(t *testing.T, log *engine.Log) {
	t.Helper()
	rec := engine.Record{Subject: []byte("orders.x"), Payload: bytes.Repeat([]byte("a record of a segment "), 40)}
	for range 3 {
		if _, err := log.AppendSync(testContext(t), &rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Seal(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func TestMovesBetweenTiersAreToldOnNATS(t *testing.T) {
	s, events := serverWithReader(t, ServerOptions{})
	relay := NewEventRelay()
	folder := filepath.Join(t.TempDir(), "bucket")
	e := openEngine(t, engine.Options{
		HotBytesMax: 256 << 10, WarmBytesMax: 1, Bucket: "file://" + folder, OnEvent: relay.OnEngineEvent,
	})
	logs := ordersLog()
	logs[0].Options.SegmentBytesMin, logs[0].Options.SegmentBytesMax = 64<<10, 64<<10
	b := startBridge(t, Options{Engine: e, URLs: []string{s.ClientURL()}, Events: relay, Logs: logs})
	sealOne(t, b.logs[0].log)
	warmed := events.next("SEGMENT.WARMED.ORDERS", "segment_warmed")
	if bytes, err := warmed["bytes"].(json.Number).Int64(); err != nil || bytes == 0 { //nolint:errcheck // the test ends if it is none
		t.Errorf("warmed: %v", warmed)
	}
	delete(warmed, "bytes")
	want(t, warmed, map[string]any{"segment": 1, "first_seq": 1, "last_seq": 3})
	uploaded := events.next("SEGMENT.UPLOADED.ORDERS", "segment_uploaded")
	delete(uploaded, "bytes")
	want(t, uploaded, map[string]any{"segment": 1, "first_seq": 1, "last_seq": 3})
	evicted := events.next("SEGMENT.EVICTED.ORDERS", "segment_evicted")
	delete(evicted, "bytes")
	want(t, evicted, map[string]any{"segment": 1, "tier": "warm"})
}

func TestFailedMovesAreToldOnNATSWithTheirReason(t *testing.T) {
	s, events := serverWithReader(t, ServerOptions{})
	relay := NewEventRelay()
	folder := filepath.Join(t.TempDir(), "bucket")
	e := openEngine(t, engine.Options{Bucket: "file://" + folder, OnEvent: relay.OnEngineEvent})
	b := startBridge(t, Options{Engine: e, URLs: []string{s.ClientURL()}, Events: relay, Logs: ordersLog()})
	// Something else lies where the bucket keeps the objects of this log.
	state := b.logs[0].log.State()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	inTheWay := filepath.Join(folder, fmt.Sprintf("%s.%016x+", state.Name, state.ID))
	if err := os.MkdirAll(inTheWay, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inTheWay, "segments+"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sealOne(t, b.logs[0].log)
	failed := events.next("SEGMENT.UPLOADED_FAILED.ORDERS", "segment_uploaded_failed")
	for _, key := range []string{"segment", "reason", "reason_code", "error"} {
		if failed[key] == nil {
			t.Errorf("%s is missing: %v", key, failed)
		}
	}
}
