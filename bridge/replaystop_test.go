package bridge

import (
	"sync"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// The engine may be closed behind a stop: no replay reads any more, not even one
// that the disk holds up for longer than readers are waited for.
func TestStopWaitsForReplaysThatReadStill(t *testing.T) {
	disk := vfs.NewFaulty(vfs.OS())
	e := openEngine(t, engine.Options{FS: disk})
	b := startBridge(t, Options{Engine: e, Logs: ordersLog()})
	fillLog(t, b.logs[0].log, 3)
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	disk.SetWait(func(vfs.Operation, time.Duration) { <-released })
	rule := disk.Add(vfs.Rule{Op: vfs.OpMap, PathPattern: "segments/*", Delay: time.Hour})
	conn := connect(t, b.ClientURL())
	beginReplay(t, conn, `{}`)
	eventually(t, "the replay waits for the disk", func() bool { return rule.Applied() > 0 })
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop(testContext(t)) }()
	eventually(t, "the connection of readers is closed", func() bool { return b.reads.ctx.Err() != nil && !b.reads.conn.Connected() })
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a replay reads: %v", err)
	default:
	}
	release()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got := b.reads.replays.count(); got != 0 {
		t.Errorf("%d replays run", got)
	}
}
