// Package disk tells what the comparisons run on: rates of a log that syncs mean
// nothing without the file system and the time of a sync.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrMemory says that a directory does not lie on a disk.
var ErrMemory = errors.New("a file system in memory: choose a directory on a disk with --dir")

const (
	pageBytes = 4 << 10
	pages     = 201
)

var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", 0x2fc12fc1: "zfs", unix.F2FS_SUPER_MAGIC: "f2fs",
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs",
}

// FileSystem names the file system of dir, or fails with ErrMemory.
func FileSystem(dir string) (string, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return "", fmt.Errorf("find file system of %s: %w", dir, err)
	}
	name, known := fileSystems[int64(stat.Type)]
	switch {
	case !known:
		return fmt.Sprintf("type %#x", stat.Type), nil
	case name == "tmpfs" || name == "ramfs":
		return name, fmt.Errorf("%s lies on %w", dir, ErrMemory)
	}
	return name, nil
}

// SyncTime is the median time of an fdatasync of 4 KiB inside a file of zeros.
func SyncTime(dir string) (median time.Duration, err error) {
	path := filepath.Join(dir, "sync-time")
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(path)) }()
	if _, err := file.Write(make([]byte, pageBytes*pages)); err != nil {
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	times := make([]time.Duration, 0, pages)
	page := make([]byte, pageBytes)
	for i := range int64(pages) {
		page[0] = byte(i)
		if _, err := file.WriteAt(page, i*pageBytes); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[pages/2], nil
}

// Settle writes out what earlier runs have left in the page cache, so that it
// does not slow the next one down.
func Settle() { unix.Sync() }
