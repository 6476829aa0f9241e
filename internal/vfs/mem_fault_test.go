package vfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// The faults that the simulated disk has by itself: crashes at an operation,
// failed syncs, a full disk, damage.

func crashes(f func()) (crashed bool) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, crashed = cause.(vfs.Crashed); !crashed {
				panic(cause)
			}
		}
	}()
	f()
	return false
}

func TestCrashComesAtTheChosenOperation(t *testing.T) {
	workload := func(disk *vfs.Mem) {
		file, err := disk.Create("/a")
		if err != nil {
			return
		}
		// What clean-up does after the crash must not reach the disk.
		defer func() { _ = disk.Remove("/a") }()
		_, _ = file.WriteAt([]byte("x"), 0)
		_ = file.Truncate(100)
		_ = file.Allocate(1000, vfs.ZeroFilled)
		_ = file.SyncData()
		_ = file.Sync()
		_ = disk.Link("/a", "/b")
		_ = disk.Rename("/b", "/c")
		_ = disk.Remove("/c")
		_ = disk.MkdirAll("/d/e")
		_ = disk.SyncDir("/")
		_ = file.Close()
	}
	disk := vfs.NewMem(1)
	kinds := []string{}
	disk.BeforeOperation(func(op vfs.Operation) { kinds = append(kinds, op.Kind.String()) })
	workload(disk)
	want := "create write truncate allocate sync-data sync link rename remove mkdir mkdir sync-dir remove"
	if got := strings.Join(kinds, " "); got != want {
		t.Fatalf("counted %s", got)
	}
	if disk.Operations() != len(kinds) {
		t.Fatalf("%d operations", disk.Operations())
	}
	for n := 1; n <= len(kinds); n++ {
		disk := vfs.NewMem(1)
		disk.CrashAt(n)
		if !crashes(func() { workload(disk) }) || disk.Operations() != n || !disk.Halted() {
			t.Fatalf("no crash at %d (%d operations)", n, disk.Operations())
		}
		_, err := disk.Stat("/")
		wantError(t, err, vfs.ErrHalted)
		wantError(t, err, fs.ErrClosed)
		disk.ProcessCrash()
		if exists := len(names(t, disk, "/")) > 0; exists != (n > 1) {
			t.Errorf("crash at %d: file exists: %v", n, exists)
		}
		if crashes(func() { workload(disk) }) {
			t.Error("crashed a second time")
		}
	}
}

func TestCrashCanBeDisarmed(t *testing.T) {
	disk := vfs.NewMem(1)
	disk.CrashAt(1)
	disk.CrashAt(0)
	check(t, create(t, disk, "/a").Close())
	if disk.Operations() != 1 {
		t.Errorf("%d operations", disk.Operations())
	}
}

func TestHaltReturnsAnErrorInsteadOfPanicking(t *testing.T) {
	disk := vfs.NewMem(1)
	file := durableFile(t, disk, []byte("x"))
	disk.HaltAt(1)
	_, err := file.WriteAt([]byte("y"), 0)
	wantError(t, err, vfs.ErrHalted)
	wantError(t, file.Sync(), vfs.ErrHalted)
	disk.PowerCut()
	_ = read(t, disk, "/a")
}

func TestCrashInsideAWriteKeepsWholePages(t *testing.T) {
	seen := tally{}
	for seed := range uint64(seeds) {
		disk := vfs.NewMem(seed)
		file := durableFile(t, disk, make([]byte, 4*4096))
		disk.CrashAt(1)
		if !crashes(func() { _, _ = file.WriteAt(filled('x', 10000), 1000) }) {
			t.Fatal("no crash")
		}
		disk.ProcessCrash()
		got := read(t, disk, "/a")
		seen[strings.Trim(got[1000:11000], "\x00")]++
		if strings.Trim(got[:1000]+got[11000:], "\x00") != "" {
			t.Fatal("wrote elsewhere")
		}
	}
	x := strings.Repeat("x", 10000)
	seen.want(t, "", x[:3096], x[:3096+4096], x)
}

func TestFailedSyncMarksPagesClean(t *testing.T) {
	seen := tally{}
	for seed := range uint64(seeds) {
		disk := vfs.NewMem(seed)
		file := durableFile(t, disk, filled('o', 4*4096))
		write(t, file, 0, filled('n', 4*4096))
		disk.FailSync(1)
		wantError(t, file.SyncData(), syscall.EIO)
		check(t, file.SyncData())
		if got := read(t, disk, "/a"); strings.Contains(got, "o") {
			t.Fatal("the live image lost what was written")
		}
		durable := string(disk.Durable("/a"))
		disk.ProcessCrash()
		disk.PowerCut()
		if got := read(t, disk, "/a"); got != durable {
			t.Fatal("a clean page changed on the disk")
		}
		seen[map[bool]string{true: "some lost", false: "all there"}[strings.Contains(durable, "o")]]++
		if strings.Contains(durable, "n") {
			seen["some there"]++
		}
	}
	seen.want(t, "some lost", "all there", "some there")
}

func TestWritingAgainAfterAFailedSyncMakesDurable(t *testing.T) {
	for seed := range uint64(seeds) {
		disk := vfs.NewMem(seed)
		file := durableFile(t, disk, filled('o', 8192))
		write(t, file, 0, filled('n', 8192))
		disk.FailSync(1)
		wantError(t, file.Sync(), syscall.EIO)
		write(t, file, 0, filled('n', 8192))
		check(t, file.Sync())
		disk.PowerCut()
		if read(t, disk, "/a") != string(filled('n', 8192)) {
			t.Fatal("rewritten and synced bytes are lost")
		}
	}
}

func TestEmptyingThePageCacheShowsWhatAFailedSyncLost(t *testing.T) {
	for seed := range uint64(seeds) {
		disk := vfs.NewMem(seed)
		file := durableFile(t, disk, filled('o', 4*4096))
		write(t, file, 0, filled('n', 2*4096))
		disk.FailSync(1)
		wantError(t, file.Sync(), syscall.EIO)
		write(t, file, 3*4096, filled('d', 4096))
		disk.DropCleanPages()
		want := string(disk.Durable("/a")[:3*4096]) + string(filled('d', 4096))
		if read(t, disk, "/a") != want {
			t.Fatal("clean pages do not show the disk, or a dirty one was dropped")
		}
	}
}

func TestFailedSyncMayLoseTheSize(t *testing.T) {
	for _, lose := range []bool{false, true} {
		disk := vfs.NewMem(1)
		disk.LoseSizeOnFailedSync(lose)
		file := durableFile(t, disk, []byte("x"))
		check(t, file.Truncate(10))
		disk.FailSync(1)
		wantError(t, file.Sync(), syscall.EIO)
		check(t, file.Sync())
		if got := len(disk.Durable("/a")); got != map[bool]int{false: 10, true: 1}[lose] {
			t.Errorf("lose %v: %d durable bytes", lose, got)
		}
	}
}

func TestFailedDirectorySyncLeavesNamesPending(t *testing.T) {
	seen := tally{}
	for seed := range uint64(seeds) {
		disk := vfs.NewMem(seed)
		file := create(t, disk, "/a")
		disk.FailSync(2)
		check(t, file.Sync())
		wantError(t, disk.SyncDir("/"), syscall.EIO)
		if seed%2 == 0 {
			check(t, disk.SyncDir("/"))
		}
		disk.PowerCut()
		seen[map[bool]string{true: "synced again: ", false: "failed: "}[seed%2 == 0]+strings.Join(names(t, disk, "/"), " ")]++
	}
	seen.want(t, "synced again: a", "failed: ", "failed: a")
}

func TestFullDisk(t *testing.T) {
	disk := vfs.NewMem(1)
	disk.SetCapacity(10 * 4096)
	file := create(t, disk, "/a")
	check(t, file.Allocate(8*4096, vfs.Reserved))
	wantError(t, file.Allocate(11*4096, vfs.ZeroFilled), syscall.ENOSPC)
	if size, _ := file.Size(); size != 8*4096 {
		t.Errorf("a refused allocation left %d bytes", size)
	}
	other := create(t, disk, "/b")
	n, err := other.WriteAt(filled('x', 3*4096), 100)
	if n != 2*4096-100 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d: %v", n, err)
	}
	write(t, file, 0, filled('y', 8*4096))
	write(t, other, 0, filled('y', 2*4096))
	_, err = file.WriteAt([]byte("x"), 8*4096)
	wantError(t, err, syscall.ENOSPC)
	wantFree(t, disk, 0)
	check(t, disk.Remove("/b"))
	wantFree(t, disk, 0) // an open file keeps its space
	check(t, other.Close())
	wantFree(t, disk, 2*4096)
	check(t, file.Truncate(4097))
	wantFree(t, disk, 8*4096)
	check(t, file.Truncate(20*4096)) // a hole takes nothing
	wantFree(t, disk, 8*4096)
	check(t, file.Sync())
	check(t, disk.SyncDir("/"))
	disk.PowerCut()
	wantFree(t, disk, 8*4096)
}

func wantFree(t *testing.T, disk *vfs.Mem, want int64) {
	t.Helper()
	usage, err := disk.Usage("/")
	check(t, err)
	if usage.FreeBytes != want || usage.TotalBytes != 10*4096 {
		t.Errorf("%+v, want %d free", usage, want)
	}
}

func TestHookMayWriteBeforeASync(t *testing.T) {
	disk := vfs.NewMem(1)
	file := durableFile(t, disk, []byte("...."))
	disk.BeforeOperation(func(op vfs.Operation) {
		if op.Kind == vfs.OpSync {
			write(t, file, 1, []byte("!"))
		}
	})
	write(t, file, 0, []byte("x"))
	check(t, file.Sync())
	disk.BeforeOperation(nil)
	check(t, file.Sync())
	if got := string(disk.Durable("/a")); got != "x!.." {
		t.Errorf("durable is %q", got)
	}
}

func TestDamageIsSeenWhereThePageIsClean(t *testing.T) {
	disk := vfs.NewMem(1)
	file := durableFile(t, disk, filled('o', 8192))
	write(t, file, 5000, []byte("n"))
	flip := func(sector []byte) {
		if len(sector) != 512 {
			t.Errorf("a sector of %d bytes", len(sector))
		}
		sector[10]++
	}
	check(t, disk.Corrupt("/a", 512+3, flip))
	check(t, disk.Corrupt("/a", 4096+3, flip))
	live, durable := disk.Live("/a"), disk.Durable("/a")
	if durable[522] != 'p' || durable[4106] != 'p' || live[522] != 'p' || live[4106] != 'o' {
		t.Errorf("durable %c %c, live %c %c", durable[522], durable[4106], live[522], live[4106])
	}
	wantError(t, disk.Corrupt("/a", 8192, flip), fs.ErrInvalid)
	wantError(t, disk.Corrupt("/none", 0, flip), fs.ErrNotExist)
	if disk.Live("/none") != nil || disk.Durable("/") != nil {
		t.Error("content without a file")
	}
}

func TestCrashInsideAnAllocationLeavesAPart(t *testing.T) {
	seen := tally{}
	for seed := range uint64(seeds) {
		disk := vfs.NewMem(seed)
		file := durableFile(t, disk, []byte("head"))
		disk.CrashAt(1)
		if !crashes(func() { _ = file.Allocate(3*4096, vfs.ZeroFilled) }) {
			t.Fatal("no crash")
		}
		disk.ProcessCrash()
		got := strings.TrimRight(read(t, disk, "/a"), "\x00")
		if got != "head" {
			t.Fatalf("content is %q", got)
		}
		seen[fmt.Sprint(len(read(t, disk, "/a")))]++
	}
	seen.want(t, "4", "4096", "8192", "12288")
}

func TestDirectoryMayAppearWhileItIsMade(t *testing.T) {
	for _, c := range []struct {
		made string
		make func(disk *vfs.Mem) error
		want error
	}{
		{"the directory", func(disk *vfs.Mem) error { return disk.MkdirAll("/x") }, nil},
		{"a file", func(disk *vfs.Mem) error {
			file, err := disk.Create("/x")
			if err != nil {
				return err
			}
			return file.Close()
		}, syscall.ENOTDIR},
	} {
		disk := vfs.NewMem(1)
		disk.BeforeOperation(func(op vfs.Operation) {
			disk.BeforeOperation(nil)
			check(t, c.make(disk))
		})
		if err := disk.MkdirAll("/x/y"); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", c.made, err)
		}
	}
}

func TestManyCallersMayUseADiskWhosePowerIsCut(t *testing.T) {
	disk := vfs.NewMem(1)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			dir := fmt.Sprintf("/%d", i)
			for k := range 30 {
				check := func(err error) {
					if err != nil && !errors.Is(err, fs.ErrClosed) && !errors.Is(err, fs.ErrNotExist) {
						t.Error(err)
					}
				}
				check(disk.MkdirAll(dir))
				check(vfs.WriteFileAtomic(disk, fmt.Sprintf("%s/%d", dir, k), filled(byte(k), 5000)))
				if i == 0 && k%10 == 9 {
					disk.PowerCut()
				}
			}
		})
	}
	group.Wait()
	disk.ProcessCrash()
	checkNothingOpen(t, disk)
}
