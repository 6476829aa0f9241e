package vfs

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// This file is the file system of the operating system: names. What is done
// with an open file is in os_file.go, locks are in os_lock.go, and what differs
// between systems is in os_linux.go and os_darwin.go.

const (
	fileMode      = 0o640
	directoryMode = 0o750
)

type osFS struct {
	files atomic.Int64
	maps  atomic.Int64
}

// OS returns the operating system's file system. Each call returns a value with
// its own counts for OpenHandles; a lock that one of them holds is refused to
// all others. Sync and SyncData ask the drive to empty its write cache where
// the system can (F_FULLFSYNC on darwin). New files get mode 0640, directories
// 0750, both less the umask.
func OS() FS { return &osFS{} }

// OpenFiles counts open files and held locks.
func (o *osFS) OpenFiles() int { return int(o.files.Load()) }

// OpenMaps counts maps that are not closed.
func (o *osFS) OpenMaps() int { return int(o.maps.Load()) }

func (o *osFS) Create(name string) (File, error) {
	return o.open("create", name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
}

func (o *osFS) Open(name string) (File, error) {
	return o.open("open", name, unix.O_RDONLY)
}

func (o *osFS) OpenReadWrite(name string) (File, error) {
	return o.open("open", name, unix.O_RDWR)
}

func (o *osFS) open(verb, name string, flags int) (File, error) {
	fd, err := openDescriptor(verb, name, flags)
	if err != nil {
		return nil, err
	}
	f := &osFile{system: o, name: name}
	f.descriptor.Store(int64(fd))
	o.files.Add(1)
	return f, nil
}

func openDescriptor(verb, name string, flags int) (int, error) {
	fd := -1
	err := repeatInterrupted(func() (err error) {
		fd, err = unix.Open(name, flags|unix.O_CLOEXEC, fileMode)
		return err
	})
	if err != nil {
		return -1, pathError(verb, name, err)
	}
	return fd, nil
}

func (o *osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (o *osFS) Link(oldName, newName string) error { return os.Link(oldName, newName) }

func (o *osFS) Remove(name string) error { return os.Remove(name) }

func (o *osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, directoryMode) }

func (o *osFS) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

func (o *osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (o *osFS) SyncDir(dir string) error {
	fd, err := openDescriptor("sync directory", dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	syncErr := syncEverything(fd)
	closeErr := closeDescriptor(fd)
	if err := errors.Join(syncErr, closeErr); err != nil {
		return pathError("sync directory", dir, err)
	}
	return nil
}

func (o *osFS) Usage(dir string) (Usage, error) {
	var stat unix.Statfs_t
	err := repeatInterrupted(func() error { return unix.Statfs(dir, &stat) })
	if err != nil {
		return Usage{}, pathError("read usage of", dir, err)
	}
	block := blockBytes(&stat)
	return Usage{
		TotalBytes: int64(stat.Blocks) * block,
		FreeBytes:  int64(stat.Bavail) * block,
	}, nil
}

func closeDescriptor(fd int) error {
	// The descriptor is gone even if the call was interrupted: repeating it
	// could close somebody else's file.
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}

func repeatInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func pathError(verb, name string, err error) error {
	return &fs.PathError{Op: verb, Path: name, Err: err}
}
