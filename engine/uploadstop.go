package engine

import (
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

// This file is how the uploads of a log end for good, because somebody else
// writes to its folder of the bucket.

// stoppedError says why, what that means for the records, and what to do. It
// matches ErrUploadsStopped.
type stoppedError struct {
	log   string
	cold  uint64 // up to here the bucket holds what this root has
	cause error
}

func (e *stoppedError) Error() string {
	goesOn, hint := "appends and reads go on", "find out which root the log is to live in, stop the other one, and open the log again"
	switch {
	case errors.Is(e.cause, errRecordsBehind):
		goesOn = "reads go on"
		hint = "stop the other root, if it still runs, and open the log again: this root takes over what the bucket has, unless records were appended to it meanwhile"
	case errors.Is(e.cause, bucket.ErrFenced):
		hint = fmt.Sprintf("stop one of the two: either let publishers use the owner, and read here, from sequence %d on, what it lacks;"+
			" or go on with this root and a bucket, or a prefix in it, of its own", e.cold+1)
	}
	return fmt.Sprintf("%v: log %s: %v; %s, and what was appended behind sequence %d is in no place but this root; %s",
		ErrUploadsStopped, e.log, e.cause, goesOn, e.cold, hint)
}

// Is matches ErrUploadsStopped.
func (e *stoppedError) Is(target error) bool { return target == ErrUploadsStopped }

// Unwrap returns the cause.
func (e *stoppedError) Unwrap() error { return e.cause }

// stopsUploads reports whether a failure of an upload ends all of them.
func stopsUploads(cause error) bool {
	return errors.Is(cause, bucket.ErrFenced) || errors.Is(cause, errOtherObject) ||
		errors.Is(cause, errOtherRecords) || errors.Is(cause, errRecordsBehind)
}

// stopUploads ends the uploads of the log until it is opened again, and the
// waits for the cold level with them. The first cause stays.
func (l *Log) stopUploads(cause error) error {
	l.mu.Lock()
	first := l.mu.uploadStop == nil
	if first {
		l.mu.uploadStop = &stoppedError{log: l.name, cold: l.cold.Load(), cause: cause}
	}
	stopped := l.mu.uploadStop
	follow := l.takeFollowLocked(Cold)
	l.mu.Unlock()
	closeAll(follow)
	if first {
		l.engine.opts.Logger.Error("uploads_stopped", "group", "aof2.tier2", "log", l.name, "error", stopped)
		l.emit(Event{Kind: EventLogUploadsStopped, Reason: reasonOf(cause), Err: stopped})
	}
	return stopped
}

// uploadsStopped is why nothing of the log is uploaded any more, nil while it
// is.
func (l *Log) uploadsStopped() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.uploadStop
}
