package bucket_test

import (
	"errors"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Crashes at every operation of the disk under a file:// bucket.

// crashed runs change on a disk that stops at its n-th operation, cuts the power
// and opens the bucket again. It reports whether the disk came to stop.
func crashed(t *testing.T, seed uint64, n int, change func(*bucket.Folder), after func(*bucket.Folder)) bool {
	t.Helper()
	disk := vfs.NewMem(seed)
	opts := bucket.Options{URL: "file:///disk/bucket", FS: disk}
	prepare, _ := open(t, opts)
	check(t, prepare.Probe(ctx))
	check(t, prepare.Close())
	first, folder := open(t, opts)
	disk.HaltAt(n)
	change(folder)
	halted := disk.Halted()
	disk.PowerCut()
	_ = first.Close() // of a dead process
	second, folder := open(t, opts)
	after(folder)
	check(t, second.Close())
	checkNothingOpen(t, disk)
	return halted
}

func TestAnAcknowledgedObjectSurvivesAPowerCut(t *testing.T) {
	outcomes := map[string]int{}
	content := string(pattern(9000))
	for seed := uint64(1); seed <= 20; seed++ {
		for n, halted := 1, true; halted; n++ {
			var acknowledged error
			halted = crashed(t, seed, n,
				func(f *bucket.Folder) { _, acknowledged = f.Put(ctx, "segments/a", text(content)) },
				func(f *bucket.Folder) {
					data, err := f.ReadAll(ctx, "segments/a", 1<<20)
					switch {
					case err == nil && string(data) == content:
						outcomes["whole"]++
					case errors.Is(err, bucket.ErrMissing) && acknowledged != nil:
						outcomes["absent"]++
					default:
						t.Fatalf("seed %d, crash at %d: put %v, then %d bytes, %v", seed, n, acknowledged, len(data), err)
					}
				})
		}
	}
	if outcomes["whole"] == 0 || outcomes["absent"] == 0 {
		t.Errorf("only saw %v", outcomes)
	}
}

func TestAClaimThatWasGrantedKeepsARivalOutAfterAPowerCut(t *testing.T) {
	outcomes := map[string]int{}
	for seed := uint64(1); seed <= 20; seed++ {
		for n, halted := 1, true; halted; n++ {
			var granted error
			halted = crashed(t, seed, n,
				func(f *bucket.Folder) { granted = f.Claim(ctx, 1, owner) },
				func(f *bucket.Folder) {
					err := f.Claim(ctx, 1, rival)
					var fenced *bucket.FencedError
					switch {
					case errors.As(err, &fenced) && fenced.Holder == owner:
						outcomes["fenced"]++
					case err == nil && granted != nil:
						outcomes["free"]++
					default:
						t.Fatalf("seed %d, crash at %d: the owner got %v, the rival %v", seed, n, granted, err)
					}
				})
		}
	}
	if outcomes["fenced"] == 0 || outcomes["free"] == 0 {
		t.Errorf("only saw %v", outcomes)
	}
}
