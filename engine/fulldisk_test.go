package engine

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// reserveOnDisk is how much of the reserve there is.
func reserveOnDisk(t *testing.T, disk vfs.FS) int64 {
	t.Helper()
	info, err := disk.Stat(filepath.Join(simRoot, reserveFileName))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A full disk holds up what needs room and nothing else: the log stays readable,
// seals and evictions are made, and all goes on when there is space.
func TestAFullDiskHoldsUpOnlyWhatNeedsRoom(t *testing.T) {
	const reserved = 1 << 20
	disk := vfs.NewMem(1)
	r := &tieredRoot{dir: simRoot, events: &eventLog{}, logs: smallSegments()}
	r.opts = Options{
		HotBytesMax: 64 * segmentBytesFloor, Bucket: "file:///bucket", BucketFS: vfs.NewMem(2), FS: disk,
		OnEvent: r.events.note, reserveBytes: reserved, manual: true,
	}
	e, err := Open(r.dir, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.OpenLog("orders", r.logs)
	if err != nil {
		t.Fatal(err)
	}
	r.engine, r.log = e, l
	r.fill(t, 2, 60)
	r.mustDo(t, 1, planner.Compress)
	rec := tieredRecord(121)
	if _, err := l.Append(&rec); err != nil {
		t.Fatal(err)
	}
	commitManual(t, l)

	// No file gets a block more, but what the reserve gives up.
	usage, err := disk.Usage(simRoot)
	if err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(usage.TotalBytes - usage.FreeBytes)
	if err := r.do(planner.Compress, 2); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("compress: %v", err)
	}
	if failed := r.events.of(EventSegmentWarmFailed); len(failed) != 1 || failed[0].Reason != manifest.ReasonNoSpace {
		t.Errorf("told %+v", failed)
	}
	l.retireTail()
	for l.keeper.step() {
	}
	if sealed := l.segmentByID(3).seal.Load(); sealed == nil {
		t.Error("a segment whose blocks exist is not sealed")
	}
	r.mustDo(t, 1, planner.EvictHot)
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 121)
	if l.failed() {
		t.Fatal(l.endError())
	}

	disk.SetCapacity(0)
	r.mustDo(t, 2, planner.Compress, planner.EvictHot)
	r.fill(t, 1, 59)
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 180)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	wantNothingOpen(t, disk)
}

// The manifest goes on in the room of the reserve, which is taken back when
// there is space again.
func TestTheReserveIsTakenBackWhenThereIsSpace(t *testing.T) {
	const reserved = 1 << 20
	disk := vfs.NewFaulty(vfs.NewMem(1))
	e, err := Open(simRoot, Options{FS: disk, manual: true, reserveBytes: reserved})
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.OpenLog("orders", smallSegments())
	if err != nil {
		t.Fatal(err)
	}
	r := &tieredRoot{dir: simRoot, opts: e.opts, engine: e, log: l, logs: smallSegments(), events: &eventLog{}}
	r.fill(t, 2, 60)
	if got := reserveOnDisk(t, disk); got != reserved {
		t.Fatalf("%d bytes reserved", got)
	}
	if err := e.reserve.release(); err != nil {
		t.Fatal(err)
	}
	full := disk.Add(vfs.Rule{Op: vfs.OpAllocate, PathPattern: "reserve", Err: syscall.ENOSPC})
	r.mustDo(t, 1, planner.Compress, planner.EvictHot)
	if got := reserveOnDisk(t, disk); got != 0 || full.Applied() == 0 {
		t.Errorf("%d bytes reserved on a full disk, tried %d times", got, full.Applied())
	}
	full.Remove()
	r.mustDo(t, 2, planner.Compress, planner.EvictHot)
	if got := reserveOnDisk(t, disk); got != reserved {
		t.Errorf("%d bytes reserved after an eviction", got)
	}
	if err := e.reserve.release(); err != nil {
		t.Fatal(err)
	}
	r.fill(t, 1, 60)
	if got := reserveOnDisk(t, disk); got != reserved {
		t.Errorf("%d bytes reserved after a new segment", got)
	}
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 180)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
