package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Who tidies up after a crash that was none takes the file away, and with it the
// lock that is on it.
func TestARootWhoseLockFileIsRemovedHasOneOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	first := openTest(t, dir)
	l := openLogTest(t, first, LogOptions{})
	appendMany(t, l, 1, 3)
	if err := os.Remove(filepath.Join(dir, lockFileName)); err != nil {
		t.Fatal(err)
	}
	wantUntouched(t, dir, ErrRootInUse, func() (*Engine, error) { return Open(dir, Options{}) })
	appendMany(t, l, 4, 3)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := openTest(t, dir)
	if got := openLogTest(t, second, LogOptions{}).Watermarks().Durable; got != 6 {
		t.Errorf("the log ends at %d", got)
	}
	if _, err := os.Stat(filepath.Join(dir, lockFileName)); err != nil {
		t.Error(err)
	}
}

func TestARootThatWasRenamedHasOneOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	openTest(t, dir)
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	wantUntouched(t, dir+"2", ErrRootInUse, func() (*Engine, error) { return Open(dir+"2", Options{}) })
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
}

// A program that knows the file alone is told that the root is in use, and tells
// this one.
func TestTheLockFileCountsOnItsOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	e := openTest(t, dir)
	if _, err := vfs.OS().Lock(filepath.Join(dir, lockFileName)); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("lock the file beside an engine: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := vfs.OS().Lock(filepath.Join(dir, lockFileName))
	if err != nil {
		t.Fatal(err)
	}
	wantUntouched(t, dir, ErrRootInUse, func() (*Engine, error) { return Open(dir, Options{}) })
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// Some network file systems lock no directories.
func TestARootOnAFileSystemThatLocksNoDirectories(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	disk := vfs.NewFaulty(vfs.OS())
	disk.Add(vfs.Rule{Op: vfs.OpLock, PathPattern: "root", Err: errors.ErrUnsupported})
	e, err := Open(dir, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{FS: disk}); !errors.Is(err, ErrRootInUse) {
		t.Errorf("a second owner: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
