package engine

import (
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// A copy of a root that was written for long without an upload has a later epoch
// than the bucket, and is fenced all the same: the last claim is not its own.
func TestACopyOfLaterEpochsThanTheBucketIsFenced(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload) // epoch 1
	r.close(t)
	other := r.another(t)
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 2, planner.Compress, planner.Upload) // epoch 2
	for range 4 {
		other.open(t)
		other.fill(t, 1, 30)
	}
	other.mustDo(t, 2, planner.Compress)
	wantFenced(t, other, other.do(planner.Upload, 2))
	r.fill(t, 1, 30)
	r.mustDo(t, 3, planner.Compress, planner.Upload)
}
