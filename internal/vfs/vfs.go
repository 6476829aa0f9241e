// Package vfs is the one seam for file I/O. Everything that the project reads
// from or writes to a local disk goes through [FS] and [File], so that the same
// production code runs on the operating system, on an in-memory disk that can
// lose power ([Mem]), under a fault injector ([Faulty]) and under a recorder of
// I/O traces ([Traced]). It is also the only package that maps memory.
//
// Paths use the operating system's separator; nothing here checks names that
// come from outside: callers do, before they build a path.
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

var (
	// ErrLocked is returned by FS.Lock when another process, or another holder
	// in this process, has the lock.
	ErrLocked = errors.New("vfs: locked by another holder")

	// ErrFault is matched by the error that Guard returns when a read through a
	// map faulted: a bad sector, or a file that became shorter than its map.
	ErrFault = errors.New("vfs: fault while reading a mapped file")
)

// FS is a file system. Implementations are safe for concurrent use. Errors
// match fs.ErrNotExist, fs.ErrExist and the syscall errors (ENOSPC, EIO) with
// errors.Is. A create, link, rename or remove is durable only after SyncDir of
// the directory that holds the name.
type FS interface {
	// Create makes a new empty file for reading and writing. It fails with
	// fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading only.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing.
	OpenReadWrite(name string) (File, error)
	// Rename moves a file over newName, atomically, within one file system.
	Rename(oldName, newName string) error
	// Link gives a file a second name and fails with fs.ErrExist if that is
	// taken: the portable create-if-absent of a complete file.
	Link(oldName, newName string) error
	// Remove deletes a file or an empty directory.
	Remove(name string) error
	// MkdirAll makes a directory and its missing parents. It syncs nothing; see
	// MkdirAllSync.
	MkdirAll(dir string) error
	// ReadDir lists the names in a directory in byte order.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// Stat describes a file or directory.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive advisory lock on a directory that is there, or on
	// a file, creating it if needed, and fails with ErrLocked at once if it is
	// held. It is on what the name stands for now, whatever becomes of the name,
	// and lasts until the returned Closer is closed or the process ends. Where
	// the file system locks no directories the error for one matches
	// errors.ErrUnsupported.
	Lock(name string) (io.Closer, error)
	// Usage reports the size and the free bytes of the file system of dir.
	Usage(dir string) (Usage, error)
}

// Usage is the size of a file system and what an unprivileged writer may still
// use of it, in bytes.
type Usage struct {
	TotalBytes int64
	FreeBytes  int64
}

// File is an open file. Reads and writes at distinct offsets may run
// concurrently; Close must be the last call.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// Name is the path that the file was opened by. A rename does not change it.
	Name() string
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Truncate sets the length; a part that is added reads as zeros.
	Truncate(size int64) error
	// Allocate extends the file to size bytes that read as zeros and whose
	// blocks exist, so that writing inside them cannot fail with ENOSPC. How is
	// chosen by how. A file that is already as long is left alone.
	Allocate(size int64, how Allocation) error
	// Sync makes data and metadata durable. After an error the state of every
	// byte written since the last successful sync is unknown, and calling it
	// again proves nothing.
	Sync() error
	// SyncData makes data durable, and the metadata that is needed to read it
	// back (fdatasync).
	SyncData() error
	// Map maps the first length bytes for reading. Reading past the end of the
	// file faults: wrap accesses in Guard. The map outlives the file and must
	// be closed on its own.
	Map(length int64) (Mapping, error)
}

// Mapping is a read-only view of a file's bytes that follows later writes.
type Mapping interface {
	// Bytes is the mapped memory, valid until Close. It must not be written to.
	Bytes() []byte
	// Close unmaps. No slice of Bytes may be touched afterwards.
	Close() error
}

// Allocation says how Allocate makes blocks.
type Allocation int

const (
	// ZeroFilled writes zeros: later syncs change no extent state.
	ZeroFilled Allocation = iota
	// Reserved asks the file system for blocks (fallocate) and writes zeros
	// where it cannot give them.
	Reserved
)
