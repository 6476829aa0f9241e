package engine

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file is about what counts when copies come and go: bytes in the budgets,
// copies that are good, the cold watermark.

func TestEvictedBytesAreGivenBackToTheBudgets(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	hot := r.engine.hot.used.Load()
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	if warm := r.engine.warm.Load(); warm != int64(r.entry(1).Warm.ObjectBytes) {
		t.Errorf("%d warm bytes, the object has %d", warm, r.entry(1).Warm.ObjectBytes)
	}
	info, err := os.Stat(r.copyPath(manifest.TierHot))
	if err != nil {
		t.Fatal(err)
	}
	r.mustDo(t, 1, planner.EvictHot)
	if used := r.engine.hot.used.Load(); used != hot-info.Size() {
		t.Errorf("%d hot bytes, before the eviction of %d they were %d", used, info.Size(), hot)
	}
	r.mustDo(t, 1, planner.EvictWarm)
	if warm := r.engine.warm.Load(); warm != 0 {
		t.Errorf("%d warm bytes", warm)
	}
}

// What a reader found damaged does not count, also before that is recorded.
func TestTheLastGoodCopyIsNotEvicted(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress)
	r.log.segmentByID(1).doubt.note(manifest.TierWarm, errIO)
	if err := r.do(planner.EvictHot, 1); !errors.Is(err, errLastCopy) {
		t.Errorf("evict the only good copy: %v", err)
	}
	if _, err := os.Stat(r.copyPath(manifest.TierHot)); err != nil {
		t.Errorf("the hot file: %v", err)
	}
	if !r.entry(1).Resident.Has(manifest.TierHot) {
		t.Error("the manifest says that the hot copy is gone")
	}
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
}

// What has a name was read back: a warm file that was not gets none.
func TestAWarmFileThatCannotBeReadBackGetsNoName(t *testing.T) {
	r := newTieredRoot(t).stepped()
	disk := vfs.NewFaulty(vfs.OS())
	r.opts.FS = disk
	r.open(t)
	r.fill(t, 1, 30)
	broken := disk.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: "warm/*", Err: errIO})
	if err := r.do(planner.Compress, 1); !errors.Is(err, errIO) {
		t.Errorf("compress: %v", err)
	}
	if files, err := os.ReadDir(r.log.paths.warm); err != nil || len(files) != 0 {
		t.Errorf("warm files %v, %v", files, err)
	}
	if resident := r.entry(1).Resident; resident.Has(manifest.TierWarm) {
		t.Errorf("copies %v", resident)
	}
	broken.Remove()
	r.mustDo(t, 1, planner.Compress)
}

func TestAnUploadThatFailsIsNotRecorded(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress)
	r.driver.Add(buckettest.Rule{Op: buckettest.OpPut, KeyPattern: "segments/*", Fault: buckettest.Break, Bytes: 500})
	if err := r.do(planner.Upload, 1); err == nil {
		t.Error("no error")
	}
	if entry := r.entry(1); entry.Resident.Has(manifest.TierCold) || r.log.Watermarks().Cold != 0 {
		t.Errorf("copies %v, cold up to %d", entry.Resident, r.log.Watermarks().Cold)
	}
	r.driver.Clear()
	r.mustDo(t, 1, planner.Upload)
	if cold := r.log.Watermarks().Cold; cold != 30 {
		t.Errorf("cold up to %d", cold)
	}
}

func TestColdWatermarkWaitsForTheSegmentBefore(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 3, 30)
	for segment := range uint64(3) {
		r.mustDo(t, segment+1, planner.Compress)
	}
	for _, step := range []struct{ segment, cold uint64 }{{3, 0}, {1, 30}, {2, 90}} {
		r.mustDo(t, step.segment, planner.Upload)
		if cold := r.log.Watermarks().Cold; cold != step.cold {
			t.Errorf("cold up to %d when segment %d is uploaded, want %d", cold, step.segment, step.cold)
		}
	}
}

// A root and its copy go on with the same unsealed segment: identity, salt and
// sequences agree, the records do not.
func TestAnObjectOfTheSameSegmentWithOtherRecordsIsNotAdopted(t *testing.T) {
	r := newTieredRoot(t).stepped()
	appendSome := func(root *tieredRoot, from int) {
		t.Helper()
		for n := from; n < from+10; n++ {
			rec := tieredRecord(n)
			if _, err := root.log.Append(&rec); err != nil {
				t.Fatal(err)
			}
		}
		commitManual(t, root.log)
	}
	r.open(t)
	appendSome(r, 1)
	r.close(t)
	other := r.another(t)
	for from, root := range map[int]*tieredRoot{11: r, 5011: other} {
		root.open(t)
		appendSome(root, from)
		root.seal(t)
		root.mustDo(t, 1, planner.Compress)
	}
	mine, theirs := r.entry(1), other.entry(1)
	if mine.Salt != theirs.Salt || mine.LastSeq != theirs.LastSeq || mine.SegmentCRC64 == theirs.SegmentCRC64 {
		t.Fatalf("the segments are %+v and %+v", mine, theirs)
	}
	foreign, err := os.ReadFile(other.copyPath(manifest.TierWarm))
	if err != nil {
		t.Fatal(err)
	}
	key := bucket.SegmentKey{ID: 1, First: mine.FirstSeq, Last: mine.LastSeq}.String()
	if _, err := r.log.folder.Put(t.Context(), key, func(w io.Writer) error {
		_, err := w.Write(foreign)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.do(planner.Upload, 1); !errors.Is(err, ErrUploadsStopped) || !errors.Is(err, errOtherObject) {
		t.Errorf("upload: %v", err)
	}
	if r.entry(1).Resident.Has(manifest.TierCold) {
		t.Error("the object of the copy was adopted")
	}
}
