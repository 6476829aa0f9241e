package vfs

import (
	"errors"
	"io"
	"io/fs"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// This file is an open file of the operating system, and its maps.

const (
	// ioBytesMax keeps one call below the limits that systems put on it (2 GiB).
	ioBytesMax = 1 << 30

	zeroFillBytes = 1 << 20
)

// zeros is the source of zero-filling. Nobody writes to it.
var zeros [zeroFillBytes]byte

type osFile struct {
	system     *osFS
	name       string
	descriptor atomic.Int64 // -1 once closed
}

func (f *osFile) Name() string { return f.name }

func (f *osFile) fd(verb string) (int, error) {
	fd := f.descriptor.Load()
	if fd < 0 {
		return -1, pathError(verb, f.name, fs.ErrClosed)
	}
	return int(fd), nil
}

func (f *osFile) Close() error {
	fd := f.descriptor.Swap(-1)
	if fd < 0 {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.system.files.Add(-1)
	if err := closeDescriptor(int(fd)); err != nil {
		return pathError("close", f.name, err)
	}
	return nil
}

func (f *osFile) ReadAt(p []byte, offset int64) (int, error) {
	fd, err := f.fd("read")
	if err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		piece := p[done:min(len(p), done+ioBytesMax)]
		n, err := unix.Pread(fd, piece, offset+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, pathError("read", f.name, err)
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

func (f *osFile) WriteAt(p []byte, offset int64) (int, error) {
	fd, err := f.fd("write")
	if err != nil {
		return 0, err
	}
	done, err := writeFully(fd, p, offset)
	if err != nil {
		return done, pathError("write", f.name, err)
	}
	return done, nil
}

// writeFully completes short writes; a write that cannot go on returns what
// stopped it and how many bytes were taken.
func writeFully(fd int, p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		piece := p[done:min(len(p), done+ioBytesMax)]
		n, err := unix.Pwrite(fd, piece, offset+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		case n == 0:
			return done, io.ErrShortWrite
		default:
			done += n
		}
	}
	return done, nil
}

func (f *osFile) Size() (int64, error) {
	fd, err := f.fd("stat")
	if err != nil {
		return 0, err
	}
	size, err := descriptorSize(fd)
	if err != nil {
		return 0, pathError("stat", f.name, err)
	}
	return size, nil
}

func descriptorSize(fd int) (int64, error) {
	var stat unix.Stat_t
	err := repeatInterrupted(func() error { return unix.Fstat(fd, &stat) })
	return stat.Size, err
}

func (f *osFile) Truncate(size int64) error {
	fd, err := f.fd("truncate")
	if err != nil {
		return err
	}
	if err := truncateDescriptor(fd, size); err != nil {
		return pathError("truncate", f.name, err)
	}
	return nil
}

func truncateDescriptor(fd int, size int64) error {
	return repeatInterrupted(func() error { return unix.Ftruncate(fd, size) })
}

func (f *osFile) Allocate(size int64, how Allocation) error {
	fd, err := f.fd("allocate")
	if err != nil {
		return err
	}
	old, err := descriptorSize(fd)
	if err != nil {
		return pathError("allocate", f.name, err)
	}
	if size <= old {
		return nil
	}
	if err := extend(fd, old, size, how); err != nil {
		// Give the blocks back: a full disk needs them. If that is refused too,
		// the first error is the one to know.
		_ = truncateDescriptor(fd, old)
		return pathError("allocate", f.name, err)
	}
	return nil
}

func extend(fd int, old, size int64, how Allocation) error {
	if how == Reserved {
		err := reserve(fd, old, size)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return zeroFill(fd, old, size)
}

func zeroFill(fd int, from, to int64) error {
	for from < to {
		n, err := writeFully(fd, zeros[:min(to-from, zeroFillBytes)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

func (f *osFile) Sync() error {
	fd, err := f.fd("sync")
	if err != nil {
		return err
	}
	if err := syncEverything(fd); err != nil {
		return pathError("sync", f.name, err)
	}
	return nil
}

func (f *osFile) SyncData() error {
	fd, err := f.fd("sync data of")
	if err != nil {
		return err
	}
	if err := syncData(fd); err != nil {
		return pathError("sync data of", f.name, err)
	}
	return nil
}

func (f *osFile) Map(length int64) (Mapping, error) {
	fd, err := f.fd("map")
	if err != nil {
		return nil, err
	}
	if length < 0 || int64(int(length)) != length {
		return nil, pathError("map", f.name, unix.EINVAL)
	}
	mapping := &osMapping{system: f.system, name: f.name}
	if length > 0 {
		bytes, err := unix.Mmap(fd, 0, int(length), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return nil, pathError("map", f.name, err)
		}
		mapping.bytes = bytes
	}
	f.system.maps.Add(1)
	return mapping, nil
}

type osMapping struct {
	system *osFS
	name   string
	bytes  []byte // nil for a map of length 0
	closed atomic.Bool
}

func (m *osMapping) Bytes() []byte { return m.bytes }

func (m *osMapping) Close() error {
	if m.closed.Swap(true) {
		return pathError("unmap", m.name, fs.ErrClosed)
	}
	m.system.maps.Add(-1)
	if m.bytes == nil {
		return nil
	}
	if err := unix.Munmap(m.bytes); err != nil {
		return pathError("unmap", m.name, err)
	}
	return nil
}
