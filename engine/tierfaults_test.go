package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file holds what the tests of moves and of their failures share: a root
// and a bucket that live through many engines, and a bucket driver with faults.

// tieredRoot is a root on the real disk with a bucket that meets faults.
type tieredRoot struct {
	dir    string
	opts   Options
	driver *buckettest.Faulty
	events *eventLog
	logs   LogOptions
	engine *Engine
	log    *Log
}

// newTieredRoot makes a root of which nothing is opened yet.
func newTieredRoot(t *testing.T) *tieredRoot {
	t.Helper()
	dir := t.TempDir()
	r := &tieredRoot{dir: filepath.Join(dir, "root"), events: &eventLog{}, logs: smallSegments()}
	r.opts = Options{
		HotBytesMax: 8 * segmentBytesFloor, WarmBytesMax: 4 * segmentBytesFloor, Bucket: "file://" + filepath.Join(dir, "bucket"),
		OnEvent: r.events.note, bucketRetry: bucket.Retry{Attempts: 1}, reserveBytes: 4096, FS: vfs.OS(),
	}
	r.driver, r.opts.wrapBucket = buckettest.Between()
	return r
}

// open opens the root, or opens it again.
func (r *tieredRoot) open(t *testing.T) *Log {
	t.Helper()
	r.close(t)
	r.engine = openOnDisk(t, r.dir, r.opts)
	r.log = openLogTest(t, r.engine, r.logs)
	return r.log
}

func (r *tieredRoot) close(t *testing.T) {
	t.Helper()
	if r.engine == nil {
		return
	}
	if err := r.engine.Close(); err != nil && !errors.Is(err, ErrClosed) {
		t.Fatalf("close: %v", err)
	}
	r.engine = nil
}

// another is a copy of the root, with its own driver to the same bucket.
func (r *tieredRoot) another(t *testing.T) *tieredRoot {
	t.Helper()
	copied := *r
	copied.dir, copied.engine, copied.log = filepath.Join(t.TempDir(), "root"), nil, nil
	copied.events = &eventLog{}
	copied.opts.OnEvent, copied.opts.FS = copied.events.note, vfs.OS()
	copied.driver, copied.opts.wrapBucket = buckettest.Between()
	if err := os.CopyFS(copied.dir, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	return &copied
}

// stepped makes the engine one that the test steps: no goroutine moves anything.
func (r *tieredRoot) stepped() *tieredRoot {
	r.opts.manual = true
	return r
}

// fill appends records and seals them, in segments of a number of records each.
func (r *tieredRoot) fill(t *testing.T, segments, each int) {
	t.Helper()
	for range segments {
		first := int(r.log.appended.Load()) + 1
		for n := first; n < first+each; n++ {
			rec := tieredRecord(n)
			if _, err := r.log.Append(&rec); err != nil {
				t.Fatalf("append %d: %v", n, err)
			}
		}
		r.seal(t)
	}
}

func (r *tieredRoot) seal(t *testing.T) {
	t.Helper()
	if !r.opts.manual {
		if err := r.log.Seal(shortly(t)); err != nil {
			t.Fatal(err)
		}
		return
	}
	commitManual(t, r.log)
	r.log.retireTail()
	commitManual(t, r.log)
}

// do carries out one move.
func (r *tieredRoot) do(kind planner.Kind, segment uint64) error {
	return r.log.move(planner.Action{Kind: kind, LogID: r.log.id, Segment: segment}, 1)
}

func (r *tieredRoot) mustDo(t *testing.T, segment uint64, kinds ...planner.Kind) {
	t.Helper()
	for _, kind := range kinds {
		if err := r.do(kind, segment); err != nil {
			t.Fatalf("%s segment %d: %v", kind, segment, err)
		}
	}
}

func (r *tieredRoot) entry(segment uint64) *manifest.Segment {
	return r.log.journal.state().Segment(segment)
}

// objectPath is where the cold object of a segment lies.
func (r *tieredRoot) objectPath(segment uint64) string {
	key := r.log.folder.Name() + "/" + r.entry(segment).Cold.Key
	return filepath.Join(strings.TrimPrefix(r.opts.Bucket, "file://"), strings.ReplaceAll(key, "/", "+/"))
}

// copyPath is where a copy of segment 1 lies.
func (r *tieredRoot) copyPath(t manifest.Tier) string {
	const segment = 1
	switch t {
	case manifest.TierHot:
		return r.log.paths.hotFile(r.entry(segment))
	case manifest.TierWarm:
		return r.log.paths.warmFile(r.entry(segment))
	default:
		return r.objectPath(segment)
	}
}

// change rewrites a file.
func changeFile(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// In place: who has it mapped sees it too.
	if err := os.WriteFile(path, change(contents), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantEventually waits for an event.
func (r *tieredRoot) wantEvent(t *testing.T, what string, holds func(Event) bool) {
	t.Helper()
	eventually(t, "there is the event: "+what, func() bool {
		for _, event := range r.events.of() {
			if holds(event) {
				return true
			}
		}
		return false
	})
}

func allCold(l *Log) bool {
	for entry := range l.journal.state().Segments() {
		if entry.Sealed && !entry.GoodCopies().Has(manifest.TierCold) {
			return false
		}
	}
	return true
}

func tierSet(tiers ...manifest.Tier) (set manifest.TierSet) {
	for _, t := range tiers {
		set = set.With(t)
	}
	return set
}

func requests(f *buckettest.Faulty) int {
	c := f.Counts()
	return c.Puts + c.Gets + c.Heads + c.Lists + c.Deletes
}

func TestMovesThatWereLeftAreMadeAfterAReopen(t *testing.T) {
	r := newTieredRoot(t)
	rule := buckettest.Rule{Op: buckettest.OpPut}
	r.open(t)
	r.driver.Add(rule)
	r.fill(t, 3, 20)
	r.wantEvent(t, "an upload failed", func(e Event) bool { return e.Kind == EventSegmentUploadFailed })
	r.close(t)
	r.driver.Clear()
	l := r.open(t)
	if err := l.Wait(shortly(t), 60, Cold); err != nil {
		t.Fatal(err)
	}
	// What is cold is known to be so after a reopen too, without a request.
	r.close(t)
	before := requests(r.driver)
	l = r.open(t)
	if err := l.Wait(shortly(t), 60, Cold); err != nil || l.Watermarks().Cold != 60 {
		t.Fatalf("cold watermark %d: %v", l.Watermarks().Cold, err)
	}
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 60)
	r.close(t)
	if n := requests(r.driver) - before; n != 0 {
		t.Errorf("an idle reopen made %d requests", n)
	}
}

func TestALogThatIsOpenedAgainCountsItsWarmFilesOnce(t *testing.T) {
	r := newTieredRoot(t)
	l := r.open(t)
	r.fill(t, 3, 20)
	eventually(t, "all is cold", func() bool { return allCold(l) })
	want := r.engine.warm.Load()
	for range 3 {
		if err := r.log.Close(); err != nil {
			t.Fatal(err)
		}
		if used := r.engine.warm.Load(); used != 0 {
			t.Errorf("%d warm bytes are counted of no log", used)
		}
		r.log = openLogTest(t, r.engine, smallSegments())
		if used := r.engine.warm.Load(); used != want {
			t.Errorf("%d warm bytes, want %d", used, want)
		}
	}
}

func TestAnIdleCoordinatorDoesNotWakeUp(t *testing.T) {
	r := newTieredRoot(t)
	r.open(t)
	r.fill(t, 1, 20)
	c := r.engine.coordinator
	eventually(t, "all is cold", func() bool { return allCold(r.log) })
	// A move that failed, and is not planned any more.
	key, past := moveKey{r.log.id, 1}, r.engine.opts.Now().Add(-time.Minute).UnixNano()
	c.mu.Lock()
	c.mu.failures[key] = map[planner.Kind]planner.Failure{planner.Compress: {Attempt: 3, NotBeforeNs: past}}
	c.mu.Unlock()
	if wait := c.untilRetry(r.engine.opts.Now()); wait < idleForever {
		t.Errorf("it looks again in %s", wait)
	}
	c.mu.Lock()
	c.mu.outage = outage{attempts: 2, notBefore: r.engine.opts.Now().Add(-time.Second)}
	c.mu.Unlock()
	if wait := c.untilRetry(r.engine.opts.Now()); wait < idleForever {
		t.Errorf("after an outage it looks again in %s", wait)
	}
}

func TestADamagedObjectAtAKeyIsPutAgainUnderTheNextGeneration(t *testing.T) {
	for _, hot := range []bool{true, false} {
		t.Run(fmt.Sprintf("hot %v", hot), func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			l := r.open(t)
			r.fill(t, 1, 80)
			r.mustDo(t, 1, planner.Compress)
			if !hot {
				r.mustDo(t, 1, planner.EvictHot)
			}
			r.driver.Add(buckettest.Rule{Op: buckettest.OpPut, KeyPattern: "segments/*", Fault: buckettest.Shorten, Bytes: 1000, Times: 1})
			if err := r.do(planner.Upload, 1); err == nil {
				t.Fatal("a partial object was taken for whole")
			}
			if err := r.do(planner.Upload, 1); err == nil || !errors.Is(err, tier.ErrCorrupt) {
				t.Fatalf("the damaged object: %v", err)
			}
			if bad := r.entry(1).Quarantined; bad != 0 || l.segmentByID(1).doubt.copies() != 0 {
				t.Errorf("%v is taken for damaged", bad)
			}
			r.mustDo(t, 1, planner.Upload)
			if entry := r.entry(1); entry.Cold.Generation != 1 || !entry.GoodCopies().Has(manifest.TierCold) {
				t.Errorf("cold copy %+v, good %v", entry.Cold, entry.GoodCopies())
			}
			r.mustDo(t, 1, planner.EvictWarm)
			wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 80)
		})
	}
}
