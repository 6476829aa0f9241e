package engine

import (
	"errors"
	"io/fs"
	"sync/atomic"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// hotBudget counts the bytes of all segment files of an engine, preallocated
// ones included, against a limit.
type hotBudget struct {
	limit int64
	used  atomic.Int64
}

// take counts bytes if they fit and reports whether they did.
func (b *hotBudget) take(bytes int64) bool {
	for {
		used := b.used.Load()
		if used+bytes > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+bytes) {
			return true
		}
	}
}

// adopt counts bytes that exist already, whatever the limit says.
func (b *hotBudget) adopt(bytes int64) { b.used.Add(bytes) }

// giveBack takes bytes out of the count.
func (b *hotBudget) giveBack(bytes int64) { b.used.Add(-bytes) }

// reserveBytes is the size of the file that is given up when the disk is full,
// so that seals and metadata still find room.
const reserveBytes = 16 << 20

// reserve is that file.
type reserve struct {
	fs    vfs.FS
	path  string
	bytes int64
}

// restore makes the reserve if it is missing. A disk that has no room for it
// is no error: the reserve is taken back when there is.
func (r *reserve) restore() error {
	if info, err := r.fs.Stat(r.path); err == nil && info.Size() == r.bytes {
		return nil
	}
	file, err := r.fs.OpenReadWrite(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = r.fs.Create(r.path)
	}
	if err != nil {
		return err
	}
	err = file.Allocate(r.bytes, vfs.Reserved)
	if isNoSpace(err) {
		err = nil
	}
	return errors.Join(err, file.Close())
}

// release gives the room up.
func (r *reserve) release() error {
	file, err := r.fs.OpenReadWrite(r.path)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(0), file.Close())
}
