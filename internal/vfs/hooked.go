package vfs

import (
	"io"
	"io/fs"
)

// This file turns every call of a file system into an Operation that one
// function sees: what Faulty and Traced have in common.

// around is called for each operation. It calls do to let it happen, with the
// number of bytes that a write may use; other operations ignore the number.
type around func(op Operation, do func(bytesMax int64) error) error

// hooked is a file system whose every operation goes through around.
type hooked struct {
	inner  FS
	around around
}

// OpenFiles counts what is open in the wrapped file system.
func (h *hooked) OpenFiles() int {
	files, _ := OpenHandles(h.inner)
	return files
}

// OpenMaps counts what is mapped in the wrapped file system.
func (h *hooked) OpenMaps() int {
	_, maps := OpenHandles(h.inner)
	return maps
}

func (h *hooked) simple(op Operation, do func() error) error {
	return h.around(op, func(int64) error { return do() })
}

func (h *hooked) file(kind OperationKind, name string, open func(string) (File, error)) (File, error) {
	var file File
	err := h.simple(Operation{Kind: kind, Path: name}, func() (err error) {
		file, err = open(name)
		return err
	})
	if err != nil {
		if file != nil { // it was opened, and then said to have failed
			_ = file.Close()
		}
		return nil, err
	}
	return &hookedFile{File: file, hooks: h}, nil
}

// Create makes a new file; see [FS].
func (h *hooked) Create(name string) (File, error) {
	return h.file(OpCreate, name, h.inner.Create)
}

// Open opens a file for reading; see [FS].
func (h *hooked) Open(name string) (File, error) {
	return h.file(OpOpen, name, h.inner.Open)
}

// OpenReadWrite opens a file for reading and writing; see [FS].
func (h *hooked) OpenReadWrite(name string) (File, error) {
	return h.file(OpOpen, name, h.inner.OpenReadWrite)
}

// Rename moves a file; see [FS].
func (h *hooked) Rename(oldName, newName string) error {
	op := Operation{Kind: OpRename, Path: oldName, NewPath: newName}
	return h.simple(op, func() error { return h.inner.Rename(oldName, newName) })
}

// Link gives a file a second name; see [FS].
func (h *hooked) Link(oldName, newName string) error {
	op := Operation{Kind: OpLink, Path: oldName, NewPath: newName}
	return h.simple(op, func() error { return h.inner.Link(oldName, newName) })
}

// Remove deletes a file or an empty directory; see [FS].
func (h *hooked) Remove(name string) error {
	return h.simple(Operation{Kind: OpRemove, Path: name}, func() error { return h.inner.Remove(name) })
}

// MkdirAll makes a directory and its missing parents; see [FS].
func (h *hooked) MkdirAll(dir string) error {
	return h.simple(Operation{Kind: OpMkdir, Path: dir}, func() error { return h.inner.MkdirAll(dir) })
}

// ReadDir lists the names in a directory; see [FS].
func (h *hooked) ReadDir(dir string) (entries []fs.DirEntry, err error) {
	err = h.simple(Operation{Kind: OpReadDir, Path: dir}, func() (err error) {
		entries, err = h.inner.ReadDir(dir)
		return err
	})
	return entries, err
}

// Stat describes a file or directory; see [FS].
func (h *hooked) Stat(name string) (info fs.FileInfo, err error) {
	err = h.simple(Operation{Kind: OpStat, Path: name}, func() (err error) {
		info, err = h.inner.Stat(name)
		return err
	})
	return info, err
}

// SyncDir makes the names in a directory durable; see [FS].
func (h *hooked) SyncDir(dir string) error {
	return h.simple(Operation{Kind: OpSyncDir, Path: dir}, func() error { return h.inner.SyncDir(dir) })
}

// Lock takes an exclusive lock; see [FS].
func (h *hooked) Lock(name string) (io.Closer, error) {
	var lock io.Closer
	err := h.simple(Operation{Kind: OpLock, Path: name}, func() (err error) {
		lock, err = h.inner.Lock(name)
		return err
	})
	if err != nil {
		if lock != nil {
			_ = lock.Close()
		}
		return nil, err
	}
	return lock, nil
}

// Usage reports the size of a file system; see [FS].
func (h *hooked) Usage(dir string) (usage Usage, err error) {
	err = h.simple(Operation{Kind: OpUsage, Path: dir}, func() (err error) {
		usage, err = h.inner.Usage(dir)
		return err
	})
	return usage, err
}

// hookedFile passes Name, Size and Close on as they are.
type hookedFile struct {
	File
	hooks *hooked
}

func (f *hookedFile) operation(kind OperationKind, offset, length int64) Operation {
	return Operation{Kind: kind, Path: f.Name(), Offset: offset, Length: length}
}

func (f *hookedFile) ReadAt(p []byte, offset int64) (n int, err error) {
	err = f.hooks.simple(f.operation(OpRead, offset, int64(len(p))), func() (err error) {
		n, err = f.File.ReadAt(p, offset)
		return err
	})
	return n, err
}

func (f *hookedFile) WriteAt(p []byte, offset int64) (n int, err error) {
	length := int64(len(p))
	err = f.hooks.around(f.operation(OpWrite, offset, length), func(bytesMax int64) (err error) {
		n, err = f.File.WriteAt(p[:min(length, bytesMax)], offset)
		return err
	})
	return n, err
}

func (f *hookedFile) Truncate(size int64) error {
	return f.hooks.simple(f.operation(OpTruncate, 0, size), func() error { return f.File.Truncate(size) })
}

func (f *hookedFile) Allocate(size int64, how Allocation) error {
	return f.hooks.simple(f.operation(OpAllocate, 0, size), func() error { return f.File.Allocate(size, how) })
}

func (f *hookedFile) Sync() error {
	return f.hooks.simple(f.operation(OpSync, 0, 0), f.File.Sync)
}

func (f *hookedFile) SyncData() error {
	return f.hooks.simple(f.operation(OpSyncData, 0, 0), f.File.SyncData)
}

func (f *hookedFile) Map(length int64) (mapping Mapping, err error) {
	err = f.hooks.simple(f.operation(OpMap, 0, length), func() (err error) {
		mapping, err = f.File.Map(length)
		return err
	})
	if err != nil {
		if mapping != nil {
			_ = mapping.Close()
		}
		return nil, err
	}
	return mapping, nil
}
