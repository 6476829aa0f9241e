//go:build linux && powercut

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A power cut on a file system of the kernel: it is told to stop where it is and
// to drop what it has not written, its own journal included, and is mounted anew
// after. This needs root and a loop device, so it is run by `make powercut`.

// powerCutsDefault is how often the power goes; AOF_POWER_CUTS says otherwise.
const powerCutsDefault = 10

func TestEverythingAckedIsThereOnceAfterPowerCuts(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			disk := newPowerDisk(t, kind)
			publishOverLives(t, filepath.Join(disk.dir, "root"), disk.powerCut(t), "--segment-bytes", "256KiB")
		})
		t.Run(kind+" with tiers", func(t *testing.T) {
			disk := newPowerDisk(t, kind)
			flags := tieringFlags(filepath.Join(disk.dir, "bucket"))
			publishOverLives(t, filepath.Join(disk.dir, "root"), disk.powerCut(t), flags...)
		})
	}
}

// powerDisk is a file system of its own in a file.
type powerDisk struct{ image, dir string }

func newPowerDisk(t *testing.T, kind string) *powerDisk {
	t.Helper()
	base := t.TempDir()
	d := &powerDisk{image: filepath.Join(base, "image"), dir: filepath.Join(base, "mounted")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 2<<30); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	execute(t, "mkfs."+kind, "-q", d.image)
	d.mount(t)
	t.Cleanup(func() { execute(t, "umount", d.dir) })
	return d
}

func (d *powerDisk) mount(t *testing.T) {
	t.Helper()
	execute(t, "mount", "-o", "loop", d.image, d.dir)
}

func (d *powerDisk) powerCut(t *testing.T) ending {
	return ending{
		lives: countFrom(t, "AOF_POWER_CUTS", powerCutsDefault),
		strike: func(b *bridge) {
			b.signal(t, syscall.SIGKILL)
			b.awaitDeath(t)
			d.stop(t)
		},
		restore: func() {
			execute(t, "umount", d.dir)
			d.mount(t)
		},
	}
}

// stop makes the file system drop what it has in memory and fail from now on.
func (d *powerDisk) stop(t *testing.T) {
	const (
		shutdown     = 0x8004587d // EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
		withoutFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH, XFS_FSOP_GOING_FLAGS_NOLOGFLUSH
	)
	dir, err := os.Open(d.dir)
	if err != nil {
		t.Error(err)
		return
	}
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, withoutFlush); err != nil {
		t.Errorf("stop the file system: %v", err)
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
}

// awaitDeath waits until the process has made its last call: a file system that
// is stopped under a sync can call it done that was not, and the answers of that
// process would be no promises, as after a power cut there are none.
func (b *bridge) awaitDeath(t *testing.T) {
	for {
		err := unix.Waitid(unix.P_PID, b.command.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Errorf("wait for the bridge: %v", err)
		}
		return
	}
}

func execute(t *testing.T, name string, args ...string) {
	t.Helper()
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, output)
	}
}
