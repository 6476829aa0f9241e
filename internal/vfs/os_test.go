package vfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// What only real files and processes can show. Some tests run this program
// again in another role, named by an environment variable.

const (
	childVariable  = "VFS_TEST_ROLE"
	childDirectory = "VFS_TEST_DIRECTORY"
)

var childRoles = map[string]func() int{
	"lock":    lockInChild,
	"wait":    waitInChild,
	"limited": writeWithFileSizeLimit,
}

func runChild(t *testing.T, role, dir string) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+role, childDirectory+"="+dir)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func childReport(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestLockIsRefusedToAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	lock, err := vfs.OS().Lock(filepath.Join(dir, "LOCK"))
	check(t, err)
	runChild(t, "lock", dir)
	check(t, lock.Close())
}

func lockInChild() int {
	_, err := vfs.OS().Lock(filepath.Join(os.Getenv(childDirectory), "LOCK"))
	if !errors.Is(err, vfs.ErrLocked) {
		return childReport(fmt.Errorf("got %w, want %w", err, vfs.ErrLocked))
	}
	return 0
}

func TestLockIsRefusedToAnotherFileSystemOfTheProcess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	lock, err := vfs.OS().Lock(name)
	check(t, err)
	_, err = vfs.OS().Lock(name)
	wantError(t, err, vfs.ErrLocked)
	check(t, lock.Close())
}

// A child that inherited the descriptor would keep the lock.
func TestDescriptorsAreNotInherited(t *testing.T) {
	fsys, name := vfs.OS(), filepath.Join(t.TempDir(), "LOCK")
	lock, err := fsys.Lock(name)
	check(t, err)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=wait")
	stdin, err := child.StdinPipe()
	check(t, err)
	check(t, child.Start())
	check(t, lock.Close())
	lock, err = fsys.Lock(name)
	if err != nil {
		t.Errorf("lock again while the child runs: %v", err)
	} else {
		check(t, lock.Close())
	}
	check(t, stdin.Close())
	check(t, child.Wait())
}

func waitInChild() int {
	_, err := io.Copy(io.Discard, os.Stdin)
	return childReport(err)
}

// A limit on the size of files stops a write in its middle, as a full disk does.
func TestStoppedWriteReturnsItsCountAndStoppedAllocationRestoresTheLength(t *testing.T) {
	runChild(t, "limited", t.TempDir())
}

func writeWithFileSizeLimit() int {
	signal.Ignore(syscall.SIGXFSZ)
	limit := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return childReport(err)
	}
	file, err := vfs.OS().Create(filepath.Join(os.Getenv(childDirectory), "a"))
	if err != nil {
		return childReport(err)
	}
	n, err := file.WriteAt(make([]byte, 2<<20), 4096)
	if n != 1<<20-4096 || !errors.Is(err, syscall.EFBIG) {
		return childReport(fmt.Errorf("wrote %d bytes: %w", n, err))
	}
	if err := file.Truncate(5000); err != nil {
		return childReport(err)
	}
	for _, how := range []vfs.Allocation{vfs.ZeroFilled, vfs.Reserved} {
		if err := file.Allocate(4<<20, how); !errors.Is(err, syscall.EFBIG) {
			return childReport(fmt.Errorf("allocation %d returned %w", how, err))
		}
		if size, err := file.Size(); size != 5000 || err != nil {
			return childReport(fmt.Errorf("allocation %d left %d bytes: %w", how, size, err))
		}
	}
	return childReport(file.Close())
}

func TestNewFilesAndDirectoriesAreNotForEverybody(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "dir")
	check(t, vfs.OS().MkdirAll(dir))
	check(t, create(t, vfs.OS(), filepath.Join(dir, "file")).Close())
	for name, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o750, filepath.Join(dir, "file"): 0o640} {
		info, err := os.Stat(name)
		check(t, err)
		if info.Mode() != want {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestAllocatedBlocksExist(t *testing.T) {
	for _, how := range []vfs.Allocation{vfs.ZeroFilled, vfs.Reserved} {
		name := filepath.Join(t.TempDir(), "a")
		file := create(t, vfs.OS(), name)
		check(t, file.Allocate(1<<20, how))
		check(t, file.Sync())
		check(t, file.Close())
		var stat unix.Stat_t
		check(t, unix.Stat(name, &stat))
		if stat.Blocks*512 < 1<<20 {
			t.Errorf("allocation %d has %d blocks of 512 bytes", how, stat.Blocks)
		}
	}
}
