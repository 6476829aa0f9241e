package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

func (r *tieredRoot) bucketDir() string { return strings.TrimPrefix(r.opts.Bucket, "file://") }

// moveDir moves a directory.
func moveDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A bucket that is not mounted when its root is opened, or an empty mount point,
// is no new bucket: nothing is put or made there, nothing local is dropped, and it
// goes on by itself when the bucket is back.
func TestABucketThatIsNotMountedIsNotMadeAnew(t *testing.T) {
	for name, mountPoint := range map[string]bool{"no directory": false, "an empty mount point": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTieredRoot(t)
			r.open(t)
			r.fill(t, 3, 30)
			if err := r.log.Wait(shortly(t), 90, Cold); err != nil {
				t.Fatal(err)
			}
			r.close(t)
			dir, away := r.bucketDir(), r.bucketDir()+".away"
			moveDir(t, dir, away)
			if mountPoint {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			r.open(t)
			r.fill(t, 1, 30)
			r.wantEvent(t, "the upload failed", func(e Event) bool {
				return e.Kind == EventSegmentUploadFailed && e.Reason == manifest.ReasonUnavailable && e.Err != nil
			})
			eventually(t, "it is an outage", func() bool { return r.engine.Stats().Outage.Failures > 0 })
			if err := r.engine.Stats().Outage.Err; mountPoint && (!errors.Is(err, errOtherBucket) || !strings.Contains(err.Error(), r.log.claimPath())) {
				t.Errorf("the outage is %v", err)
			}
			if entries, err := os.ReadDir(dir); mountPoint && (err != nil || len(entries) > 0) || !mountPoint && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there are %v, %v", entries, err)
			}
			if stopped := r.log.uploadsStopped(); stopped != nil {
				t.Errorf("uploads have stopped for good: %v", stopped)
			}
			if mountPoint {
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
			}
			moveDir(t, away, dir)
			if err := r.log.Wait(shortly(t), 120, Cold); err != nil {
				t.Fatal(err)
			}
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 120)
			wantClaimsDense(t, r, 1, 2)
			if quarantined := r.events.of(EventSegmentQuarantined); len(quarantined) != 0 {
				t.Errorf("told %+v", quarantined)
			}
			eventually(t, "the outage ends", func() bool { return r.engine.Stats().Outage.Failures == 0 })
		})
	}
}

// Whether anybody writes or not: that the bucket is not there is known when the root
// is opened, and that it is back when it is, and no more is asked then.
func TestABucketThatIsAwayAtTheStartIsAnOutageAtOnce(t *testing.T) {
	for name, mountPoint := range map[string]bool{"no directory": false, "an empty mount point": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTieredRoot(t)
			r.opts.ProbeBucket = true
			r.open(t)
			r.fill(t, 1, 30)
			if err := r.log.Wait(shortly(t), 30, Cold); err != nil {
				t.Fatal(err)
			}
			r.close(t)
			dir, away := r.bucketDir(), r.bucketDir()+".away"
			moveDir(t, dir, away)
			if mountPoint {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			r.open(t)
			if outage := r.engine.Stats().Outage; outage.Failures == 0 || outage.Err == nil || outage.Since.IsZero() {
				t.Errorf("outage %+v", outage)
			}
			if entries, err := os.ReadDir(dir); mountPoint && (err != nil || len(entries) > 0) || !mountPoint && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there are %v, %v", entries, err)
			}
			if mountPoint {
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
			}
			moveDir(t, away, dir)
			eventually(t, "the outage ends", func() bool { return r.engine.Stats().Outage.Failures == 0 })
			if wait := r.engine.coordinator.untilRetry(time.Now()); wait < time.Hour {
				t.Errorf("something is asked in %s", wait)
			}
		})
	}
}

// emptiedRoot has two segments that are warm and cold in a bucket that was emptied.
func emptiedRoot(t *testing.T) *tieredRoot {
	t.Helper()
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 2, 30)
	for id := range uint64(2) {
		r.mustDo(t, id+1, planner.Compress, planner.Upload, planner.EvictHot)
	}
	r.close(t)
	if err := os.RemoveAll(r.bucketDir()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.bucketDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	return r
}

func TestABucketThatWasEmptiedTakesNothing(t *testing.T) {
	r := emptiedRoot(t)
	if err := r.do(planner.EvictWarm, 1); !errors.Is(err, errOtherBucket) {
		t.Errorf("evict: %v", err)
	}
	r.fill(t, 1, 30)
	r.mustDo(t, 3, planner.Compress)
	if err := r.do(planner.Upload, 3); !errors.Is(err, errOtherBucket) || errors.Is(err, ErrUploadsStopped) {
		t.Errorf("upload: %v", err)
	}
	for id := range uint64(3) {
		if entry := r.entry(id + 1); !entry.Resident.Has(manifest.TierWarm) || entry.Quarantined != 0 {
			t.Errorf("copies are %v, quarantined %v", entry.Resident, entry.Quarantined)
		}
	}
	if entries, err := os.ReadDir(r.bucketDir()); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if outage := r.engine.Stats().Outage; !errors.Is(outage.Err, errOtherBucket) {
		t.Errorf("outage %+v", outage)
	}
}

// Without its claims, or with another bucket, the log begins anew in a bucket and
// puts there what is on the local disk.
func TestALogBeginsAnewInABucket(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, r *tieredRoot){
		"claims removed": func(t *testing.T, r *tieredRoot) {
			if err := os.Remove(r.log.claimPath()); err != nil {
				t.Fatal(err)
			}
		},
		"another bucket": func(_ *testing.T, r *tieredRoot) { r.opts.Bucket += "/other" },
	} {
		t.Run(name, func(t *testing.T) {
			r := emptiedRoot(t)
			r.close(t)
			begin(t, r)
			for range 2 { // its claims are found again
				r.open(t)
				forward := r.withClock()
				r.open(t)
				r.fill(t, 1, 30)
				r.engine.budgets = planner.Budgets{HotBytes: 1 << 20, WarmBytes: 1 << 20} // everything is to leave the disk
				for range 20 {
					forward(outageDelayMax)
					r.stepAll()
				}
			}
			for entry := range r.log.journal.state().Segments() {
				if entry.Sealed && entry.Resident != tierSet(manifest.TierCold) {
					t.Errorf("segment %d has the copies %v", entry.ID, entry.Resident)
				}
			}
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 120)
		})
	}
}

// Claims of an earlier version, which do not say in which bucket, are of this one.
func TestClaimsThatNameNoBucketAreOfThisOne(t *testing.T) {
	r := emptiedRoot(t)
	known, err := r.log.readClaims()
	if err != nil || known.Made.Bucket != r.opts.Bucket {
		t.Fatalf("claims %+v, %v", known, err)
	}
	known.Made.Bucket = ""
	if err := r.log.writeClaims(known); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.bucketDir()); err != nil {
		t.Fatal(err)
	}
	rootFile := filepath.Join(r.dir, engineFileName)
	r.engine.root.Bucket = ""
	if err := writeJSON(r.opts.FS, rootFile, r.engine.root); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	if _, err := os.Stat(r.bucketDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

// Claims that cannot be read may be of this bucket: nothing is made in its place.
func TestABucketIsNotMadeWhileClaimsCannotBeRead(t *testing.T) {
	r := emptiedRoot(t)
	if err := os.WriteFile(r.log.claimPath(), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.bucketDir()); err != nil {
		t.Fatal(err)
	}
	r.engine.root.Bucket = "file:///elsewhere"
	if err := writeJSON(r.opts.FS, filepath.Join(r.dir, engineFileName), r.engine.root); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	if _, err := os.Stat(r.bucketDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}
