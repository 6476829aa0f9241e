package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// wantDiverged checks that uploads have stopped because of an object.
func wantDiverged(t *testing.T, r *tieredRoot, err error, object string) {
	t.Helper()
	if !errors.Is(err, ErrUploadsStopped) || !errors.Is(err, errOtherRecords) || !strings.Contains(err.Error(), object) {
		t.Fatalf("got %v", err)
	}
	if len(r.events.of(EventLogUploadsStopped)) == 0 {
		t.Error("nobody was told")
	}
}

// A copy of a running root knows the root's claim as its own. What the root has
// put since then keeps it from taking the log over once it has records of its own
// there, before it claims anything: the root goes on.
func TestACopyOfARunningRootThatHasOtherRecordsClaimsNothing(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	other := r.another(t)
	other.open(t)
	other.fill(t, 1, 20)
	r.fill(t, 1, 30)
	r.mustDo(t, 2, planner.Compress, planner.Upload)
	for id := uint64(2); id <= 3; id++ {
		other.mustDo(t, id, planner.Compress)
		wantDiverged(t, other, other.do(planner.Upload, 2), "_31-60_g0.zst of epoch 1")
		other.open(t)
		other.fill(t, 1, 20)
	}
	wantTiered(t, readAll(t, other.log, ReadOptions{}), 1, 1, 90)
	r.fill(t, 1, 30)
	r.mustDo(t, 3, planner.Compress, planner.Upload)
	wantClaimsDense(t, r, 1, 1)
}

// A copy that takes a log over with what its owner has put, and no more, does so.
func TestACopyOfARunningRootWithTheSameRecordsTakesTheLogOver(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 2, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	other := r.another(t)
	r.mustDo(t, 2, planner.Compress, planner.Upload)
	other.open(t)
	other.fill(t, 1, 20)
	other.mustDo(t, 2, planner.Compress, planner.Upload)
	other.mustDo(t, 3, planner.Compress, planner.Upload)
	r.fill(t, 1, 30)
	r.mustDo(t, 3, planner.Compress)
	wantFenced(t, r, r.do(planner.Upload, 3))
	wantClaimsDense(t, other, 1, 2)
}

// What an overtaken owner put too late does not stop its successor, however often
// that is opened again.
func TestWhatWasPutTooLateDoesNotStopTheOwner(t *testing.T) {
	successor := overtaken(t, 25)
	for id := uint64(5); id <= 6; id++ {
		successor.open(t)
		successor.fill(t, 1, 20)
		successor.mustDo(t, id, planner.Compress, planner.Upload)
	}
	successor.mustDo(t, 2, planner.Upload)
	successor.mustDo(t, 3, planner.Upload)
	wantTiered(t, readAll(t, successor.log, ReadOptions{}), 1, 1, 130)
}

// A look that was cut off behind the claim is made again, in this process or the
// next, before anything is put.
func TestALookThatWasCutOffBehindTheClaimIsMadeAgain(t *testing.T) {
	for _, again := range []bool{false, true} {
		r := newTieredRoot(t).stepped()
		r.open(t)
		r.fill(t, 2, 30)
		r.mustDo(t, 1, planner.Compress, planner.Upload)
		r.mustDo(t, 2, planner.Compress)
		other := r.another(t)
		other.open(t)
		other.fill(t, 1, 20)
		other.mustDo(t, 2, planner.Compress)
		// It looks, claims, and cannot look again; then comes what the owner had
		// on its way.
		other.driver.Add(buckettest.Rule{Op: buckettest.OpList, KeyPattern: "segments/", After: 1})
		if err := other.do(planner.Upload, 2); err == nil || errors.Is(err, ErrUploadsStopped) {
			t.Fatalf("got %v", err)
		}
		other.driver.Clear()
		r.fill(t, 1, 30)
		r.mustDo(t, 3, planner.Compress)
		wantFenced(t, r, r.do(planner.Upload, 3))
		if again {
			other.open(t)
		}
		wantDiverged(t, other, other.do(planner.Upload, 2), "_61-90_g0.zst of epoch 1")
	}
}
