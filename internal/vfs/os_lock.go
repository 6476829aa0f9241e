package vfs

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// This file is the exclusive lock of the operating system's file system. flock
// tells processes apart; on network file systems it may be emulated by a lock
// that one process holds as often as it asks, so the process also keeps a list
// of its own.

type fileIdentity struct {
	device uint64
	inode  uint64
}

var processLocks = struct {
	mu struct {
		sync.Mutex
		held map[fileIdentity]bool
	}
}{}

func claimInProcess(id fileIdentity) bool {
	processLocks.mu.Lock()
	defer processLocks.mu.Unlock()
	if processLocks.mu.held[id] {
		return false
	}
	if processLocks.mu.held == nil {
		processLocks.mu.held = map[fileIdentity]bool{}
	}
	processLocks.mu.held[id] = true
	return true
}

func releaseInProcess(id fileIdentity) {
	processLocks.mu.Lock()
	defer processLocks.mu.Unlock()
	delete(processLocks.mu.held, id)
}

func (o *osFS) Lock(name string) (io.Closer, error) {
	fd, err := openDescriptor("lock", name, unix.O_RDWR|unix.O_CREAT)
	directory := errors.Is(err, unix.EISDIR)
	if directory {
		fd, err = openDescriptor("lock", name, unix.O_RDONLY|unix.O_DIRECTORY)
	}
	if err != nil {
		return nil, err
	}
	id, err := lockDescriptor(fd)
	if directory && isLockUnsupported(err) {
		err = errors.ErrUnsupported
	}
	if err != nil {
		_ = closeDescriptor(fd) // nothing was written through it
		return nil, pathError("lock", name, err)
	}
	o.files.Add(1)
	return &osLock{system: o, name: name, fd: fd, id: id}, nil
}

func lockDescriptor(fd int) (fileIdentity, error) {
	var stat unix.Stat_t
	if err := repeatInterrupted(func() error { return unix.Fstat(fd, &stat) }); err != nil {
		return fileIdentity{}, err
	}
	id := fileIdentity{device: uint64(stat.Dev), inode: stat.Ino}
	if !claimInProcess(id) {
		return fileIdentity{}, ErrLocked
	}
	err := repeatInterrupted(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		releaseInProcess(id)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return fileIdentity{}, err
	}
	return id, nil
}

// isLockUnsupported reports whether a file system has no lock for what can only be
// opened for reading: one that emulates flock by locks of ranges wants it open for
// writing.
func isLockUnsupported(err error) bool {
	for _, code := range []error{unix.EBADF, unix.EINVAL, unix.ENOLCK, unix.ENOSYS, unix.ENOTSUP, unix.EOPNOTSUPP} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

type osLock struct {
	system *osFS
	name   string
	fd     int
	id     fileIdentity
	closed atomic.Bool
}

func (l *osLock) Close() error {
	if l.closed.Swap(true) {
		return pathError("unlock", l.name, fs.ErrClosed)
	}
	l.system.files.Add(-1)
	err := closeDescriptor(l.fd) // gives the lock back
	releaseInProcess(l.id)
	if err != nil {
		return pathError("unlock", l.name, err)
	}
	return nil
}
