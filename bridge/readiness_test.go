package bridge

import (
	"errors"
	"os"
	"path/filepath"
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

// A log that may have records which only the bucket knows takes none, and says what
// to do about it.
func TestALogWhoseNextSequenceIsUnknownSaysSo(t *testing.T) {
	dir := t.TempDir()
	root, bucket := filepath.Join(dir, "root"), "file://"+filepath.Join(dir, "bucket")
	start := func(bucket string) (*engine.Engine, *Bridge) {
		e, err := engine.Open(root, engine.Options{Bucket: bucket})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e, startBridge(t, Options{Engine: e, Logs: ordersLog()})
	}
	end := func(e *engine.Engine, b *Bridge) {
		if err := errors.Join(b.Stop(testContext(t)), e.Close()); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(b *Bridge) string {
		answer, err := connect(t, b.ClientURL()).RequestWithContext(testContext(t), "orders.a", []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		return string(answer.Data)
	}
	e, b := start(bucket)
	if answer := publish(b); !strings.Contains(answer, `"seq":1`) {
		t.Fatal(answer)
	}
	log, err := e.OpenLog("ORDERS", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.Seal(testContext(t)), log.Wait(testContext(t), 1, engine.Cold)); err != nil {
		t.Fatal(err)
	}
	end(e, b)
	if err := os.RemoveAll(filepath.Join(root, "logs", "ORDERS", "manifest")); err != nil {
		t.Fatal(err)
	}
	e, b = start("")
	if answer := publish(b); !strings.Contains(answer, `"code":503,"err_code":20007`) {
		t.Errorf("answered %s", answer)
	}
	if reasons := b.Ready(); len(reasons) != 1 || !strings.Contains(reasons[0], "the manifest is gone") || !strings.Contains(reasons[0], bucket) {
		t.Errorf("readiness says %q", reasons)
	}
	end(e, b)
	e, b = start(bucket)
	if answer := publish(b); !strings.Contains(answer, `"seq":2`) || len(b.Ready()) != 0 {
		t.Errorf("with the bucket: %s, %q", answer, b.Ready())
	}
	end(e, b)
}

// A bucket that is away is a warning from the start, though no log is written to.
func TestABucketThatIsAwayAtTheStartIsAWarning(t *testing.T) {
	dir := t.TempDir()
	root, bucket := filepath.Join(dir, "root"), filepath.Join(dir, "bucket")
	options := engine.Options{Bucket: "file://" + bucket, ProbeBucket: true}
	e, err := engine.Open(root, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Close(), os.Rename(bucket, bucket+".away")); err != nil {
		t.Fatal(err)
	}
	if e, err = engine.Open(root, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	b := startBridge(t, Options{Engine: e, Logs: ordersLog()})
	if warnings := b.Warnings(); len(warnings) != 1 || !strings.HasPrefix(warnings[0], "the bucket takes nothing since ") {
		t.Errorf("warnings %q", warnings)
	}
	if reasons := b.Ready(); len(reasons) != 0 {
		t.Errorf("readiness says %q", reasons)
	}
	if err := os.Rename(bucket+".away", bucket); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the warning ends", func() bool { return len(b.Warnings()) == 0 })
}
