package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// rootLock makes one engine at a time the one that may write to a root. It is on
// the directory, which nobody can take away from under a running engine as they can
// a file in it, and on the file LOCK, for file systems that lock no directories.
type rootLock struct {
	directory io.Closer // nil: not held, or not to be had
	file      io.Closer // nil: not held
}

func (r *rootLock) release() (err error) {
	for _, held := range []io.Closer{r.file, r.directory} {
		if held != nil {
			err = errors.Join(err, held.Close())
		}
	}
	*r = rootLock{}
	return err
}

// lockMadeRoot takes a root that was made before, and reports whether it was. One
// that was not would be changed by making its LOCK: its directory alone is locked, if
// it is there.
func (e *Engine) lockMadeRoot() (made bool, err error) {
	if err := e.lockDirectory(); err != nil {
		return false, err
	}
	_, missing := e.opts.FS.Stat(filepath.Join(e.dir, lockFileName))
	if made = missing == nil; made {
		err = e.takeRoot()
	}
	return made, err
}

// takeRoot makes the directory, if it is not there, and this engine the one that
// may write to it.
func (e *Engine) takeRoot() error {
	if err := vfs.MkdirAllSync(e.opts.FS, e.dir); err != nil {
		return fmt.Errorf("create root: %w", err)
	}
	if err := e.lockDirectory(); err != nil {
		return err
	}
	return e.lockFile()
}

// lockDirectory locks the directory, if it is there, can be locked and is not yet.
func (e *Engine) lockDirectory() (err error) {
	if e.lock.directory != nil {
		return nil
	}
	if _, err := e.opts.FS.Stat(e.dir); errors.Is(err, fs.ErrNotExist) {
		return nil // locking it would make a file
	}
	lock, err := e.takeLock(e.dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	e.lock.directory = lock
	return err
}

func (e *Engine) lockFile() (err error) {
	e.lock.file, err = e.takeLock(filepath.Join(e.dir, lockFileName))
	return err
}

func (e *Engine) takeLock(path string) (io.Closer, error) {
	lock, err := e.opts.FS.Lock(path)
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("%w: %s; stop that process or choose another root", ErrRootInUse, e.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock root: %w", err)
	}
	return lock, nil
}
