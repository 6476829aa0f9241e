package engine

import (
	"os"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// Where the next sequence does not follow on the last one of the segment that was
// closed cleanly, that segment ends: inside of it a record has to follow on the one
// before, or every later open takes it for damage.
func TestARecordBehindSequencesThatOnlyTheBucketHasIsReadAfterARestart(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	appendUnsealed(t, r, 5)
	r.close(t)
	older := r.another(t)
	r.open(t)
	r.fill(t, 2, 30)
	for id := uint64(2); id <= 3; id++ {
		r.mustDo(t, id, planner.Compress, planner.Upload)
	}
	last := int(r.log.durable.Load())
	r.close(t)

	// Of the copy the manifest is lost, and the bucket says how far the log got.
	if err := os.RemoveAll(older.dir + "/logs/orders/" + manifestDirName); err != nil {
		t.Fatal(err)
	}
	older.open(t)
	if got := int(older.log.appended.Load()); got != last {
		t.Fatalf("it goes on behind %d, want %d", got, last)
	}
	appendUnsealed(t, older, 3)
	for range 2 {
		older.open(t)
		records := readAll(t, older.log, ReadOptions{FromSeq: uint64(last + 1)})
		wantTiered(t, records, last+1, 1, 3)
		wantTiered(t, readAll(t, older.log, ReadOptions{ToSeq: 35}), 1, 1, 35)
	}
}

// appendUnsealed appends records and makes them durable.
func appendUnsealed(t *testing.T, r *tieredRoot, count int) {
	t.Helper()
	for range count {
		rec := tieredRecord(int(r.log.appended.Load()) + 1)
		if _, err := r.log.Append(&rec); err != nil {
			t.Fatal(err)
		}
	}
	commitManual(t, r.log)
}
