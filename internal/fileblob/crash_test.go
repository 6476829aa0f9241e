package fileblob_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Crashes at every operation of the simulated disk.

const seeds = 40

// absent stands for the content of a key that is not there.
const absent = "(absent)"

var oldContent, newContent = strings.Repeat("old", 4000), strings.Repeat("new", 5000)

// change is something done to a key, and what the key may hold before and after.
type change struct {
	name   string
	key    string
	run    func(bucket *blob.Bucket, key string) error
	before string
	after  string
}

var changes = []change{
	{"create", "log/segments/a", func(b *blob.Bucket, key string) error { return put(b, key, newContent, true) }, absent, newContent},
	{"create in a new directory", "log/new/deep/a", func(b *blob.Bucket, key string) error { return put(b, key, newContent, true) }, absent, newContent},
	{"overwrite", "log/segments/b", func(b *blob.Bucket, key string) error { return put(b, key, newContent, false) }, oldContent, newContent},
	{"delete", "log/segments/c", func(b *blob.Bucket, key string) error { return b.Delete(context.Background(), key) }, oldContent, absent},
}

// prepared is a disk with a bucket in which each change finds what it expects.
func prepared(t *testing.T, seed uint64) (*vfs.Mem, *blob.Bucket) {
	t.Helper()
	disk := vfs.NewMem(seed)
	bucket := open(t, disk, bucketDir, seeded(seed))
	for _, c := range changes {
		if c.before != absent {
			check(t, put(bucket, c.key, c.before, true))
		}
	}
	return disk, bucket
}

// held is what a reader finds.
func held(t *testing.T, bucket *blob.Bucket, key string) string {
	t.Helper()
	content, err := get(bucket, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return absent
	}
	check(t, err)
	return content
}

func checkHeld(t *testing.T, bucket *blob.Bucket, c change, confirmed bool) string {
	t.Helper()
	got := held(t, bucket, c.key)
	switch {
	case got == c.after:
		return "after"
	case got == c.before && !confirmed:
		return "before"
	}
	t.Fatalf("%s, confirmed %v: the key holds %d bytes: %.20q", c.name, confirmed, len(got), got)
	return ""
}

// checkListing compares the listing with what can be read.
func checkListing(t *testing.T, bucket *blob.Bucket) {
	t.Helper()
	var want []string
	for _, c := range changes {
		if held(t, bucket, c.key) != absent {
			want = append(want, c.key)
		}
	}
	slices.Sort(want)
	if got := list(t, bucket); !slices.Equal(got, want) {
		t.Fatalf("listed %q, readable are %q", got, want)
	}
}

// TestEveryCrashLeavesWholeObjects cuts the power at each operation of each
// change.
func TestEveryCrashLeavesWholeObjects(t *testing.T) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			outcomes := map[string]int{}
			for seed := uint64(1); seed <= seeds; seed++ {
				for n := 1; ; n++ {
					disk, bucket := prepared(t, seed)
					disk.HaltAt(n)
					confirmed := c.run(bucket, c.key) == nil
					halted := disk.Halted()
					disk.PowerCut()
					_ = bucket.Close() // of a dead process
					again := open(t, disk, bucketDir, seeded(seed+1000))
					outcome := checkHeld(t, again, c, confirmed)
					checkListing(t, again)
					check(t, put(again, "later", "x", true))
					checkSwept(t, disk, again)
					outcomes[fmt.Sprintf("%s, confirmed %v", outcome, confirmed)]++
					if !halted {
						break
					}
				}
			}
			for _, want := range []string{"before, confirmed false", "after, confirmed false", "after, confirmed true"} {
				if outcomes[want] == 0 {
					t.Errorf("never seen: %s (%v)", want, outcomes)
				}
			}
		})
	}
}

// checkSwept closes the bucket and looks for what it or a dead one left.
func checkSwept(t *testing.T, disk *vfs.Mem, bucket *blob.Bucket) {
	t.Helper()
	check(t, bucket.Close())
	entries, err := disk.ReadDir(bucketDir + "/.tmp")
	check(t, err)
	if len(entries) != 0 {
		t.Fatalf("left over: %v", entries)
	}
	checkNothingOpen(t, disk)
}

// TestWhatWasAnsweredSurvivesAPowerCut kills the process at each operation of a
// change, asks a new process about the key, and cuts the power.
func TestWhatWasAnsweredSurvivesAPowerCut(t *testing.T) {
	ctx := context.Background()
	questions := map[string]func(t *testing.T, bucket *blob.Bucket, c change) (want string, answered bool){
		"attributes": func(t *testing.T, bucket *blob.Bucket, c change) (string, bool) {
			found, err := bucket.Attributes(ctx, c.key)
			if err != nil || found.Size != int64(len(c.after)) {
				return "", false
			}
			return c.after, true
		},
		"list": func(t *testing.T, bucket *blob.Bucket, c change) (string, bool) {
			return newContent, slices.Contains(list(t, bucket), c.key) && c.before == absent
		},
		"create": func(t *testing.T, bucket *blob.Bucket, c change) (string, bool) {
			if c.before != absent {
				return "", false
			}
			err := put(bucket, c.key, newContent, true)
			if err != nil && gcerrors.Code(err) != gcerrors.FailedPrecondition {
				t.Fatal(err)
			}
			return newContent, true
		},
		"delete": func(t *testing.T, bucket *blob.Bucket, c change) (string, bool) {
			err := bucket.Delete(ctx, c.key)
			if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
				t.Fatal(err)
			}
			return absent, true
		},
	}
	for question, ask := range questions {
		t.Run(question, func(t *testing.T) {
			answers := 0
			for _, c := range changes {
				for seed := uint64(1); seed <= seeds/4; seed++ {
					for n, halted := 1, true; halted; n++ {
						disk, bucket := prepared(t, seed)
						disk.HaltAt(n)
						_ = c.run(bucket, c.key)
						halted = disk.Halted()
						disk.ProcessCrash()
						_ = bucket.Close() // of a dead process
						again := open(t, disk, bucketDir, seeded(seed+1000))
						want, answered := ask(t, again, c)
						disk.PowerCut()
						_ = again.Close() // dead too
						if !answered {
							continue
						}
						answers++
						last := open(t, disk, bucketDir, nil)
						if got := held(t, last, c.key); got != want {
							t.Fatalf("%s, crash at %d, seed %d: answered for %.20q, holds %.20q", c.name, n, seed, want, got)
						}
						check(t, last.Close())
					}
				}
			}
			if answers == 0 {
				t.Error("nothing was ever answered")
			}
		})
	}
}

// TestAFailedSyncOfTheNameIsAnError is the case that a look at the key
// alone would get wrong: the name is there, and not durable.
func TestAFailedSyncOfTheNameIsAnError(t *testing.T) {
	for n := 1; n <= 8; n++ {
		disk, bucket := prepared(t, 1)
		disk.FailSync(n)
		err := put(bucket, "log/segments/a", newContent, true)
		disk.FailSync(0)
		if n <= 3 && err == nil { // the file, the parent of its directory, its directory
			t.Errorf("sync %d failed and the object was confirmed", n)
		}
		if err != nil {
			// The retry must not be content with the name.
			if err := put(bucket, "log/segments/a", newContent, true); err != nil && gcerrors.Code(err) != gcerrors.FailedPrecondition {
				t.Fatal(err)
			}
		}
		disk.PowerCut()
		_ = bucket.Close() // of a dead process
		again := open(t, disk, bucketDir, nil)
		if got := held(t, again, "log/segments/a"); got != newContent {
			t.Errorf("sync %d failed, tried again: holds %.20q", n, got)
		}
		check(t, again.Close())
	}
}
