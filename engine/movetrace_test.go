package engine

import (
	"regexp"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// temporaryName is the random name of a file that a bucket is making.
var temporaryName = regexp.MustCompile(`[0-9a-f]{32}`)

// openMoves opens a log on a disk that holds its bucket too, to be stepped.
func openMoves(t *testing.T, disk vfs.FS, wrap bucket.Wrapper) *tieredRoot {
	t.Helper()
	return openMovesIn(t, simRoot, 6, disk, wrap)
}

// openMovesIn opens one of several roots on a disk. Numbers that are random
// elsewhere count on from the one given, which tells owners apart.
func openMovesIn(t *testing.T, dir string, number uint64, disk vfs.FS, wrap bucket.Wrapper) *tieredRoot {
	t.Helper()
	r := &tieredRoot{dir: dir, events: &eventLog{}, logs: LogOptions{SegmentBytesMin: 16 << 10, SegmentBytesMax: 16 << 10}}
	r.opts = Options{
		FS: disk, BucketFS: disk, Bucket: "file:///bucket", manual: true, reserveBytes: 4096, wrapBucket: wrap, OnEvent: r.events.note,
		random: func() uint64 { number++; return number }, Now: func() time.Time { return time.Unix(0, 1000) },
		bucketRetry: bucket.Retry{Attempts: 1},
	}
	r.logs.ensureDefaults()
	e, err := Open(r.dir, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	// Everything is to leave the disk.
	e.budgets = planner.Budgets{HotBytes: 1 << 20, WarmBytes: 1 << 20}
	l, err := e.openLog("orders", r.logs)
	if err != nil {
		t.Fatal(err)
	}
	e.mu.logs["orders"] = l
	r.engine, r.log = e, l
	return r
}

// TestOrderOfIOOfMoves pins what a move writes in which order, and what is
// synced and recorded between.
func TestOrderOfIOOfMoves(t *testing.T) {
	disk := vfs.NewMem(1)
	traced := vfs.NewTraced(disk, simRoot)
	driver, wrap := buckettest.Between()
	r := openMoves(t, traced, wrap)
	r.fill(t, 3, 15)
	do := func(kind planner.Kind, segment uint64) func() error {
		return func() error { return r.do(kind, segment) }
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"compress", do(planner.Compress, 1)},
		{"first-upload-of-an-owner", do(planner.Upload, 1)},
		{"evict-hot", do(planner.EvictHot, 1)},
		{"evict-warm", do(planner.EvictWarm, 1)},
		{"", do(planner.Compress, 2)},
		{"upload", do(planner.Upload, 2)},
		{"", do(planner.Compress, 3)},
		{"", func() error { // a process that died behind the PUT
			driver.Add(buckettest.Rule{Op: buckettest.OpGet, KeyPattern: "epochs/*"})
			if err := r.do(planner.Upload, 3); err == nil {
				t.Error("recorded without a look at the next epoch")
			}
			driver.Clear()
			disk.ProcessCrash()
			r = openMoves(t, traced, wrap)
			return nil
		}},
		{"adopt-object", do(planner.Upload, 3)},
	} {
		traced.Reset()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.name == "" {
			continue
		}
		var lines []string
		for _, line := range traced.Lines() {
			lines = append(lines, temporaryName.ReplaceAllString(line, "<temporary>"))
		}
		wantGolden(t, "trace-move-"+step.name+".txt", lines)
	}
}

// A crash anywhere in a move loses nothing, and the move is made after it.
func TestEachMoveGoesOnAfterACrashAnywhere(t *testing.T) {
	for i, kind := range []planner.Kind{planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm} {
		for _, power := range []bool{false, true} {
			crashes := 0
			for n := 1; crashInMove(t, kind, i, n, power); n++ {
				if crashes++; crashes > 200 {
					t.Fatalf("%s never ends", kind)
				}
			}
			if crashes < 3 {
				t.Errorf("%s: %d places to crash at", kind, crashes)
			}
		}
	}
}

// crashInMove crashes in front of the n-th operation of a move that others come
// before, and checks what comes of it. It reports whether the move had as many.
func crashInMove(t *testing.T, kind planner.Kind, before, n int, power bool) bool {
	t.Helper()
	disk := vfs.NewMem(uint64(n))
	r := openMoves(t, disk, nil)
	r.fill(t, 1, 15)
	r.mustDo(t, 1, []planner.Kind{planner.Compress, planner.Upload, planner.EvictHot}[:before]...)
	crashed := func() (crashed bool) {
		defer func() {
			if cause := recover(); cause != nil {
				if _, crashed = cause.(vfs.Crashed); !crashed {
					panic(cause)
				}
			}
		}()
		disk.CrashAt(n)
		r.mustDo(t, 1, kind)
		return false
	}()
	disk.CrashAt(0)
	if power {
		disk.PowerCut()
	} else {
		disk.ProcessCrash()
	}
	r = openMoves(t, disk, nil)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 15)
	for range 20 {
		if !r.engine.coordinator.step() {
			break
		}
	}
	if got := r.entry(1); got.Resident != tierSet(manifest.TierCold) || got.Quarantined != 0 || got.Cold.Generation != 0 {
		t.Fatalf("%s, crash at %d, power cut %v: copies %v, quarantined %v, generation %d", kind, n, power, got.Resident, got.Quarantined, got.Cold.Generation)
	}
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 15)
	if hot, warm := r.engine.hot.used.Load(), r.engine.warm.Load(); hot != 0 || warm != 0 {
		t.Fatalf("%s, crash at %d: %d hot, %d warm bytes are counted", kind, n, hot, warm)
	}
	if len(r.events.of(EventSegmentQuarantined)) != 0 {
		t.Fatalf("%s, crash at %d: told %+v", kind, n, r.events.of(EventSegmentQuarantined))
	}
	return crashed
}
