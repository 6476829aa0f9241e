package vfs_test

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestMkdirAllSyncSyncsEachParent(t *testing.T) {
	disk := vfs.NewMem(1)
	check(t, vfs.MkdirAllSync(disk, "/x"))
	traced := vfs.NewTraced(disk, "/")
	check(t, vfs.MkdirAllSync(traced, "/x/y/z/"))
	want := []string{"sync-dir .", "mkdir x/y", "sync-dir x", "mkdir x/y/z", "sync-dir x/y"}
	if got := traced.Lines(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	check(t, vfs.MkdirAllSync(disk, "relative/path"))
	check(t, vfs.MkdirAllSync(disk, "/"))
	check(t, vfs.MkdirAllSync(disk, "."))
}

func TestMkdirAllSyncRefusesAFileInTheWay(t *testing.T) {
	disk := vfs.NewMem(1)
	check(t, vfs.WriteFileAtomic(disk, "/a", nil))
	wantError(t, vfs.MkdirAllSync(disk, "/a"), fs.ErrExist)
	wantError(t, vfs.MkdirAllSync(disk, "/a/b"), syscall.ENOTDIR)
}

func TestMkdirAllSyncPassesFailedSyncsOn(t *testing.T) {
	for n := 1; n <= 3; n++ {
		disk := vfs.NewMem(1)
		check(t, vfs.MkdirAllSync(disk, "/x"))
		disk.FailSync(n)
		wantError(t, vfs.MkdirAllSync(disk, "/x/y/z"), syscall.EIO)
	}
}

func TestMkdirAllSyncForgivesAParentThatMayNotBeRead(t *testing.T) {
	disk := vfs.NewMem(1)
	check(t, vfs.MkdirAllSync(disk, "/x"))
	faulty := vfs.NewFaulty(disk)
	faulty.Add(vfs.Rule{Op: vfs.OpSyncDir, Err: syscall.EACCES, Times: 1})
	check(t, vfs.MkdirAllSync(faulty, "/x/y"))
	faulty.Add(vfs.Rule{Op: vfs.OpSyncDir, Err: syscall.EACCES, After: 1})
	wantError(t, vfs.MkdirAllSync(faulty, "/x/y/z"), fs.ErrPermission)
}

func TestDirectoriesSurviveOnceMkdirAllSyncReturned(t *testing.T) {
	// Also if an earlier process made some of them and died at any point.
	for seed := range uint64(100) {
		for n := 1; n <= 8; n++ {
			disk := vfs.NewMem(seed)
			disk.CrashAt(n)
			crashes(func() { _ = vfs.MkdirAllSync(disk, "/x/y/z") })
			disk.ProcessCrash()
			check(t, vfs.MkdirAllSync(disk, "/x/y/z"))
			disk.PowerCut()
			if _, err := disk.Stat("/x/y/z"); err != nil {
				t.Fatalf("seed %d, crash at %d: %v", seed, n, err)
			}
		}
	}
}

func TestWriteFileAtomicTrace(t *testing.T) {
	disk := vfs.NewMem(1)
	check(t, create(t, disk, "/a.tmp").Close())
	traced := vfs.NewTraced(disk, "/")
	check(t, vfs.WriteFileAtomic(traced, "/a", []byte("abc")))
	want := []string{"remove a.tmp", "create a.tmp", "write a.tmp 0+3", "sync a.tmp", "rename a.tmp -> a", "sync-dir ."}
	if got := traced.Lines(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestWriteFileAtomicIsAllOrNothing(t *testing.T) {
	oldContent, newContent := strings.Repeat("o", 9000), strings.Repeat("n", 10000)
	seen := tally{}
	for seed := range uint64(50) {
		for n := 1; n <= 6; n++ {
			disk := vfs.NewMem(seed)
			check(t, vfs.WriteFileAtomic(disk, "/a", []byte(oldContent)))
			disk.CrashAt(n)
			crashed := crashes(func() { check(t, vfs.WriteFileAtomic(disk, "/a", []byte(newContent))) })
			if crashed != (n <= 6) {
				t.Fatalf("crash at %d: %v", n, crashed)
			}
			disk.PowerCut()
			switch read(t, disk, "/a") {
			case oldContent:
				seen["old"]++
			case newContent:
				seen["new"]++
			default:
				seen["something else"]++
			}
			check(t, vfs.WriteFileAtomic(disk, "/a", []byte(newContent)))
			disk.PowerCut()
			if read(t, disk, "/a") != newContent || len(names(t, disk, "/")) != 1 {
				t.Fatalf("lost after it returned: %v", names(t, disk, "/"))
			}
		}
	}
	seen.want(t, "old", "new")
}

func TestWriteFileAtomicLeavesNoTemporaryBehindAnError(t *testing.T) {
	for _, kind := range []vfs.OperationKind{vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpRename} {
		faulty := vfs.NewFaulty(vfs.NewMem(1))
		check(t, vfs.WriteFileAtomic(faulty, "/a", []byte("old")))
		faulty.Add(vfs.Rule{Op: kind, Err: syscall.EIO, Times: 1})
		wantError(t, vfs.WriteFileAtomic(faulty, "/a", []byte("new")), syscall.EIO)
		if got := names(t, faulty, "/"); !slices.Equal(got, []string{"a"}) || read(t, faulty, "/a") != "old" {
			t.Errorf("%v failed: %v", kind, got)
		}
		checkNothingOpen(t, faulty)
	}
}

func TestReadFileIsBounded(t *testing.T) {
	disk := vfs.NewMem(1)
	check(t, vfs.WriteFileAtomic(disk, "/a", []byte("12345")))
	data, err := vfs.ReadFile(disk, "/a", 5)
	if string(data) != "12345" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	_, err = vfs.ReadFile(disk, "/a", 4)
	wantError(t, err, vfs.ErrTooLarge)
	_, err = vfs.ReadFile(disk, "/none", 4)
	wantError(t, err, fs.ErrNotExist)
	faulty := vfs.NewFaulty(disk)
	faulty.Add(vfs.Rule{Op: vfs.OpRead, Err: syscall.EIO})
	_, err = vfs.ReadFile(faulty, "/a", 5)
	wantError(t, err, syscall.EIO)
	checkNothingOpen(t, disk)
}
