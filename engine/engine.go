package engine

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Engine owns a root directory: its lock, its byte budget and its logs. All
// methods are safe for concurrent use.
type Engine struct {
	dir      string
	opts     Options
	readOnly bool
	root     rootFile
	lock     io.Closer
	hot      hotBudget
	reserve  reserve
	blocks   blockPool
	unsealed atomic.Int64 // logs that have an unsealed segment

	// lifecycle serialises opening and closing, which do I/O.
	lifecycle sync.Mutex

	mu struct {
		sync.Mutex
		logs   map[string]*Log
		closed bool
	}
}

// Open opens the root at dir for writing and makes it if there is none. One
// engine at a time may have a root open: ErrRootInUse says that another has.
func Open(dir string, opts Options) (*Engine, error) {
	opts.ensureDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if err := vfs.MkdirAllSync(opts.FS, dir); err != nil {
		return nil, fmt.Errorf("create root: %w", err)
	}
	lock, err := opts.FS.Lock(filepath.Join(dir, lockFileName))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("%w: %s; stop that process or choose another root", ErrRootInUse, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock root: %w", err)
	}
	e := &Engine{dir: dir, opts: opts, lock: lock}
	if err := e.openRoot(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return e, nil
}

func (e *Engine) openRoot() (err error) {
	if e.root, err = openRoot(e.opts.FS, e.dir, e.opts.Now().UnixNano()); err != nil {
		return err
	}
	e.hot.limit = e.opts.HotBytesMax
	e.reserve = reserve{fs: e.opts.FS, path: filepath.Join(e.dir, reserveFileName), bytes: e.opts.reserveBytes}
	e.mu.logs = make(map[string]*Log)
	return e.reserve.restore()
}

// OpenReadOnly opens the root at dir without a lock and without writing to it;
// another process may be appending to it. Its logs serve the prefix that was
// durable at the last Refresh.
func OpenReadOnly(dir string) (*Engine, error) {
	return openReadOnly(dir, Options{})
}

func openReadOnly(dir string, opts Options) (*Engine, error) {
	opts.ensureDefaults()
	root, err := readRoot(opts.FS, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is no root (it has no %s)", ErrNotFound, dir, engineFileName)
	}
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, opts: opts, readOnly: true, root: root}
	e.mu.logs = make(map[string]*Log)
	return e, nil
}

// OpenLog opens the named log, running recovery if the last owner did not close
// it, or creates it. A log that is open already is returned as it is; its
// options stay. The error matches ErrInvalidOptions for a bad name or option
// and ErrNotFound for a missing log of a read-only engine.
func (e *Engine) OpenLog(name string, opts LogOptions) (*Log, error) {
	if err := ValidateLogName(name); err != nil {
		return nil, err
	}
	opts.ensureDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	if log, err := e.openedLog(name); log != nil || err != nil {
		return log, err
	}
	log, err := e.openLog(name, opts)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.logs[name] = log
	return log, nil
}

func (e *Engine) openedLog(name string) (*Log, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return nil, ErrClosed
	}
	return e.mu.logs[name], nil
}

// forget drops a closed log, so that it can be opened again.
func (e *Engine) forget(log *Log) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.logs[log.name] == log {
		delete(e.mu.logs, log.name)
	}
}

func (e *Engine) openLog(name string, opts LogOptions) (*Log, error) {
	identity, created, err := e.openIdentity(name)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(identity.LogID, 16, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: log id %q in %s", ErrDamaged, identity.LogID, logFileName)
	}
	log := newLog(e, name, id, opts)
	log.created = identity.CreatedNS
	if e.readOnly {
		err := log.refresh()
		return log, err
	}
	if err := log.recover(); err != nil {
		return nil, errors.Join(err, log.journal.close(false, closeMark{}), log.release())
	}
	if created {
		log.emit(Event{Kind: EventLogCreated})
	}
	log.start()
	return log, nil
}

// openIdentity reads the log's fixed facts, or creates the log.
func (e *Engine) openIdentity(name string) (identity logFile, created bool, err error) {
	paths := newLogLayout(e.dir, name)
	if !e.readOnly {
		if err := settleNames(e.opts.FS, paths.dir); err != nil {
			return identity, false, err
		}
	}
	err = readJSON(e.opts.FS, paths.logFile(), &identity)
	switch {
	case err == nil && identity.FormatVersion > rootFormatVersion:
		return identity, false, fmt.Errorf("%w: %s", ErrNewerFormat, paths.logFile())
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return identity, false, err
	case e.readOnly:
		return identity, false, fmt.Errorf("%w: no log of this name in %s", ErrNotFound, e.dir)
	}
	identity, err = e.createIdentity(name, paths)
	return identity, err == nil, err
}

// createIdentity makes the directories and the identity of a new log. It never
// gives a new identity to segments that are there already.
func (e *Engine) createIdentity(name string, paths logLayout) (identity logFile, err error) {
	for _, dir := range []string{paths.segments, paths.quarantine} {
		if err := vfs.MkdirAllSync(e.opts.FS, dir); err != nil {
			return identity, fmt.Errorf("create log: %w", err)
		}
	}
	entries, err := e.opts.FS.ReadDir(paths.segments)
	if err != nil {
		return identity, fmt.Errorf("list segments: %w", err)
	}
	for _, entry := range entries {
		if _, isSegment := parseSegmentName(entry.Name()); isSegment {
			return identity, fmt.Errorf("%w: %s is missing and %s holds segments; put it back from a copy", ErrDamaged, paths.logFile(), paths.segments)
		}
	}
	identity = logFile{
		FormatVersion: rootFormatVersion, Name: name,
		LogID: fmt.Sprintf("%016x", e.opts.random()), CreatedNS: e.opts.Now().UnixNano(),
	}
	return identity, writeJSON(e.opts.FS, paths.logFile(), identity)
}

// Logs returns the names of the logs on disk, sorted.
func (e *Engine) Logs() ([]string, error) {
	entries, err := e.opts.FS.ReadDir(filepath.Join(e.dir, logsDirName))
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && ValidateLogName(entry.Name()) == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Refresh makes the logs of a read-only engine see what became durable since.
func (e *Engine) Refresh() error {
	if !e.readOnly {
		return nil
	}
	var failures []error
	for _, log := range e.openLogs() {
		failures = append(failures, log.refresh())
	}
	return errors.Join(failures...)
}

func (e *Engine) openLogs() []*Log {
	e.mu.Lock()
	defer e.mu.Unlock()
	logs := make([]*Log, 0, len(e.mu.logs))
	for _, log := range e.mu.logs {
		logs = append(logs, log)
	}
	return logs
}

// Close closes every log cleanly and gives the root up. Calling it again
// returns nil.
func (e *Engine) Close() error {
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	if e.markClosed() {
		return nil
	}
	var failures []error
	for _, log := range e.openLogs() {
		failures = append(failures, log.Close())
	}
	if e.lock != nil {
		failures = append(failures, e.lock.Close())
	}
	return errors.Join(failures...)
}

func (e *Engine) markClosed() (was bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was, e.mu.closed = e.mu.closed, true
	return was
}

// randomID returns a random number that is not zero.
func randomID() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}
