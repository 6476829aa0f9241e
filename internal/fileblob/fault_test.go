package fileblob_test

import (
	"fmt"
	"syscall"
	"testing"

	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Errors of the disk at every operation.

func TestEveryFailedOperationLeavesWholeObjects(t *testing.T) {
	for _, c := range changes {
		for _, cause := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			for _, doFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/done first %v", c.name, cause, doFirst), func(t *testing.T) {
					failed := 0
					for n := 0; ; n++ {
						disk, prepare := prepared(t, 7)
						check(t, prepare.Close())
						faulty := vfs.NewFaulty(disk)
						bucket := open(t, faulty, bucketDir, seeded(9))
						rule := faulty.Add(vfs.Rule{After: n, Times: 1, Err: cause, DoFirst: doFirst})
						err := c.run(bucket, c.key)
						applied := rule.Applied() > 0
						faulty.Clear()
						outcome := checkHeld(t, bucket, c, err == nil)
						if err != nil {
							failed++
							if cause == syscall.ENOSPC && gcerrors.Code(err) != gcerrors.ResourceExhausted {
								t.Errorf("operation %d: code %v of %v", n, gcerrors.Code(err), err)
							}
							if err := c.run(bucket, c.key); err != nil && outcome == "before" {
								t.Errorf("operation %d: tried again: %v", n, err)
							}
							checkHeld(t, bucket, c, true)
						}
						checkSwept(t, disk, bucket)
						if !applied {
							break
						}
					}
					if failed < 3 {
						t.Errorf("only %d operations could fail", failed)
					}
				})
			}
		}
	}
}

func TestAFullDiskTakesNoPartOfAnObject(t *testing.T) {
	disk := vfs.NewMem(1)
	bucket := open(t, disk, bucketDir, seeded(1))
	check(t, put(bucket, "a", oldContent, true))
	disk.SetCapacity(20 << 10)
	err := put(bucket, "b", newContent, true)
	if gcerrors.Code(err) != gcerrors.ResourceExhausted {
		t.Errorf("got %v", err)
	}
	if got := held(t, bucket, "b"); got != absent {
		t.Errorf("holds %d bytes", len(got))
	}
	usage, err := disk.Usage(bucketDir)
	check(t, err)
	disk.SetCapacity(0)
	if usage.FreeBytes < 4096 {
		t.Errorf("%d bytes free: what was written is still there", usage.FreeBytes)
	}
	check(t, put(bucket, "b", newContent, true))
	checkSwept(t, disk, bucket)
}

func TestALinkThatSaysItsOwnNameIsTakenHasWorked(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.OS())
	bucket := open(t, faulty, t.TempDir(), nil)
	faulty.Add(vfs.Rule{Op: vfs.OpLink, Times: 1, Err: syscall.EEXIST, DoFirst: true})
	check(t, put(bucket, "a", "mine", true))
	if err := put(bucket, "a", "other", true); gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("got %v", err)
	}
	check(t, bucket.Close())
}

func TestAFileSystemWithoutLinksIsNamed(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem(1))
	bucket := open(t, faulty, bucketDir, nil)
	faulty.Add(vfs.Rule{Op: vfs.OpLink, Err: syscall.EPERM})
	if err := put(bucket, "a", "x", true); gcerrors.Code(err) != gcerrors.Unimplemented {
		t.Errorf("got %v", err)
	}
	check(t, bucket.Close())
}
