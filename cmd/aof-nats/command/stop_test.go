package command

import (
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A server that stops with more than its disk takes has done its work: whatever was
// acknowledged is durable.
func TestStoppingWithoutRoomIsNoFailure(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"refused": time.Minute, "timed out": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewFaulty(vfs.OS())
			eng, err := engine.Open(t.TempDir(), engine.Options{FS: disk})
			if err != nil {
				t.Fatal(err)
			}
			small := engine.LogOptions{SegmentBytesMin: 64 << 10, SegmentBytesMax: 64 << 10}
			log, err := eng.OpenLog("A", small)
			if err != nil {
				t.Fatal(err)
			}
			started, err := bridge.Start(testContext(t), bridge.Options{
				Engine: eng, Listen: "127.0.0.1:0", Logs: []bridge.LogConfig{{Name: "A", Subjects: []string{"a"}, Options: small}},
			})
			if err != nil {
				t.Fatal(err)
			}
			s := &server{
				config: &serveConfig{drainTimeout: timeout}, logger: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry(),
				engine: eng, logs: []*engine.Log{log}, bridge: started,
			}
			if _, err := log.AppendSync(testContext(t), &engine.Record{}); err != nil {
				t.Fatal(err)
			}
			disk.Add(vfs.Rule{Op: vfs.OpAllocate, PathPattern: "A/segments/*", Err: syscall.ENOSPC})
			large := make([]engine.Record, 60)
			for i := range large {
				large[i].Payload = make([]byte, 4<<10)
			}
			if _, err := log.AppendBatch(large, engine.BatchOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := s.stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
}
