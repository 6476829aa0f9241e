package engine

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"
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

	// changing serialises what is done to the file, which is I/O, and guards
	// nothing else.
	changing sync.Mutex
	// missing says that it is not there in full.
	missing atomic.Bool
}

// restore makes the reserve if it is missing. A disk that has no room for it
// is no error: the reserve is taken back when there is.
func (r *reserve) restore() error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if info, err := r.fs.Stat(r.path); err == nil && info.Size() == r.bytes {
		r.missing.Store(false)
		return nil
	}
	file, err := r.fs.OpenReadWrite(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = r.fs.Create(r.path)
	}
	if isNoSpace(err) {
		r.missing.Store(true)
		return nil
	}
	if err != nil {
		return err
	}
	err = file.Allocate(r.bytes, vfs.Reserved)
	r.missing.Store(err != nil)
	if isNoSpace(err) {
		err = file.Truncate(0) // a part of it would take the room that others need
	}
	return errors.Join(err, file.Close())
}

// takeBack makes the reserve again if it was given up, now that something else
// found room.
func (r *reserve) takeBack(logger *slog.Logger) {
	if !r.missing.Load() {
		return
	}
	if err := r.restore(); err != nil {
		logger.Warn("reserve_not_restored", "group", "aof2.flush", "error", err)
	}
}

// release gives the room up.
func (r *reserve) release() error {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.missing.Store(true)
	file, err := r.fs.OpenReadWrite(r.path)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(0), file.Close())
}
