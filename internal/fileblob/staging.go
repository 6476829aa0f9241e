package fileblob

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file is where objects are written before they have a name: the temporary
// files of one open bucket, and the removal of those whose owner is dead.

const (
	stagingName = ".tmp"
	lockName    = "lock"

	// newLockSuffix ends the name of a lock that is not in its directory yet.
	newLockSuffix = ".lock"

	sessionIDBytes     = 16
	sessionAttemptsMax = 16
)

// staging hands out temporary files. A bucket that is never written to makes
// none, and no directory for them.
type staging struct {
	fsys   vfs.FS
	root   string
	random io.Reader

	// mu also serialises the making and ending of sessions, which is I/O, so
	// that one bucket has one session.
	mu struct {
		sync.Mutex
		current *session
		closed  bool
	}
}

// session is a directory of temporary files and the lock that says that its
// owner lives. It is guarded by the lock of its staging.
type session struct {
	dir     string
	lock    io.Closer
	files   uint64 // names given out, ever
	users   int    // temporary files that are not done
	retired bool   // ends with its last user
}

// temporary is one file that is being written, or its name alone once the file
// is closed. One goroutine uses it.
type temporary struct {
	file    vfs.File
	name    string
	area    *staging
	session *session
}

// create makes a temporary file. The caller must call done.
func (s *staging) create() (*temporary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, ErrClosed
	}
	temp, err := s.createLocked()
	if errors.Is(err, fs.ErrNotExist) {
		// Somebody took this bucket for dead, or removed everything.
		_ = s.retireLocked()
		temp, err = s.createLocked()
	}
	return temp, asVanished(err)
}

func (s *staging) createLocked() (*temporary, error) {
	if s.mu.current == nil {
		opened, err := s.openSessionLocked()
		if err != nil {
			return nil, fmt.Errorf("make directory for temporary files: %w", err)
		}
		s.mu.current = opened
	}
	current := s.mu.current
	current.files++
	name := filepath.Join(current.dir, strconv.FormatUint(current.files, 10))
	file, err := s.fsys.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	current.users++
	return &temporary{file: file, name: name, area: s, session: current}, nil
}

// openSessionLocked makes a directory with a lock that has its name only once it
// is held. Until then a sweep may take the session for dead, so others are tried.
func (s *staging) openSessionLocked() (*session, error) {
	for attempt := 1; ; attempt++ {
		opened, err := s.trySession()
		if err == nil {
			s.sweep(opened.dir)
			return opened, nil
		}
		swept := errors.Is(err, fs.ErrNotExist) || errors.Is(err, vfs.ErrLocked)
		if !swept || attempt == sessionAttemptsMax {
			return nil, err
		}
	}
}

func (s *staging) trySession() (*session, error) {
	var id [sessionIDBytes]byte
	if _, err := io.ReadFull(s.random, id[:]); err != nil {
		return nil, fmt.Errorf("choose a name: %w", err)
	}
	dir := filepath.Join(s.root, hex.EncodeToString(id[:]))
	if err := s.fsys.MkdirAll(s.root); err != nil {
		return nil, err
	}
	lock, err := s.fsys.Lock(dir + newLockSuffix)
	if err != nil {
		return nil, err
	}
	err = s.fsys.MkdirAll(dir)
	if err == nil {
		err = s.fsys.Rename(dir+newLockSuffix, filepath.Join(dir, lockName))
	}
	if err != nil {
		_ = s.fsys.Remove(dir) // what stays of it is swept
		_ = s.fsys.Remove(dir + newLockSuffix)
		_ = lock.Close() // nothing was written through it
		return nil, err
	}
	return &session{dir: dir, lock: lock}, nil
}

// sweep removes the sessions of dead owners. What it cannot remove stays for the
// next one: nothing depends on it.
func (s *staging) sweep(own string) {
	entries, err := s.fsys.ReadDir(s.root)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name, isNewLock := strings.CutSuffix(entry.Name(), newLockSuffix)
		dir := filepath.Join(s.root, name)
		if id, err := hex.DecodeString(name); err != nil || len(id) != sessionIDBytes || dir == own {
			continue
		}
		if isNewLock {
			s.sweepNewLock(dir)
		} else {
			s.sweepLocked(filepath.Join(dir, lockName), dir)
		}
	}
}

// sweepNewLock removes a session whose lock did not get into its directory. It may
// get there after the name was listed: taking the lock then makes a new file of
// that name, which says nothing about the session.
func (s *staging) sweepNewLock(dir string) {
	path := dir + newLockSuffix
	if _, err := s.fsys.Stat(path); err != nil {
		return
	}
	lock, err := s.fsys.Lock(path)
	if err != nil {
		return // its owner lives, or nobody can tell
	}
	if _, err := s.fsys.Stat(filepath.Join(dir, lockName)); errors.Is(err, fs.ErrNotExist) {
		s.removeSession(path, dir)
	} else {
		_ = s.fsys.Remove(path)
	}
	_ = lock.Close() // its file is gone; nothing was written through it
}

// sweepLocked removes a session if its lock is free. Of a session without its
// lock nothing but an empty directory is left, or nobody can tell.
func (s *staging) sweepLocked(lockPath, dir string) {
	if _, err := s.fsys.Stat(lockPath); err != nil {
		_ = s.fsys.Remove(dir)
		return
	}
	lock, err := s.fsys.Lock(lockPath)
	if err != nil {
		return // its owner lives, or nobody can tell
	}
	s.removeSession(lockPath, dir)
	_ = lock.Close() // its file is gone; nothing was written through it
}

// removeSession removes a session's files while its lock is held; the lock's own
// name goes only when nothing else is left.
func (s *staging) removeSession(lockPath, dir string) {
	entries, err := s.fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		if name != lockPath && s.fsys.Remove(name) != nil {
			return
		}
	}
	_ = s.fsys.Remove(lockPath)
	_ = s.fsys.Remove(dir)
}

// close ends the session once no writer is left.
func (s *staging) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	return s.retireLocked()
}

func (s *staging) retireLocked() error {
	old := s.mu.current
	s.mu.current = nil
	if old == nil {
		return nil
	}
	old.retired = true
	return s.endUnusedLocked(old)
}

func (s *staging) endUnusedLocked(old *session) error {
	if !old.retired || old.users > 0 {
		return nil
	}
	s.removeSession(filepath.Join(old.dir, lockName), old.dir)
	if err := old.lock.Close(); err != nil {
		return fmt.Errorf("release lock of temporary files: %w", err)
	}
	return nil
}

// done removes the temporary name, if it still leads to a file, and closes the
// file if that was not done. A name that stays is removed with its session.
func (t *temporary) done() {
	if t.file != nil {
		_ = t.file.Close() // it is given up
		t.file = nil
	}
	_ = t.area.fsys.Remove(t.name)
	t.area.mu.Lock()
	defer t.area.mu.Unlock()
	t.session.users--
	_ = t.area.endUnusedLocked(t.session) // the bucket is closed: nobody is left to tell
}

// finish syncs and closes the file.
func (t *temporary) finish() error {
	file := t.file
	t.file = nil
	syncErr := file.Sync()
	if err := file.Close(); err != nil && syncErr == nil {
		return fmt.Errorf("close temporary file: %w", err)
	}
	if syncErr != nil {
		return fmt.Errorf("sync temporary file: %w", syncErr)
	}
	return nil
}
