package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// A root that was overtaken gives out sequences of its own. Those of its successor
// are none of them, also where it has to look into the bucket, as its front is lost.
func TestAnOvertakenRootThatLooksIntoTheBucketLeavesNoGap(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	successor := r.another(t)
	successor.open(t)
	successor.fill(t, 3, 30)
	for id := uint64(2); id <= 4; id++ {
		successor.mustDo(t, id, planner.Compress, planner.Upload)
	}
	r.fill(t, 2, 10)
	path := r.segmentPath(2)
	r.close(t)
	must(t, os.Remove(path))
	for opens := range 2 {
		r.open(t)
		if got := int(r.log.appended.Load()); got != 50+opens {
			t.Fatalf("it goes on behind %d, want %d", got, 50+opens)
		}
		r.fill(t, 1, 1)
		r.close(t)
	}
}

// A warm file that a crash left in front of its record is no sign of a manifest that
// lost some: nobody asks the bucket because of it.
func TestACompressionThatACrashCutOffCounts(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	crashed := r.another(t)
	r.mustDo(t, 1, planner.Compress)
	contents, err := os.ReadFile(r.copyPath(manifest.TierWarm))
	must(t, err)
	dir := newLogLayout(crashed.dir, "orders").warm
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, filepath.Base(r.copyPath(manifest.TierWarm))), contents, 0o600))
	before := requests(crashed.driver)
	crashed.open(t)
	if n := requests(crashed.driver) - before; n != 0 {
		t.Errorf("the open made %d requests", n)
	}
	if entry := crashed.entry(1); !entry.Resident.Has(manifest.TierWarm) {
		t.Errorf("copies are %v", entry.Resident)
	}
	wantTiered(t, readAll(t, crashed.log, ReadOptions{}), 1, 1, 30)
}

// Where the manifest lost the records of an eviction and of the copy that it was for,
// all copies that it knows are gone. Without the bucket the log opens nevertheless.
func TestALogWhoseCopiesAreAllUnknownOpensWithoutItsBucket(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress)
	r = r.killed(t)
	r.mustDo(t, 1, planner.Upload, planner.EvictHot, planner.EvictWarm)
	r.close(t)
	chunks := chunkPaths(t, r.manifestDir())
	must(t, os.Remove(chunks[len(chunks)-1]))
	moveDir(t, r.bucketDir(), r.bucketDir()+".away")
	r.open(t)
	r.close(t)
	moveDir(t, r.bucketDir()+".away", r.bucketDir())
	r.open(t)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
}
