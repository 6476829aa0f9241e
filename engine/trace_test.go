package engine

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// wantGolden compares lines with a golden file.
func wantGolden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%swant:\n%s", name, got, want)
	}
}

// TestOrderOfIO pins which bytes reach the disk in which order, and what is
// synced between: a missing directory sync shows as a difference.
func TestOrderOfIO(t *testing.T) {
	disk := vfs.NewMem(1)
	traced := vfs.NewTraced(disk, "root")
	opts := Options{
		FS: traced, manual: true, reserveBytes: 4096, random: func() uint64 { return 7 },
		Now: func() time.Time { return time.Unix(0, 1000) },
	}
	logOpts := LogOptions{SegmentBytesMin: 16 << 10, SegmentBytesMax: 16 << 10}
	logOpts.ensureDefaults()
	var l *Log
	steps := []struct {
		name string
		do   func() error
	}{
		{"create-root", func() error { _, err := Open("root", opts); return err }},
		{"create-log", func() (err error) { l, err = reopen(t, disk, opts, logOpts); return err }},
		{"activate", func() error { return appendAndCommit(l, 3) }},
		{"group-commit", func() error { return appendAndCommit(l, 20) }},
		{"durable-mark", func() error { l.committer.tick(); return nil }},
		{"rollover-and-seal", func() error { return appendAndCommit(l, 80) }},
		{"close", func() error { return l.Close() }},
		{"reopen-after-close", func() (err error) { l, err = reopen(t, disk, opts, logOpts); return err }},
		{"first-append-of-a-new-owner", func() error { return appendAndCommit(l, 1) }},
		{"recover-after-kill", func() (err error) { l, err = reopen(t, disk, opts, logOpts); return err }},
	}
	for _, step := range steps {
		traced.Reset()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		wantGolden(t, "trace-"+step.name+".txt", traced.Lines())
	}
}

// reopen ends the process that had the disk and opens the log again.
func reopen(t *testing.T, disk *vfs.Mem, opts Options, logOpts LogOptions) (*Log, error) {
	t.Helper()
	disk.ProcessCrash()
	e, err := Open("root", opts)
	if err != nil {
		return nil, err
	}
	l, err := e.openLog("a", logOpts)
	if err != nil {
		return nil, err
	}
	if l.recovery.Eventful() && !strings.Contains(t.Name(), "Order") {
		t.Fatalf("unexpected recovery: %+v", l.recovery)
	}
	return l, nil
}

// appendAndCommit appends records and steps committer and maintainer until all
// is durable and sealed.
func appendAndCommit(l *Log, count int) error {
	for range count {
		if _, err := l.Append(&Record{Payload: make([]byte, 100)}); err != nil {
			return err
		}
	}
	l.Request(l.appended.Load(), Durable)
	for l.durable.Load() < l.appended.Load() {
		for l.committer.step() {
		}
		for l.keeper.step() {
		}
		if l.failed() {
			return l.endError()
		}
	}
	for l.keeper.step() {
	}
	return nil
}
