package bucket

import (
	"errors"
	"fmt"
)

var (
	// ErrExists matches errors of KindExists.
	ErrExists = errors.New("bucket: object exists already")
	// ErrMissing matches errors of KindMissing.
	ErrMissing = errors.New("bucket: no such object")
	// ErrFenced matches a FencedError.
	ErrFenced = errors.New("bucket: fenced by another owner")
	// ErrUnfenced is in the error for a store on which no claim can hold.
	ErrUnfenced = errors.New("bucket: the store lets a second writer create a key that exists, " +
		"so a stale owner cannot be kept out: use another store, or set tier2.allow_unfenced if there is only ever one writer")
	// ErrShort is in the error for a read past the end of an object.
	ErrShort = errors.New("bucket: object is shorter than the range that was asked for")
	// ErrTooLarge is in the error for an object that is longer than its reader
	// accepts.
	ErrTooLarge = errors.New("bucket: object is larger than allowed")
	// ErrWrongSize is in the error for an object that, after its write was
	// confirmed, has another length than was written.
	ErrWrongSize = errors.New("bucket: store kept another number of bytes than were written")
	// ErrNotKept is in the error for an object whose write was confirmed and
	// that is not there.
	ErrNotKept = errors.New("bucket: store confirmed an object and does not have it")
	// ErrInvalid is in the error for a key, a folder or a range that cannot be.
	ErrInvalid = errors.New("bucket: invalid argument")
	// ErrReadOnly is in the error for a change through a bucket opened for reading.
	ErrReadOnly = errors.New("bucket: open for reading only")
	// ErrClosed is in the error for a call after Close.
	ErrClosed = errors.New("bucket: closed")
	// ErrURL is returned by Open for a URL that it cannot open as it stands.
	ErrURL = errors.New("bucket: cannot open this URL")
)

// Op is what a failed call was about.
type Op string

// The operations.
const (
	OpPut        Op = "put"
	OpRead       Op = "read"
	OpAttributes Op = "describe"
	OpDelete     Op = "delete"
	OpList       Op = "list"
)

// Error is the failure of a call, after all its retries.
type Error struct {
	Op Op
	// Key is the whole key, or the prefix of a list.
	Key  string
	Kind Kind
	// Attempts counts how often it was tried, at least 1 unless nothing was sent.
	Attempts int
	// Found describes the object that was found at the key of a put that did
	// not create it, or of which it is not clear whether it did.
	Found *Attributes
	// Absent says that a put looked at the key after its last attempt and found
	// nothing there. It may still appear if the store is slow.
	Absent bool
	// Err is the cause.
	Err error
}

// Error says what failed, how often, why, and what to do about it.
func (e *Error) Error() string {
	text := fmt.Sprintf("bucket: %s %s: %s", e.Op, e.Key, e.Kind)
	if e.Attempts > 1 {
		text += fmt.Sprintf(" after %d attempts", e.Attempts)
	}
	if e.Found != nil {
		text += fmt.Sprintf(" (found %d bytes, ETag %s)", e.Found.Bytes, e.Found.ETag)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if int(e.Kind) < len(kinds) && kinds[e.Kind].hint != "" {
		text += "; " + kinds[e.Kind].hint
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is lets ErrExists and ErrMissing be asked for.
func (e *Error) Is(target error) bool {
	return target == ErrExists && e.Kind == KindExists || target == ErrMissing && e.Kind == KindMissing
}

// KindOf is the kind of the Error in err, 0 if there is none.
func KindOf(err error) Kind {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Kind
	}
	return 0
}
