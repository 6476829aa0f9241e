package vfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// This file is what darwin does in its own way: syncs, reservations, block sizes.

// syncEverything asks the drive to empty its cache, which fsync does not do on
// darwin. Network file systems refuse that; there fsync is all there is.
func syncEverything(fd int) error {
	err := repeatInterrupted(func() error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
		return err
	})
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOTTY) {
		return repeatInterrupted(func() error { return unix.Fsync(fd) })
	}
	return err
}

func syncData(fd int) error { return syncEverything(fd) }

// reserve returns an error that matches errors.ErrUnsupported if the file
// system cannot give blocks without writing them.
func reserve(fd int, from, to int64) error {
	store := unix.Fstore_t{
		Flags:   unix.F_ALLOCATEALL,
		Posmode: unix.F_PEOFPOSMODE,
		Length:  to - from,
	}
	err := repeatInterrupted(func() error {
		return unix.FcntlFstore(uintptr(fd), unix.F_PREALLOCATE, &store)
	})
	switch {
	case errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return errors.ErrUnsupported
	case err != nil:
		return err
	}
	return truncateDescriptor(fd, to)
}

func blockBytes(stat *unix.Statfs_t) int64 { return int64(stat.Bsize) }
