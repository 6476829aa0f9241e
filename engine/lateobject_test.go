package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// pathOf is where the object of a segment's generation lies.
func (r *tieredRoot) pathOf(key bucket.SegmentKey) string {
	return filepath.Join(r.bucketDir(), strings.ReplaceAll(r.log.folder.Name()+"/"+key.String(), "/", "+/"))
}

// appendStale appends records that no other root has.
func (r *tieredRoot) appendStale(t *testing.T, count int) {
	t.Helper()
	for range count {
		rec := Record{Subject: []byte("stale"), Payload: fmt.Appendf(nil, "never acknowledged as cold, %d", r.log.appended.Load())}
		if _, err := r.log.Append(&rec); err != nil {
			t.Fatal(err)
		}
	}
	commitManual(t, r.log)
}

// overtakenAtAKey makes a bucket in which an overtaken owner has put its segment 2,
// of sequences 31 to 60, too late. The successor has another one there, which is not
// uploaded yet, and a segment 3 that is.
func overtakenAtAKey(t *testing.T) (owner, successor *tieredRoot) {
	t.Helper()
	owner = newTieredRoot(t).stepped()
	owner.open(t)
	owner.fill(t, 1, 30)
	owner.mustDo(t, 1, planner.Compress, planner.Upload)
	successor = owner.another(t)
	successor.open(t)
	successor.fill(t, 2, 30)
	successor.mustDo(t, 3, planner.Compress, planner.Upload)
	successor.mustDo(t, 2, planner.Compress)
	owner.appendStale(t, 30)
	owner.seal(t)
	owner.mustDo(t, 2, planner.Compress)
	wantFenced(t, owner, owner.do(planner.Upload, 2))
	return owner, successor
}

// wantSuccessorsLog reads a bucket alone and checks it: the log is the successor's,
// to sequence 90, and one object is told not to be part of it.
func wantSuccessorsLog(t *testing.T, url string) {
	t.Helper()
	const count = 90
	e, err := OpenReadOnly(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	wantTiered(t, readAll(t, openLogTest(t, e, LogOptions{}), ReadOptions{}), 1, 1, count)
	for _, deep := range []bool{false, true} {
		report := checkPlace(t, url, CheckOptions{Deep: deep})
		found, told := report.Logs[0], 0
		for _, note := range found.Notes {
			if strings.Contains(note.Reason, "it is of epoch 1, and ") && strings.Contains(note.Reason, "of epoch 2 holds the same sequences") {
				told++
			}
		}
		if !report.OK() || told != 1 || found.Records != count || found.LastSeq != count {
			t.Errorf("deep %t: %d told, %d records to %d, damage %v, notes %v", deep, told, found.Records, found.LastSeq, found.Damage, found.Notes)
		}
	}
}

// What an overtaken owner puts too late under the very key that its successor is to
// use costs that key and nothing else: it is not touched, not read and not counted.
func TestALateObjectAtAKeyCostsThatKeyAlone(t *testing.T) {
	owner, successor := overtakenAtAKey(t)
	late := successor.pathOf(bucket.SegmentKey{ID: 2, First: 31, Last: 60})
	before, err := os.ReadFile(late)
	if err != nil {
		t.Fatal(err)
	}
	successor.mustDo(t, 2, planner.Upload)
	if entry := successor.entry(2); entry.Cold.Generation != 1 || !entry.GoodCopies().Has(manifest.TierCold) {
		t.Errorf("generation %d, copies %v", entry.Cold.Generation, entry.GoodCopies())
	}
	if after, err := os.ReadFile(late); err != nil || string(after) != string(before) {
		t.Errorf("the late object was touched: %v", err)
	}
	if err := successor.log.Wait(shortly(t), 90, Cold); err != nil {
		t.Error(err)
	}
	wantSuccessorsLog(t, successor.opts.Bucket)
	for id := uint64(4); id <= 5; id++ {
		successor.open(t)
		successor.fill(t, 1, 30)
		successor.mustDo(t, id, planner.Compress, planner.Upload)
	}
	successor.mustDo(t, 2, planner.EvictHot, planner.EvictWarm)
	wantTiered(t, readAll(t, successor.log, ReadOptions{}), 1, 1, 150)
	successor.close(t)
	if report := checkPlace(t, successor.dir, CheckOptions{Deep: true}); !report.OK() {
		t.Errorf("damage %v", report.Logs[0].Damage)
	}
	if records := readAll(t, owner.log, ReadOptions{}); len(records) != 60 || string(records[59].Subject) != "stale" {
		t.Errorf("the overtaken owner reads %d records", len(records))
	}
}

// A crash behind the intent for the next generation goes on with that one.
func TestTheNextGenerationIsUsedAgainAfterACrash(t *testing.T) {
	_, successor := overtakenAtAKey(t)
	if _, err := successor.log.uploadIntent(successor.entry(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := successor.log.announce(successor.entry(2), 1); err != nil {
		t.Fatal(err)
	}
	successor = successor.killed(t)
	successor.mustDo(t, 2, planner.Upload)
	if entry := successor.entry(2); entry.Cold.Generation != 1 || entry.NextGeneration != 2 {
		t.Errorf("generation %d, the next one is %d", entry.Cold.Generation, entry.NextGeneration)
	}
	wantSuccessorsLog(t, successor.opts.Bucket)
}

// The key that was given up is not in the way when the segment is uploaded anew.
func TestAKeyThatWasGivenUpIsNotUsedAgain(t *testing.T) {
	_, successor := overtakenAtAKey(t)
	successor.mustDo(t, 2, planner.Upload, planner.EvictHot)
	if err := os.Remove(successor.objectPath(2)); err != nil {
		t.Fatal(err)
	}
	if err := successor.do(planner.EvictWarm, 2); err == nil {
		t.Fatal("it was evicted")
	}
	successor.mustDo(t, 2, planner.Upload, planner.EvictWarm)
	if entry := successor.entry(2); entry.Cold.Generation != 2 || entry.GoodCopies() != tierSet(manifest.TierCold) {
		t.Errorf("generation %d, copies %v", entry.Cold.Generation, entry.GoodCopies())
	}
	wantSuccessorsLog(t, successor.opts.Bucket)
}

// Whatever generation the overtaken owner was at, the higher epoch is the log.
func TestTheHigherEpochCountsBeforeTheHigherGeneration(t *testing.T) {
	_, successor := overtakenAtAKey(t)
	key := bucket.SegmentKey{ID: 2, First: 31, Last: 60}
	late := key
	late.Generation = 7
	e, err := OpenReadOnly(successor.opts.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	early := openLogTest(t, e, LogOptions{}) // a reader that has seen the other's object alone
	if records := readAll(t, early, ReadOptions{FromSeq: 31, ToSeq: 60}); string(records[0].Subject) != "stale" {
		t.Fatalf("read %s", records[0].Subject)
	}
	if err := os.Rename(successor.pathOf(key), successor.pathOf(late)); err != nil {
		t.Fatal(err)
	}
	successor.mustDo(t, 2, planner.Upload)
	if generation := successor.entry(2).Cold.Generation; generation != 0 {
		t.Fatalf("generation %d", generation)
	}
	wantSuccessorsLog(t, successor.opts.Bucket)
	if err := e.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantTiered(t, readAll(t, early, ReadOptions{}), 1, 1, 90)
	// It is no copy of that segment either.
	changeFile(t, successor.pathOf(key), flipAt(200))
	report := checkPlace(t, successor.opts.Bucket, CheckOptions{Deep: true})
	if found := report.Logs[0]; len(found.Damage) != 1 || found.Damage[0].Cost != CostLost {
		t.Errorf("damage %v", found.Damage)
	}
}

// An object of other records that was there before the claim was counted by its
// owner: nothing is claimed, and nothing put beside it.
func TestAnObjectFromBeforeTheClaimIsNoLateOne(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	other := r.another(t)
	other.open(t)
	other.appendStale(t, 30)
	other.seal(t)
	other.mustDo(t, 2, planner.Compress)
	r.fill(t, 1, 30)
	r.mustDo(t, 2, planner.Compress, planner.Upload)
	wantDiverged(t, other, other.do(planner.Upload, 2), "_31-60_g0.zst of epoch 1")
	if records := readAll(t, other.log, ReadOptions{}); len(records) != 60 || string(records[30].Subject) != "stale" {
		t.Errorf("the copy reads %d records", len(records))
	}
	r.fill(t, 1, 30)
	r.mustDo(t, 3, planner.Compress, planner.Upload)
	wantClaimsDense(t, r, 1, 1)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 90)
}

// A copy of a running root that has sealed a segment without the last marks has the
// same records: neither is lost, whichever counts.
func TestTheSameRecordsWithOtherMarksStopNobody(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	for n := 31; n <= 60; n++ {
		appendTieredManual(t, r.log, n)
	}
	other := r.another(t)
	other.open(t) // seals what it has of segment 2
	other.mustDo(t, 2, planner.Compress)
	r.log.committer.tick()
	commitManual(t, r.log)
	r.seal(t)
	r.mustDo(t, 2, planner.Compress, planner.Upload)
	if r.entry(2).SegmentCRC64 == other.entry(2).SegmentCRC64 || r.entry(2).Salt != other.entry(2).Salt {
		t.Fatal("no other marks")
	}
	other.mustDo(t, 2, planner.Upload)
	if generation := other.entry(2).Cold.Generation; generation != 1 {
		t.Errorf("generation %d", generation)
	}
	other.fill(t, 1, 30)
	other.mustDo(t, 3, planner.Compress, planner.Upload)
	wantTiered(t, readAll(t, other.log, ReadOptions{}), 1, 1, 90)
	e, err := OpenReadOnly(other.opts.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	wantTiered(t, readAll(t, openLogTest(t, e, LogOptions{}), ReadOptions{}), 1, 1, 90)
}

// Only a lower epoch than the claimed one is passed over: anything else at a key is
// for people.
func TestAnotherObjectThatIsNotOfALowerEpochStopsTheUploads(t *testing.T) {
	for _, epochs := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d epochs on", epochs), func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 1, planner.Compress, planner.Upload)
			twin := r.another(t)
			twin.opts.Bucket = "file://" + filepath.Join(t.TempDir(), "bucket")
			for n := range epochs {
				twin.open(t)
				twin.appendStale(t, 30-29*n)
			}
			twin.seal(t)
			r.open(t)
			r.fill(t, 1, 30+epochs-1)
			r.fill(t, 1, 10)
			r.mustDo(t, 3, planner.Compress, planner.Upload) // epoch 2
			r.mustDo(t, 2, planner.Compress)
			twin.mustDo(t, 2, planner.Compress, planner.Upload)
			foreign, err := os.ReadFile(twin.objectPath(2))
			if err != nil {
				t.Fatal(err)
			}
			path := r.pathOf(bucket.SegmentKey{ID: 2, First: 31, Last: r.entry(2).LastSeq})
			if err := os.WriteFile(path, foreign, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := r.do(planner.Upload, 2); !errors.Is(err, ErrUploadsStopped) || !errors.Is(err, errOtherObject) || !strings.Contains(err.Error(), "of epoch ") {
				t.Fatalf("got %v", err)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != string(foreign) {
				t.Errorf("the other object was touched: %v", err)
			}
		})
	}
}
