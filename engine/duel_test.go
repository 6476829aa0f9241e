package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// A duel is two roots of one log with one bucket, all on one disk: while one of them
// uploads its segment 2, at each operation of that, the other takes the log over. The
// first is paused meanwhile and goes on, or it was killed and comes back.

type duel struct {
	disk          *vfs.Mem
	victim, rival *tieredRoot
	opened        uint64
	rivalErr      error
}

// open opens a root of the duel, as a new process would.
func (d *duel) open(t *testing.T, dir string) *tieredRoot {
	t.Helper()
	d.opened++
	return openMovesIn(t, dir, 1000*d.opened, d.disk, nil)
}

// newDuel makes the original and a copy of it, with the same records in segment 2 or
// with other ones, and closes the rival.
func newDuel(t *testing.T, seed uint64, original, same bool) *duel {
	t.Helper()
	d := &duel{disk: vfs.NewMem(seed)}
	first := d.open(t, simRoot)
	first.fill(t, 1, 15)
	first.mustDo(t, 1, planner.Compress, planner.Upload)
	if same {
		first.fill(t, 1, 15)
	}
	copyDisk(t, d.disk, simRoot, "other")
	second := d.open(t, "other")
	if !same {
		first.fill(t, 1, 15)
		second.appendStale(t, 15)
		second.seal(t)
	}
	first.mustDo(t, 2, planner.Compress)
	second.mustDo(t, 2, planner.Compress)
	d.victim, d.rival = first, second
	if !original {
		d.victim, d.rival = second, first
	}
	if err := d.rival.engine.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

func copyDisk(t *testing.T, disk *vfs.Mem, from, to string) {
	t.Helper()
	if err := disk.MkdirAll(to); err != nil {
		t.Fatal(err)
	}
	entries, err := disk.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		if entry.IsDir() {
			copyDisk(t, disk, source, target)
			continue
		}
		contents, err := vfs.ReadFile(disk, source, 1<<30)
		if err == nil {
			err = vfs.WriteFileAtomic(disk, target, contents)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// rivalActs lets the rival come and upload its segment 2.
func (d *duel) rivalActs(t *testing.T) {
	t.Helper()
	d.rival = d.open(t, d.rival.dir)
	d.rivalErr = d.rival.do(planner.Upload, 2)
}

// paused runs the victim's upload, and the rival in front of its n-th operation. It
// reports whether there was one.
func (d *duel) paused(t *testing.T, n int) (acted bool, err error) {
	t.Helper()
	count := 0
	d.disk.BeforeOperation(func(vfs.Operation) {
		if count++; count == n {
			d.disk.BeforeOperation(nil)
			acted = true
			d.rivalActs(t)
		}
	})
	err = d.victim.do(planner.Upload, 2)
	d.disk.BeforeOperation(nil)
	return acted, err
}

// killed kills the victim in front of the n-th operation of its upload; the rival
// acts, and the victim comes back. It reports whether there was such an operation.
func (d *duel) killed(t *testing.T, n int) (acted bool, err error) {
	t.Helper()
	acted = func() (crashed bool) {
		defer func() {
			if cause := recover(); cause != nil {
				if _, crashed = cause.(vfs.Crashed); !crashed {
					panic(cause)
				}
			}
		}()
		d.disk.CrashAt(n)
		_ = d.victim.do(planner.Upload, 2)
		return false
	}()
	d.disk.CrashAt(0)
	d.disk.ProcessCrash()
	d.rivalActs(t)
	d.victim = d.open(t, d.victim.dir)
	if d.victim.entry(2).Resident.Has(manifest.TierCold) {
		return acted, nil
	}
	return acted, d.victim.do(planner.Upload, 2)
}

// wantLost checks a root that did not get its segment 2 into the bucket: nothing
// counts on the bucket, and all is there to be read.
func (d *duel) wantLost(t *testing.T, what string, r *tieredRoot, err error, hits map[string]int) {
	t.Helper()
	if !errors.Is(err, ErrUploadsStopped) || !errors.Is(err, bucket.ErrFenced) && !errors.Is(err, errOtherRecords) {
		t.Fatalf("%s: got %v", what, err)
	}
	for open := range r.log.journal.state().Uploads() {
		if errors.Is(err, bucket.ErrFenced) && open.Failure.Reason != manifest.ReasonFenced {
			t.Fatalf("%s: upload %+v", what, open)
		}
		hits["intent of the loser"]++
	}
	for range 20 {
		if !r.engine.coordinator.step() {
			break
		}
	}
	if copies := r.entry(2).GoodCopies(); copies.Has(manifest.TierCold) || copies == 0 {
		t.Fatalf("%s: copies %s", what, copies)
	}
	if cold := r.log.cold.Load(); cold != 15 {
		t.Fatalf("%s: cold up to %d", what, cold)
	}
	if records := readAll(t, r.log, ReadOptions{}); len(records) != 30 {
		t.Fatalf("%s: %d records", what, len(records))
	}
}

// wantWon checks the root that has the log, and that the bucket has what it has.
func (d *duel) wantWon(t *testing.T, what string, r *tieredRoot) {
	t.Helper()
	want := readAll(t, r.log, ReadOptions{})
	for range 20 {
		if !r.engine.coordinator.step() {
			break
		}
	}
	if copies := r.entry(2).Resident; copies != tierSet(manifest.TierCold) || r.log.cold.Load() != 30 || len(want) != 30 {
		t.Fatalf("%s: copies %s, cold up to %d, %d records", what, copies, r.log.cold.Load(), len(want))
	}
	e, err := openBucketOnly("file:///bucket", Options{BucketFS: d.disk, manual: true})
	if err != nil {
		t.Fatal(err)
	}
	alone, err := e.OpenLog("orders", LogOptions{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got := readAll(t, alone, ReadOptions{})
	if len(got) != len(want) {
		t.Fatalf("%s: the bucket has %d records", what, len(got))
	}
	for i := range want {
		if got[i].Seq != want[i].Seq || string(got[i].Payload) != string(want[i].Payload) {
			t.Fatalf("%s: the bucket has another record %d", what, want[i].Seq)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whoever overtakes whom, and at whatever operation of an upload, one of both roots
// has the log. The other records no UploadDone, drops nothing because of the bucket,
// and reads on; why is recorded for the intent that it had.
func TestOneOfTwoOwnersHasTheLogWheneverTheOtherComes(t *testing.T) {
	hits := make(map[string]int)
	for _, original := range []bool{true, false} {
		for _, same := range []bool{true, false} {
			for _, kill := range []bool{false, true} {
				for n, acted := 1, true; acted; n++ {
					what := fmt.Sprintf("original %t, same records %t, killed %t, operation %d", original, same, kill, n)
					d := newDuel(t, uint64(n), original, same)
					var err error
					if kill {
						acted, err = d.killed(t, n)
					} else if acted, err = d.paused(t, n); !acted {
						break
					}
					if err == nil {
						d.wantWon(t, what, d.victim)
						hits["the first wins"]++
					} else {
						d.wantLost(t, what, d.victim, err, hits)
						hits["the first is overtaken"]++
					}
					if d.rivalErr == nil {
						d.wantWon(t, what, d.rival)
						hits["the other wins"]++
					} else {
						d.wantLost(t, what, d.rival, d.rivalErr, hits)
					}
					if err != nil && d.rivalErr != nil || !same && err == nil && d.rivalErr == nil {
						t.Fatalf("%s: %v, %v", what, err, d.rivalErr)
					}
				}
			}
		}
	}
	t.Logf("saw %v", hits)
	for _, situation := range []string{"intent of the loser", "the first wins", "the first is overtaken", "the other wins"} {
		if hits[situation] < 5 {
			t.Errorf("saw %v", hits)
		}
	}
}
