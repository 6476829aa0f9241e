package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// These tests run on a disk that is smaller than the budgets.

const smallDiskBytes = 2 << 20

// newSmallDisk makes a root on such a disk, with a bucket on another.
func newSmallDisk(t *testing.T) (*tieredRoot, *vfs.Mem) {
	t.Helper()
	disk := vfs.NewMem(1)
	disk.SetCapacity(smallDiskBytes)
	r := &tieredRoot{dir: simRoot, events: &eventLog{}, logs: smallSegments()}
	r.opts = Options{
		Bucket: "file:///bucket", BucketFS: vfs.NewMem(2), FS: disk, OnEvent: r.events.note,
		bucketRetry: bucket.Retry{Attempts: 1}, reserveBytes: 4096,
	}
	r.driver, r.opts.wrapBucket = buckettest.Between()
	return r, disk
}

// wantNoLastCopyDropped checks that each sealed segment is somewhere.
func wantNoLastCopyDropped(t *testing.T, l *Log) {
	t.Helper()
	for entry := range l.journal.state().Segments() {
		if entry.Sealed && entry.GoodCopies() == 0 {
			t.Errorf("segment %d has no good copy", entry.ID)
		}
	}
}

func TestAppendsGoOnOnADiskSmallerThanTheBudgets(t *testing.T) {
	const count = 4000
	for name, logs := range map[string]LogOptions{"small segments": smallSegments(), "segments that grow": {SegmentBytesMin: segmentBytesFloor}} {
		t.Run(name, func(t *testing.T) {
			r, disk := newSmallDisk(t)
			r.logs = logs
			l := r.open(t)
			appendTiered(t, l, 1, count)
			hot, warm, _, coldOnly := residency(l)
			if coldOnly == 0 {
				t.Errorf("%d segments hot, %d warm, %d only cold", hot, warm, coldOnly)
			}
			wantNoLastCopyDropped(t, l)
			if budgets := r.engine.budgets; budgets.HotLowBytes < smallDiskBytes || budgets.WarmLowBytes < smallDiskBytes {
				t.Errorf("the budgets bound the local bytes, not the disk: %+v", budgets)
			}
			r.close(t)
			disk.PowerCut()
			l = r.open(t)
			wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, count)
			appendTiered(t, l, count+1, 1000)
			wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, count+1000)
		})
	}
}

// Logs that share a small disk all go on.
func TestLogsShareADiskSmallerThanTheBudgets(t *testing.T) {
	const count = 700
	r, _ := newSmallDisk(t)
	r.open(t)
	names := []string{"orders", "payments", "returns"}
	for _, name := range names { // a reserve as small as here holds no manifest of a log that begins on a full disk
		appendTiered(t, openNamed(t, r.engine, name), 1, 1)
	}
	var done []<-chan error
	for _, name := range names {
		l := openNamed(t, r.engine, name)
		done = append(done, inBackground(func() error {
			for n := 2; n <= count; n++ {
				rec := tieredRecord(n)
				for _, err := l.AppendSync(t.Context(), &rec); err != nil; _, err = l.AppendSync(t.Context(), &rec) {
					if !errors.Is(err, ErrBackpressure) {
						return err
					}
				}
			}
			return nil
		}))
	}
	for i, result := range done {
		if err := ends(t, names[i], result); err != nil {
			t.Error(err)
		}
	}
	for _, name := range names {
		wantTiered(t, readAll(t, openNamed(t, r.engine, name), ReadOptions{}), 1, 1, count)
	}
}

func openNamed(t *testing.T, e *Engine, name string) *Log {
	t.Helper()
	l, err := e.OpenLog(name, smallSegments())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// While the bucket is away nothing that is not cold leaves the disk: appends are
// refused until it is back, and then go on by themselves.
func TestAFullDiskWaitsForTheBucket(t *testing.T) {
	r, _ := newSmallDisk(t)
	r.opts.bucketPatience = time.Second
	l := r.open(t)
	r.driver.Add(buckettest.Rule{Err: buckettest.ErrTransient})
	appended := appendUntilFull(t, l)
	if full := fillUp(t, l); full.Kind != Admission || !isNoSpace(full) {
		t.Fatalf("a full disk refuses with %v because of %v", full, full.Cause)
	}
	wantNoLastCopyDropped(t, l)
	r.wantEvent(t, "the disk is full", func(e Event) bool {
		return e.Kind == EventBackpressureEntered && e.Backpressure == Admission && isNoSpace(e.Err)
	})
	if state := l.State(); state.Backpressure != Admission {
		t.Errorf("State says %s", state.Backpressure)
	}
	wantTiered(t, readAll(t, l, ReadOptions{ToSeq: uint64(appended)}), 1, 1, appended)
	accepted := l.Watermarks().Appended
	r.driver.Clear()
	const more = 2000
	for range more {
		goesOn(t, l, 700)
	}
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != accepted+more {
		t.Errorf("%d records are there, want %d", len(records), accepted+more)
	}
}

// Without a bucket a full disk still has what compression saves.
func TestAFullDiskWithoutABucketIsCompressed(t *testing.T) {
	r, disk := newSmallDisk(t)
	const capacity = 5 << 18
	disk.SetCapacity(capacity)
	r.opts.Bucket = ""
	l := r.open(t)
	for range 3 * capacity / 4000 {
		goesOn(t, l, 4000)
	}
	r.wantEvent(t, "the disk is full", func(e Event) bool {
		return e.Kind == EventBackpressureEntered && e.Backpressure == Admission && isNoSpace(e.Err)
	})
	if l.failed() {
		t.Fatal(l.endError())
	}
	wantNoLastCopyDropped(t, l)
	disk.SetCapacity(0)
	last := goesOn(t, l, 400)
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != last {
		t.Errorf("%d records are there, want %d", len(records), last)
	}
}

// The reserve comes first: what seals and metadata were given is not taken by
// the next segment.
func TestASegmentWaitsForTheReserve(t *testing.T) {
	r, disk := newSmallDisk(t)
	r.opts.reserveBytes, r.opts.WarmBytesMax, r.opts.Bucket = segmentBytesFloor, NoWarm, ""
	used := r.fillSmallDisk(t, disk)
	e, l := r.engine, r.log
	disk.SetCapacity(used)
	if err := e.disk.giveReserve(); err != nil {
		t.Fatal(err)
	}
	l.keeper.wantSuccessor(segmentBytesFloor)
	if l.keeper.step() || !isNoSpace(l.roomError()) {
		t.Errorf("a segment was prepared out of the reserve: %v", l.roomError())
	}
	if lack := e.disk.lack(); lack != segmentBytesFloor {
		t.Errorf("the disk lacks %d bytes", lack)
	}
	disk.SetCapacity(used + segmentBytesFloor)
	if !l.keeper.step() || l.roomError() != nil {
		t.Errorf("no segment was prepared beside the reserve: %v", l.roomError())
	}
	if got := reserveOnDisk(t, disk); got != r.opts.reserveBytes || e.disk.lack() != 0 {
		t.Errorf("%d bytes reserved, the disk lacks %d", got, e.disk.lack())
	}
	if err := errors.Join(l.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
}

// openStepped opens a log that the test steps and that nobody closes: it ends with
// the disk's process.
func (r *tieredRoot) openStepped(t *testing.T) {
	t.Helper()
	r.opts.manual = true
	e, err := Open(r.dir, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	r.engine = e
	if r.log, err = e.OpenLog("orders", r.logs); err != nil {
		t.Fatal(err)
	}
}

// fillSmallDisk makes a log that the test steps, with sealed segments that are
// only hot and no successor. It returns how much of the disk is used.
func (r *tieredRoot) fillSmallDisk(t *testing.T, disk *vfs.Mem) int64 {
	t.Helper()
	r.openStepped(t)
	r.fill(t, 8, 60)
	if err := r.log.keeper.discardSuccessor(); err != nil {
		t.Fatal(err)
	}
	usage, err := disk.Usage(simRoot)
	if err != nil {
		t.Fatal(err)
	}
	return usage.TotalBytes - usage.FreeBytes
}

// A segment leaves room to compress one: else a disk could fill with what is only
// hot and can never leave.
func TestASegmentLeavesRoomForACompression(t *testing.T) {
	r, disk := newSmallDisk(t)
	used := r.fillSmallDisk(t, disk)
	e, l := r.engine, r.log
	room := segmentBytesFloor + planner.CompressedBytesMax(segmentBytesFloor)
	room = (room + 4095) / 4096 * 4096
	disk.SetCapacity(used + room - 4096)
	l.keeper.wantSuccessor(segmentBytesFloor)
	if l.keeper.step() || !isNoSpace(l.roomError()) {
		t.Errorf("a segment was prepared in the last room: %v", l.roomError())
	}
	if lack := e.disk.lack(); lack <= 0 || lack > 4096 {
		t.Errorf("the disk lacks %d bytes", lack)
	}
	for range 3 { // compress, upload, evict
		if !e.coordinator.step() {
			t.Fatal("nothing is moved for what the disk lacks")
		}
	}
	for e.disk.lack() > 0 {
		if !e.coordinator.step() {
			t.Fatalf("the disk still lacks %d bytes", e.disk.lack())
		}
	}
	if !l.keeper.step() || l.roomError() != nil {
		t.Errorf("no segment was prepared when there was room: %v", l.roomError())
	}
	if err := errors.Join(l.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
}

// The room is for the largest segment that is only hot, not for the next one,
// which may be smaller.
func TestASegmentLeavesRoomForTheLargestThatIsOnlyHot(t *testing.T) {
	r, disk := newSmallDisk(t)
	r.logs = LogOptions{SegmentBytesMin: 4 * segmentBytesFloor, SegmentBytesMax: 4 * segmentBytesFloor}
	r.openStepped(t)
	r.fill(t, 1, 300)
	disk.SetCapacity(0)
	if err := r.log.keeper.discardSuccessor(); err != nil {
		t.Fatal(err)
	}
	largest := r.log.segmentByID(1).bytes.Load()
	if got, want := r.engine.disk.forCompression(segmentBytesFloor), planner.CompressedBytesMax(largest); got != want || largest <= segmentBytesFloor {
		t.Errorf("%d bytes are left to compress a segment of %d, want %d", got, largest, want)
	}
	r.mustDo(t, 1, planner.Compress)
	if got, want := r.engine.disk.forCompression(segmentBytesFloor), planner.CompressedBytesMax(segmentBytesFloor); got != want {
		t.Errorf("%d bytes are left where nothing is only hot, want %d", got, want)
	}
	if err := errors.Join(r.log.Close(), r.engine.Close()); err != nil {
		t.Fatal(err)
	}
}

// A log on a full disk that nobody appends to looks for room less and less
// often, and sooner again once somebody does.
func TestAnIdleLogLooksForRoomLessAndLessOften(t *testing.T) {
	l := openManual(t, vfs.NewMem(1), smallSegments())
	c := &l.committer
	if wait := c.untilRoomRetry(); wait < time.Hour {
		t.Errorf("a log that has room looks for some in %s", wait)
	}
	l.setNoRoom(errPinned)
	wait := c.untilRoomRetry()
	for range 20 {
		c.retryRoom()
		next := c.untilRoomRetry()
		if next < wait-time.Second || next > 2*wait+time.Second || next > roomRetryMax {
			t.Fatalf("it looks after %s, then after %s", wait, next)
		}
		wait = next
	}
	if wait < roomRetryMax-time.Second {
		t.Errorf("it still looks every %s", wait)
	}
	l.mu.Lock()
	_ = l.refuseLocked(Admission, "no room", errPinned)
	l.mu.Unlock()
	if wait = c.untilRoomRetry(); wait > stallRetry {
		t.Errorf("it looks %s after an append was refused", wait)
	}
	c.retryRoom()
	if wait = c.untilRoomRetry(); wait < stallRetry {
		t.Errorf("it looks again after %s", wait)
	}
}
