package engine

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// evictions are the moves that drop a copy because of the cold one, each with
// those that come before it.
var evictions = map[string]struct {
	before []planner.Kind
	kind   planner.Kind
	in     manifest.Tier
}{
	"warm": {[]planner.Kind{planner.Compress, planner.Upload, planner.EvictHot}, planner.EvictWarm, manifest.TierWarm},
	"hot":  {[]planner.Kind{planner.Compress, planner.Upload, planner.EvictWarm}, planner.EvictHot, manifest.TierHot},
}

// Nothing local is dropped on the word of a bucket whose object is gone or
// another: that copy counts no more, and is made anew.
func TestALocalCopyStaysWhenTheObjectIsGone(t *testing.T) {
	for lost, lose := range map[string]func(t *testing.T, path string){
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"shorter":     func(t *testing.T, path string) { changeFile(t, path, func(b []byte) []byte { return b[:len(b)-1] }) },
		"other bytes": func(t *testing.T, path string) { changeFile(t, path, flipAt(1000)) },
	} {
		for name, eviction := range evictions {
			t.Run(lost+", "+name, func(t *testing.T) {
				r := newTieredRoot(t).stepped()
				r.open(t)
				forward := r.withClock()
				r.open(t)
				r.fill(t, 1, 30)
				r.mustDo(t, 1, eviction.before...)
				lose(t, r.objectPath(1))
				if err := r.do(eviction.kind, 1); err == nil {
					t.Fatal("it was evicted")
				}
				entry := r.entry(1)
				if !entry.Resident.Has(eviction.in) || entry.Quarantined != tierSet(manifest.TierCold) {
					t.Fatalf("copies are %v, quarantined %v", entry.Resident, entry.Quarantined)
				}
				if told := r.events.of(EventSegmentQuarantined); len(told) != 1 || told[0].Tier != "cold" || told[0].Err == nil {
					t.Errorf("told %+v", told)
				}
				r.engine.budgets = planner.Budgets{HotBytes: 1 << 20, WarmBytes: 1 << 20} // everything is to leave the disk
				for range 20 {
					forward(time.Minute)
					r.stepAll()
				}
				if again := r.entry(1); again.Cold.Generation != 1 || again.GoodCopies() != tierSet(manifest.TierCold) || again.Resident != again.GoodCopies() {
					t.Errorf("generation %d, copies %v, good ones %v", again.Cold.Generation, again.Resident, again.GoodCopies())
				}
				wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
			})
		}
	}
}

// An eviction asks once, and the object may have been copied since.
func TestAnEvictionAsksTheBucketOnce(t *testing.T) {
	for name, eviction := range evictions {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			r.fill(t, 2, 30)
			for id := range uint64(2) {
				r.mustDo(t, id+1, eviction.before...)
			}
			before := r.engine.Stats().Requests
			r.mustDo(t, 1, eviction.kind)
			if after := r.engine.Stats().Requests; after.Get != before.Get+1 || after.BytesIn != before.BytesIn {
				t.Errorf("before %+v, after %+v", before, after)
			}
			if err := os.Chtimes(r.objectPath(2), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			r.mustDo(t, 2, eviction.kind)
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 60)
		})
	}
}

// A bucket that does not answer says nothing about its objects: the copies stay,
// nothing is marked, and what waits is done by itself when it is back.
func TestEvictionsWaitForABucketThatDoesNotAnswer(t *testing.T) {
	for name, eviction := range evictions {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			forward := r.withClock()
			r.open(t)
			r.fill(t, 2, 30)
			for id := range uint64(2) {
				r.mustDo(t, id+1, eviction.before...)
			}
			r.engine.budgets = planner.Budgets{HotBytes: 1 << 20, WarmBytes: 1 << 20}
			r.driver.Add(buckettest.Rule{Err: buckettest.ErrTransient})
			before := requests(r.driver)
			r.stepAll()
			if n := requests(r.driver) - before; n != 1 {
				t.Errorf("%d requests", n)
			}
			outage := r.engine.Stats().Outage
			if outage.Failures != 1 || !errors.Is(outage.Err, buckettest.ErrTransient) {
				t.Errorf("outage %+v", outage)
			}
			for id := range uint64(2) {
				if entry := r.entry(id + 1); !entry.Resident.Has(eviction.in) || entry.Quarantined != 0 {
					t.Errorf("copies are %v, quarantined %v", entry.Resident, entry.Quarantined)
				}
			}
			r.driver.Clear()
			for range 4 {
				forward(outageDelayMax)
				r.stepAll()
			}
			for id := range uint64(2) {
				if entry := r.entry(id + 1); entry.Resident != tierSet(manifest.TierCold) {
					t.Errorf("copies are %v", entry.Resident)
				}
			}
			if outage := r.engine.Stats().Outage; outage.Failures != 0 {
				t.Errorf("outage %+v", outage)
			}
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 60)
		})
	}
}

// An eviction that a crash cut off behind its record is not carried out by the next
// open on the word of the bucket, which an open does not ask: the copy counts again,
// and is evicted when the bucket has the object.
func TestAnOpenDoesNotEndAnEvictionThatOnlyTheBucketCanAnswerFor(t *testing.T) {
	for name, eviction := range evictions {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 1, eviction.before...)
			path := r.copyPath(eviction.in)
			r.cutEviction(t, eviction.kind, eviction.in)
			object := r.objectPath(1)
			moveDir(t, object, object+".away")
			before := requests(r.driver)
			r.open(t)
			if n := requests(r.driver) - before; n != 0 {
				t.Errorf("the open made %d requests", n)
			}
			if _, err := os.Stat(path); err != nil || !r.entry(1).Resident.Has(eviction.in) {
				t.Fatalf("copies are %v: %v", r.entry(1).Resident, err)
			}
			if err := r.do(eviction.kind, 1); err == nil {
				t.Error("it was evicted")
			}
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
			r.close(t)
			moveDir(t, object+".away", object)
			r.open(t)
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
		})
	}
}
