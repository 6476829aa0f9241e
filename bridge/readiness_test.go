package bridge

import (
	"strings"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A disk without room for another segment refuses publishers once the active one
// is full, and says so before and after; with room the bridge is ready again,
// though nobody has published meanwhile.
func TestABridgeIsNotReadyWhileAFullDiskRefusesPublishers(t *testing.T) {
	disk := vfs.NewFaulty(vfs.OS())
	b := startBridge(t, Options{
		Engine: openEngine(t, engine.Options{FS: disk}),
		Logs: []LogConfig{
			{Name: "ORDERS", Subjects: []string{"orders.>"}, Options: engine.LogOptions{SegmentBytesMin: 64 << 10, SegmentBytesMax: 64 << 10}},
			{Name: "OTHER", Subjects: []string{"other"}},
		},
	})
	conn := connect(t, b.ClientURL())
	payload := make([]byte, 8<<10)
	publish := func() (refused string) {
		answer, err := conn.RequestWithContext(testContext(t), "orders.a", payload)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Header.Get("Aof-Backpressure")
	}
	if kind := publish(); kind != "" {
		t.Fatalf("refused: %s", kind)
	}
	full := disk.Add(vfs.Rule{Op: vfs.OpAllocate, PathPattern: "ORDERS/segments/*", Err: syscall.ENOSPC})
	for refused := ""; refused != "Admission"; {
		refused = publish()
	}
	reasons := b.Ready()
	if len(reasons) != 1 || !strings.HasPrefix(reasons[0], "log ORDERS refuses publishers: ") || !strings.Contains(reasons[0], syscall.ENOSPC.Error()) {
		t.Errorf("readiness says %q", reasons)
	}
	if warnings := b.Warnings(); len(warnings) != 0 {
		t.Errorf("warnings %q", warnings)
	}
	full.Remove()
	eventually(t, "ready again", func() bool { return len(b.Ready()) == 0 })
	eventually(t, "publishers are served", func() bool { return publish() == "" })
}

// A log that is only read refuses nobody, poisoned or not; somebody should look.
func TestAPoisonedLogThatIsOnlyReadIsAWarning(t *testing.T) {
	disk := vfs.NewFaulty(vfs.OS())
	e := openEngine(t, engine.Options{FS: disk})
	log, err := e.OpenLog("OLD", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := startBridge(t, Options{Engine: e, Logs: ordersLog(), ReadLogs: []string{"OLD"}})
	disk.Add(vfs.Rule{Op: vfs.OpSyncData, PathPattern: "OLD/segments/*", Err: syscall.EIO})
	if _, err := log.AppendSync(testContext(t), &engine.Record{}); err == nil {
		t.Fatal("synced on a disk that fails")
	}
	if reasons := b.Ready(); len(reasons) != 0 {
		t.Errorf("readiness says %q", reasons)
	}
	if warnings := b.Warnings(); len(warnings) != 1 || !strings.HasPrefix(warnings[0], "log OLD: poisoned") {
		t.Errorf("warnings %q", warnings)
	}
}
