package engine

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// A claim in the bucket has no checksum but its form: one that does not decode is
// damage, though it still keeps others out.
func TestCheckFindsAClaimThatDoesNotDecode(t *testing.T) {
	r := newColdOnlyRoot(t)
	r.close(t)
	claims, err := filepath.Glob(filepath.Join(strings.TrimPrefix(r.opts.Bucket, "file://"), "orders.*+", "epochs+", "*"))
	must(t, err)
	slices.Sort(claims)
	if len(claims) < 2 {
		t.Fatal(claims)
	}
	for i, path := range claims {
		isLast := i == len(claims)-1
		for _, at := range []int64{0, 2, 12} { // the brace, a name, the epoch
			changeFile(t, path, flipAt(at))
			for _, place := range []string{r.dir, r.opts.Bucket} {
				for _, deep := range []bool{false, true} {
					damage := checkPlace(t, place, CheckOptions{Deep: deep}).Logs[0].Damage
					want := deep || isLast
					if found := len(damage) == 1; found != want || found && (damage[0].Part != PartBucket || damage[0].Cost != CostNone) {
						t.Errorf("claim %d of %d, byte %d, deep %v: %v", i+1, len(claims), at, deep, damage)
					}
				}
			}
			changeFile(t, path, flipAt(at))
		}
	}
	if damage := checkPlace(t, r.dir, CheckOptions{Deep: true}).Logs[0].Damage; len(damage) > 0 {
		t.Errorf("flipped back: %v", damage)
	}
}

// Without its claim.json a root cannot show that the bucket is its own: nothing is
// uploaded or dropped, and the error says what to do.
func TestADamagedClaimFileStopsUploadsAndSaysWhatToDo(t *testing.T) {
	r := newColdOnlyRoot(t)
	r.close(t)
	path := filepath.Join(newLogLayout(r.dir, "orders").dir, claimFileName)
	changeFile(t, path, flipAt(0))
	damage := checkPlace(t, r.dir, CheckOptions{}).Logs[0].Damage
	if len(damage) != 1 || damage[0].Path != path || !strings.Contains(damage[0].Reason, "write it anew") {
		t.Errorf("the check says %v", damage)
	}
	r.open(t)
	r.fill(t, 1, 40)
	id := r.log.journal.state().LastSegment().ID
	r.mustDo(t, id, planner.Compress)
	if err := r.do(planner.Upload, id); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "write it anew") {
		t.Errorf("an upload says %v", err)
	}
	if last, err := readPrefix(t.Context(), r.log); err != nil || last != 160 {
		t.Errorf("read to %d: %v", last, err)
	}
	changeFile(t, path, flipAt(0))
	r.mustDo(t, id, planner.Upload)
}

// What log.json in the bucket says stands in the name of its folder too.
func TestABucketWhoseLogFileIsDamagedIsReadAlone(t *testing.T) {
	r := newColdOnlyRoot(t)
	r.close(t)
	paths, err := filepath.Glob(filepath.Join(strings.TrimPrefix(r.opts.Bucket, "file://"), "orders.*+", "log.json"))
	must(t, err)
	changeFile(t, paths[0], flipAt(0))
	e, err := OpenReadOnly(r.opts.Bucket)
	must(t, err)
	if last, err := readPrefix(t.Context(), openLogTest(t, e, LogOptions{})); err != nil || last != 120 {
		t.Errorf("read to %d: %v", last, err)
	}
	must(t, e.Close())
}
