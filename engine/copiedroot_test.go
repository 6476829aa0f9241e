package engine

import (
	"slices"
	"strings"
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

// The error of the root that was overtaken and the check of it say which root has
// the log now, and since when this one's records are nowhere else.
func TestTheOwnerIsNamedToTheRootThatWasOvertaken(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.opts.Owner = "machine-a:" + r.dir
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	r.close(t)
	other := r.another(t)
	other.opts.Owner = "machine-b:" + other.dir
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 2, planner.Compress, planner.Upload)
	other.open(t)
	other.fill(t, 1, 25)
	other.mustDo(t, 2, planner.Compress)
	err := other.do(planner.Upload, 2)
	wantFenced(t, other, err)
	for _, part := range []string{"epoch 2 of orders.", r.opts.Owner, "behind sequence 30 ", "from sequence 31 on"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if stopped := other.log.State().UploadsStopped; stopped == nil || stopped.Error() != other.log.uploadsStopped().Error() {
		t.Errorf("the state says %v", stopped)
	}
	for root, parts := range map[*tieredRoot][]string{
		r: nil, other: {"epochs/", r.opts.Owner, "last claim of this root is epoch 1", "behind sequence 30 "},
	} {
		root.close(t)
		report, err := Check(t.Context(), root.dir, CheckOptions{})
		if err != nil {
			t.Fatal(err)
		}
		owned := slices.DeleteFunc(report.Logs[0].Notes, func(f Finding) bool { return !strings.Contains(f.Reason, "another root owns the log") })
		if len(parts) == 0 != (len(owned) == 0) {
			t.Errorf("notes %v", owned)
		}
		for _, part := range parts {
			if !strings.Contains(owned[0].String(), part) {
				t.Errorf("%q does not say %q", owned[0], part)
			}
		}
	}
}
