package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file opens and creates the logs of an engine.

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
	e.coordinator.poke() // moves that the last process did not finish
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

func (e *Engine) openLog(name string, opts LogOptions) (*Log, error) {
	identity, created, err := e.openIdentity(name)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(identity.LogID, 16, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: log id %q in %s; %s", ErrDamaged, identity.LogID, logFileName, logFileRemedy)
	}
	log := newLog(e, name, id, opts)
	log.fixed = identity
	if e.bucket != nil {
		if log.folder, err = e.bucket.Log(identity.bucketFolder()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
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
	if e.bucketOnly {
		identity, err = e.bucketIdentity(context.Background(), name)
		return identity, false, err
	}
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
	case err == nil && identity.Name != "" && identity.Name != name:
		return identity, false, fmt.Errorf("%w: %s names the log %q: two logs of one id would share a folder in the bucket; "+
			"move a copy to another root, or name the directory %s again", ErrDamaged, paths.logFile(), identity.Name, identity.Name)
	case errors.Is(err, ErrDamaged):
		return identity, false, fmt.Errorf("%w; %s", err, logFileRemedy)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return identity, false, err
	}
	if err := e.checkNew(paths); err != nil {
		return identity, false, err
	}
	if e.readOnly {
		return identity, false, fmt.Errorf("%w: no log of this name in %s", ErrNotFound, e.dir)
	}
	identity, err = e.createIdentity(name, paths)
	return identity, err == nil, err
}

// logFileRemedy is what to do about a log.json that is lost.
const logFileRemedy = "put it back from a copy: in a bucket it lies in the folder of the log"

// checkNew refuses to take a log for a new one that has segments already.
func (e *Engine) checkNew(paths logLayout) error {
	entries, err := e.opts.FS.ReadDir(paths.segments)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list segments: %w", err)
	}
	for _, entry := range entries {
		if _, isSegment := parseSegmentName(entry.Name()); isSegment {
			return fmt.Errorf("%w: %s is missing and %s holds segments; %s", ErrDamaged, paths.logFile(), paths.segments, logFileRemedy)
		}
	}
	return nil
}

// createIdentity makes the directories and the identity of a new log.
func (e *Engine) createIdentity(name string, paths logLayout) (identity logFile, err error) {
	for _, dir := range []string{paths.segments, paths.quarantine} {
		if err := vfs.MkdirAllSync(e.opts.FS, dir); err != nil {
			return identity, fmt.Errorf("create log: %w", err)
		}
	}
	identity = logFile{
		FormatVersion: rootFormatVersion, Name: name,
		LogID: fmt.Sprintf("%016x", e.opts.random()), CreatedNS: e.opts.Now().UnixNano(),
	}
	identity.BucketFolder = identity.bucketFolder()
	return identity, writeJSON(e.opts.FS, paths.logFile(), identity)
}

// Logs returns the names of the logs on disk, sorted.
func (e *Engine) Logs() ([]string, error) {
	if e.bucketOnly {
		folders, err := e.bucketLogs(context.Background())
		return slices.Sorted(maps.Keys(folders)), err
	}
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
