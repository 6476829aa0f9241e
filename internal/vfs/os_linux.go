package vfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// This file is what Linux does in its own way: syncs, reservations, block sizes.

func syncEverything(fd int) error {
	return repeatInterrupted(func() error { return unix.Fsync(fd) })
}

func syncData(fd int) error {
	return repeatInterrupted(func() error { return unix.Fdatasync(fd) })
}

// reserve returns an error that matches errors.ErrUnsupported if the file
// system cannot give blocks without writing them.
func reserve(fd int, from, to int64) error {
	err := repeatInterrupted(func() error { return unix.Fallocate(fd, 0, from, to-from) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}

func blockBytes(stat *unix.Statfs_t) int64 {
	if stat.Frsize > 0 {
		return int64(stat.Frsize)
	}
	return int64(stat.Bsize)
}
