package engine

import (
	"errors"
	"syscall"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file is what a log does when the process, or the machine, has no file
// descriptor left. Nothing was written or synced then, so nothing is in doubt: it is
// tried again by itself. What can be put off is, as on a full disk; in the middle of
// a change that is begun, its goroutine waits, and appenders meet the limits that
// they meet when a disk hangs.

const (
	// descriptorRetry is how often it is looked for one.
	descriptorRetry = 200 * time.Millisecond
	// descriptorPatience is how long a log that opens or closes looks for one.
	descriptorPatience = 2 * time.Second
)

// isNoDescriptor reports whether an error means that no file could be opened.
func isNoDescriptor(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// isOutOfRoom reports whether an error means that the disk, or the table of open
// files, is full: that has changed nothing and ends by itself.
func isOutOfRoom(err error) bool { return isNoSpace(err) || isNoDescriptor(err) }

// awaitDescriptor runs open, which opens a file and changes nothing if it cannot,
// until there is a descriptor for it or the log has failed.
func (l *Log) awaitDescriptor(open func() error) error {
	for patience, told := descriptorPatience, false; ; {
		err := open()
		if !isNoDescriptor(err) || patience <= 0 || l.failed() {
			return err
		}
		if l.ended() || !l.started.Load() {
			patience -= descriptorRetry
		}
		if !told {
			l.engine.opts.Logger.Warn("waiting_for_descriptor", "group", "aof2.flush", "log", l.name, "error", err)
			told = true
		}
		<-time.After(descriptorRetry)
	}
}

// patientFS is a log's file system for changes that may not stop in their middle:
// a directory is opened to be synced, when the names in it were changed already.
type patientFS struct {
	vfs.FS
	log *Log
}

// SyncDir implements vfs.FS.
func (p patientFS) SyncDir(dir string) error {
	return p.log.awaitDescriptor(func() error { return p.FS.SyncDir(dir) })
}

// patient is the log's file system as patientFS.
func (l *Log) patient() patientFS { return patientFS{FS: l.engine.opts.FS, log: l} }
