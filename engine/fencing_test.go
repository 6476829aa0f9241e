package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// wantClaimsDense checks that epochs were claimed from first to last.
func wantClaimsDense(t *testing.T, r *tieredRoot, first, last uint64) {
	t.Helper()
	var got []uint64
	for object, err := range r.log.folder.List(t.Context(), bucket.EpochsPrefix) {
		if err != nil {
			t.Fatal(err)
		}
		epoch, ok := bucket.ParseEpochKey(object.Key)
		if !ok {
			t.Errorf("a claim %q", object.Key)
		}
		got = append(got, epoch)
	}
	if uint64(len(got)) != last-first+1 || got[0] != first || got[len(got)-1] != last {
		t.Errorf("claimed are %v, want %d to %d", got, first, last)
	}
}

// uploadsDone counts what the manifest has in the bucket.
func uploadsDone(r *tieredRoot) (done int) {
	for entry := range r.log.journal.state().Segments() {
		if entry.Resident.Has(manifest.TierCold) {
			done++
		}
	}
	return done
}

func wantFenced(t *testing.T, r *tieredRoot, err error) {
	t.Helper()
	if !errors.Is(err, ErrUploadsStopped) || !errors.Is(err, bucket.ErrFenced) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"is claimed by", "no place but this root", "stop one of the two"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if stopped := r.events.of(EventLogUploadsStopped); len(stopped) == 0 || stopped[0].Reason != manifest.ReasonFenced || !errors.Is(stopped[0].Err, ErrUploadsStopped) {
		t.Errorf("told %+v", stopped)
	}
	failed := r.events.of(EventSegmentUploadFailed)
	if len(failed) == 0 || failed[len(failed)-1].Reason != manifest.ReasonFenced || !errors.Is(failed[len(failed)-1].Err, bucket.ErrFenced) {
		t.Errorf("told %+v", failed)
	}
}

// Of a root and a copy of it with one bucket, one goes on uploading; the other
// learns it, says so, and goes on locally, whatever it is opened again.
func TestOfARootAndItsCopyOneGoesOnUploading(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	r.close(t)
	other := r.another(t)
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 2, planner.Compress, planner.Upload) // epoch 2
	other.open(t)
	other.fill(t, 2, 25)
	other.mustDo(t, 2, planner.Compress)
	wantFenced(t, other, other.do(planner.Upload, 2))
	if uploadsDone(other) != 1 {
		t.Errorf("the copy has %d uploads done", uploadsDone(other))
	}
	for range 3 { // no later epoch of its own makes it the owner
		other.open(t)
		other.fill(t, 1, 5)
		wantFenced(t, other, other.do(planner.Upload, 2))
		before := requests(other.driver)
		if err := other.log.Wait(shortly(t), 60, Cold); !errors.Is(err, ErrUploadsStopped) {
			t.Errorf("wait for cold: %v", err)
		}
		for _, action := range other.engine.coordinator.plan(other.engine.opts.Now()) {
			if action.Kind == planner.Upload {
				t.Errorf("planned %+v", action)
			}
		}
		if n := requests(other.driver) - before; n != 0 {
			t.Errorf("%d requests after it was fenced", n)
		}
	}
	wantTiered(t, readAll(t, other.log, ReadOptions{}), 1, 1, 30+2*25+3*5)
	r.fill(t, 1, 30)
	r.mustDo(t, 3, planner.Compress, planner.Upload)
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 4, planner.Compress, planner.Upload)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 120)
	wantClaimsDense(t, r, 1, 3)
}

// An owner that is fenced between its PUT and the record of it records nothing.
func TestAnOwnerThatIsFencedAfterThePutRecordsNoUpload(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	r.fill(t, 1, 30)
	r.mustDo(t, 2, planner.Compress)
	if err := r.log.folder.Claim(t.Context(), 2, bucket.Owner{Name: "other", Token: "other"}); err != nil {
		t.Fatal(err)
	}
	puts := r.driver.Counts().Puts
	wantFenced(t, r, r.do(planner.Upload, 2))
	if r.driver.Counts().Puts != puts+1 || r.entry(2).Resident.Has(manifest.TierCold) {
		t.Errorf("resident %v", r.entry(2).Resident)
	}
	for upload := range r.log.journal.state().Uploads() {
		if upload.Failure.Reason != manifest.ReasonFenced {
			t.Errorf("upload %+v", upload)
		}
	}
	if err := r.do(planner.EvictHot, 2); err != nil {
		t.Errorf("it goes on locally: %v", err)
	}
	r.fill(t, 1, 30)
	r.open(t)
	wantFenced(t, r, r.do(planner.Upload, 2))
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 90)
}

// A claim whose answer was lost, or after which the process died, is found
// again as this root's own.
func TestAClaimThatWasCutOffIsTakenForOnesOwn(t *testing.T) {
	for name, rule := range map[string]buckettest.Rule{
		"answer lost": {Op: buckettest.OpPut, KeyPattern: "epochs/*", Fault: buckettest.LoseAnswer, Times: 1},
		"not made":    {Op: buckettest.OpPut, KeyPattern: "epochs/*", Times: 1},
		"identity":    {Op: buckettest.OpPut, KeyPattern: "log.json", Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 1, planner.Compress)
			r.driver.Add(rule)
			_ = r.do(planner.Upload, 1)
			for n := range 3 {
				r.driver.Clear()
				r.open(t)
				r.fill(t, 1, 30)
				r.mustDo(t, uint64(n+2), planner.Compress)
				r.mustDo(t, uint64(n+1), planner.Upload)
				r.driver.Add(rule)
			}
			r.driver.Clear()
			first := uint64(1)
			if name == "not made" {
				first = 2 // before any claim there is nobody to leave a gap to
			}
			wantClaimsDense(t, r, first, 4)
		})
	}
}

// Epochs that were taken without an upload leave no gap among the claims.
func TestClaimsHaveNoGap(t *testing.T) {
	r := newTieredRoot(t).stepped()
	for range 4 {
		r.open(t)
		r.fill(t, 1, 10)
	}
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	wantClaimsDense(t, r, r.log.mu.epoch, r.log.mu.epoch)
	for range 3 {
		r.open(t)
		r.fill(t, 1, 10)
	}
	r.mustDo(t, 2, planner.Compress, planner.Upload)
	wantClaimsDense(t, r, 4, 7)
}

// Two logs of one name in one bucket never meet.
func TestLogsOfOneNameShareABucketAndNothingElse(t *testing.T) {
	r := newTieredRoot(t).stepped()
	other := *r
	other.dir, other.engine, other.opts.FS = filepath.Join(t.TempDir(), "other"), nil, vfs.OS()
	other.driver, other.opts.wrapBucket = buckettest.Between()
	for _, root := range []*tieredRoot{r, &other} {
		root.open(t)
		root.fill(t, 1, 40)
		root.mustDo(t, 1, planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
	}
	for _, root := range []*tieredRoot{r, &other} {
		wantTiered(t, readAll(t, root.log, ReadOptions{}), 1, 1, 40)
		wantClaimsDense(t, root, 1, 1)
	}
	if r.log.folder.Name() == other.log.folder.Name() {
		t.Error("both have one folder")
	}
}

// Another object at a key stops the uploads of that log, and says which.
func TestAnotherObjectAtAKeyStopsTheUploads(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 2, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	r.mustDo(t, 2, planner.Compress)
	foreign, err := os.ReadFile(r.objectPath(1))
	if err != nil {
		t.Fatal(err)
	}
	key := bucket.SegmentKey{ID: 2, First: 31, Last: 60}.String()
	path := filepath.Join(filepath.Dir(r.objectPath(1)), key[strings.LastIndex(key, "/")+1:])
	if err := os.WriteFile(path, foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	err = r.do(planner.Upload, 2)
	if !errors.Is(err, ErrUploadsStopped) || !errors.Is(err, errOtherObject) || !strings.Contains(err.Error(), key) {
		t.Fatalf("got %v", err)
	}
	if now, readErr := os.ReadFile(path); readErr != nil || string(now) != string(foreign) {
		t.Errorf("the other object was touched: %v", readErr)
	}
	if err := r.log.Wait(shortly(t), 60, Cold); !errors.Is(err, ErrUploadsStopped) {
		t.Errorf("wait for cold: %v", err)
	}
	if entry := r.entry(2); entry.Resident.Has(manifest.TierCold) || entry.Quarantined != 0 {
		t.Errorf("copies %v, quarantined %v", entry.Resident, entry.Quarantined)
	}
	r.fill(t, 1, 30)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 90)
}
