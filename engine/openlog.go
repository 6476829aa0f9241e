package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

// This file opens and creates the logs of an engine.

// OpenLog opens the named log, running recovery if the last owner did not close
// it, or creates it. A log that is open already is returned as it is; its
// options stay. One that is being closed is opened again when it is. In a bucket
// that is opened alone a log has two names: its own, and that of its folder, which
// is NAME.ID, for where several logs have one name. The error matches
// ErrInvalidOptions for a bad name or option, and for a name that several logs
// have, and ErrNotFound for a missing log of a read-only engine.
func (e *Engine) OpenLog(name string, opts LogOptions) (*Log, error) {
	if err := e.validateLogName(name); err != nil {
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

func (e *Engine) validateLogName(name string) error {
	if e.bucketOnly && isFolderName(name) {
		return nil
	}
	return ValidateLogName(name)
}

// openedLog is the log if it is open. It waits for one that is being closed.
func (e *Engine) openedLog(name string) (*Log, error) {
	for {
		e.mu.Lock()
		log, closed := e.mu.logs[name], e.mu.closed
		e.mu.Unlock()
		switch {
		case closed:
			return nil, ErrClosed
		case log == nil || !log.closed():
			return log, nil
		}
		<-log.released
	}
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
	if e.bucketOnly { // name may be that of the folder
		name, _, _ = bucket.ParseFolder(identity.BucketFolder)
	}
	log := newLog(e, name, id, opts)
	log.fixed = identity
	if e.bucket != nil {
		if log.folder, err = e.bucket.Log(identity.bucketFolder()); err != nil {
			return nil, fmt.Errorf("%w: %s: %w; %s", ErrDamaged, logFileName, err, logFileRemedy)
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

// Logs returns the names of the logs on disk, sorted. Of a bucket that is opened
// alone it returns NAME.ID for each of several logs of one name.
func (e *Engine) Logs() ([]string, error) {
	if e.bucketOnly {
		folders, err := bucketFolders(context.Background(), e.bucket)
		return slices.Sorted(slices.Values(bucketLogNames(folders))), err
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
