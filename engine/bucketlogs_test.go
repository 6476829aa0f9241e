package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// begunAnew makes a bucket into which two roots have put a log of the same name:
// the disk of the first was lost. It returns their folders.
func begunAnew(t *testing.T) (url string, lost, live string) {
	t.Helper()
	first := newTieredRoot(t).stepped()
	first.open(t)
	first.fill(t, 1, 30)
	first.mustDo(t, 1, planner.Compress, planner.Upload)
	lost = bucket.FolderName("orders", first.log.id)
	first.close(t)
	second := *first
	second.dir = filepath.Join(t.TempDir(), "root")
	second.open(t)
	second.fill(t, 1, 20)
	second.mustDo(t, 1, planner.Compress, planner.Upload)
	live = bucket.FolderName("orders", second.log.id)
	second.close(t)
	return first.opts.Bucket, lost, live
}

func TestOneOfSeveralLogsOfOneNameIsChosenById(t *testing.T) {
	url, lost, live := begunAnew(t)
	e, err := OpenReadOnly(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	both := slices.Sorted(slices.Values([]string{lost, live}))
	if names, err := e.Logs(); err != nil || !slices.Equal(names, both) {
		t.Errorf("the logs are %v, %v", names, err)
	}
	for folder, count := range map[string]int{lost: 30, live: 20} {
		log, err := e.OpenLog(folder, LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantTiered(t, readAll(t, log, ReadOptions{}), 1, 1, count)
		if state := log.State(); "orders."+fmt.Sprintf("%016x", state.ID) != folder || state.Name != "orders" {
			t.Errorf("%s is opened as %s %016x", folder, state.Name, state.ID)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if again, err := e.OpenLog(folder, LogOptions{}); err != nil || again == log {
			t.Errorf("opened again: %v", err)
		}
	}
	_, err = e.OpenLog("orders", LogOptions{})
	for _, text := range []string{lost, live, "sequences 1 to 30", "sequences 1 to 20", "created 20"} {
		if !errors.Is(err, ErrInvalidOptions) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v does not say %q", err, text)
		}
	}
	for _, name := range []string{"orders.0000000000000001", "other." + lost[len("orders."):]} {
		if _, err := e.OpenLog(name, LogOptions{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	report, err := Check(t.Context(), url, CheckOptions{Deep: true})
	if err != nil || !report.OK() || len(report.Logs) != 2 || report.Logs[0].Name != both[0] || report.Logs[1].Name != both[1] {
		t.Errorf("%v, %+v", err, report.Logs)
	}
}

// A log that is alone with its name has both names; a root has no folders.
func TestTheFolderNamesALogOfABucketAlone(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	folder := bucket.FolderName("orders", r.log.id)
	r.close(t)
	e, err := OpenReadOnly(r.opts.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if names, err := e.Logs(); err != nil || !slices.Equal(names, []string{"orders"}) {
		t.Errorf("the logs are %v, %v", names, err)
	}
	for _, name := range []string{"orders", folder} {
		log, err := e.OpenLog(name, LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantTiered(t, readAll(t, log, ReadOptions{}), 1, 1, 30)
	}
	root, err := OpenReadOnly(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if _, err := root.OpenLog(folder, LogOptions{}); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("in a root: %v", err)
	}
}
