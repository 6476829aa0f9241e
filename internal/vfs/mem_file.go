package vfs

import (
	"io"
	"io/fs"
	"syscall"
)

// This file is an open file of the simulated disk.

// memFile is guarded, like all of a disk, by the disk's lock.
type memFile struct {
	disk     *Mem
	node     *memNode
	name     string
	writable bool
	closed   bool // by its owner, or by a crash
}

func (m *Mem) newFileLocked(node *memNode, name string, writable bool) *memFile {
	f := &memFile{disk: m, node: node, name: name, writable: writable}
	node.users++
	m.mu.files[f] = true
	return f
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) usableLocked() error {
	switch {
	case f.disk.mu.halted:
		return ErrHalted
	case f.closed:
		return fs.ErrClosed
	}
	return nil
}

func (f *memFile) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usableLocked(); err != nil {
		return pathError("close", f.name, err)
	}
	f.closed = true
	delete(f.disk.mu.files, f)
	f.disk.leaveLocked(f.node)
	return nil
}

func (m *Mem) leaveLocked(node *memNode) {
	node.users--
	m.freeLocked(node)
}

func (f *memFile) ReadAt(p []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.usableLocked()
	if err == nil && offset < 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return 0, pathError("read", f.name, err)
	}
	n := f.node.content.read(p, offset)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usableLocked(); err != nil {
		return 0, pathError("stat", f.name, err)
	}
	return int64(f.node.content.size), nil
}

func (f *memFile) WriteAt(p []byte, offset int64) (int, error) {
	f.disk.announce(Operation{Kind: OpWrite, Path: f.name, Offset: offset, Length: int64(len(p))})
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.writeLocked(p, offset)
	if err != nil {
		return n, pathError("write", f.name, err)
	}
	return n, nil
}

func (f *memFile) writeLocked(p []byte, offset int64) (int, error) {
	if err := f.usableLocked(); err != nil {
		return 0, err
	}
	crash, err := f.disk.countLocked()
	if err == nil {
		err = checkRange(offset, int64(len(p)))
	}
	if err == nil && !f.writable {
		err = syscall.EBADF
	}
	if crash {
		if err == nil {
			_, _ = f.node.content.write(p[:f.crashPrefix(int(offset), len(p))], int(offset))
		}
		return 0, f.disk.crashLocked()
	}
	if err != nil {
		return 0, err
	}
	f.node.changed = int64(f.disk.mu.operations)
	return f.node.content.write(p, int(offset))
}

// crashPrefix is how much of a write is done by a process that is killed inside
// it: a part that ends at the border of a page.
func (f *memFile) crashPrefix(offset, length int) int {
	pages := f.node.random.below(length/pageBytes + 2)
	if pages == 0 {
		return 0
	}
	return min(length, (pageOf(offset)+pages)*pageBytes-offset)
}

// change runs a counted operation other than a write.
func (f *memFile) change(verb string, op Operation, needsWrite bool, do func(*memContent) error) error {
	f.disk.announce(op)
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.usableLocked()
	crash := false
	if err == nil {
		crash, err = f.disk.countLocked()
	}
	if err == nil && needsWrite && !f.writable {
		err = syscall.EINVAL
	}
	if crash {
		if err == nil && op.Kind == OpAllocate {
			f.allocatePart(op.Length)
		}
		err = f.disk.crashLocked()
	}
	if err == nil {
		err = do(f.node.content)
	}
	if err != nil {
		return pathError(verb, f.name, err)
	}
	return nil
}

// allocatePart is what a process leaves that is killed inside an allocation.
func (f *memFile) allocatePart(size int64) {
	c := f.node.content
	if checkRange(0, size) != nil || int(size) <= c.size {
		return
	}
	if part := f.crashPrefix(c.size, int(size)-c.size); part > 0 {
		_ = c.allocate(c.size + part) // a full disk stops it before the crash
	}
}

func (f *memFile) Truncate(size int64) error {
	op := Operation{Kind: OpTruncate, Path: f.name, Length: size}
	return f.change("truncate", op, true, func(c *memContent) error {
		if err := checkRange(0, size); err != nil {
			return err
		}
		f.node.changed = int64(f.disk.mu.operations)
		c.truncate(int(size))
		return nil
	})
}

func (f *memFile) Allocate(size int64, how Allocation) error {
	op := Operation{Kind: OpAllocate, Path: f.name, Length: size}
	return f.change("allocate", op, true, func(c *memContent) error {
		if err := checkRange(0, size); err != nil {
			return err
		}
		f.node.changed = int64(f.disk.mu.operations)
		return c.allocate(int(size))
	})
}

func (f *memFile) Sync() error {
	return f.change("sync", Operation{Kind: OpSync, Path: f.name}, false, f.syncLocked)
}

func (f *memFile) SyncData() error {
	return f.change("sync data of", Operation{Kind: OpSyncData, Path: f.name}, false, f.syncLocked)
}

func (f *memFile) syncLocked(c *memContent) error {
	if f.disk.syncFailsLocked() {
		c.failSync(f.disk.mu.loseSizeOnFail)
		return syscall.EIO
	}
	c.sync()
	return nil
}
