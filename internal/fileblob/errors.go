package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"gocloud.dev/gcerrors"
)

var (
	// ErrExists is returned for a write that must create its key and did not.
	ErrExists = errors.New("fileblob: key exists already")
	// ErrKey is returned for a key that cannot be the name of a file.
	ErrKey = errors.New("fileblob: key cannot be stored")
	// ErrMetadata is returned for attributes that are too long to be kept.
	ErrMetadata = errors.New("fileblob: metadata is too long")
	// ErrReadOnly is returned for a change through a bucket opened for reading.
	ErrReadOnly = errors.New("fileblob: bucket is open for reading only")
	// ErrClosed is returned for a write through a bucket that was closed.
	ErrClosed = errors.New("fileblob: bucket is closed")
	// ErrNoLinks is returned when the file system refuses hard links, without
	// which a key cannot be created by one writer only.
	ErrNoLinks = errors.New("fileblob: file system has no hard links: put the bucket on another one")

	// ErrGone is returned while the bucket's directory is not the one that was
	// seen first: it was moved away, or its file system was unmounted.
	ErrGone = errors.New("fileblob: the bucket's directory is gone or was replaced: put it back or mount it again")
	// ErrVanished is returned when somebody removed a temporary file or a
	// directory under a write. The object can be written again.
	ErrVanished = errors.New("fileblob: file removed by somebody else")

	errForeign     = errors.New("fileblob: a directory has the name of the object")
	errUnsupported = errors.New("fileblob: signed URLs are not supported")
)

// errorCodes says what the errors of this package and of the operating system
// mean to gocloud. The first match counts.
var errorCodes = []struct {
	match error
	code  gcerrors.ErrorCode
}{
	{ErrExists, gcerrors.FailedPrecondition},
	{ErrClosed, gcerrors.FailedPrecondition},
	{ErrKey, gcerrors.InvalidArgument},
	{ErrMetadata, gcerrors.InvalidArgument},
	{ErrReadOnly, gcerrors.PermissionDenied},
	{ErrNoLinks, gcerrors.Unimplemented},
	{errUnsupported, gcerrors.Unimplemented},
	{context.Canceled, gcerrors.Canceled},
	{context.DeadlineExceeded, gcerrors.DeadlineExceeded},
	{syscall.ENOSPC, gcerrors.ResourceExhausted},
	{syscall.EDQUOT, gcerrors.ResourceExhausted},
	{syscall.ENAMETOOLONG, gcerrors.InvalidArgument},
	{fs.ErrPermission, gcerrors.PermissionDenied},
	{syscall.EROFS, gcerrors.PermissionDenied},
	{fs.ErrNotExist, gcerrors.NotFound},
	{ErrGone, gcerrors.NotFound}, // gocloud has no word for a bucket that is missing
}

func errorCode(err error) gcerrors.ErrorCode {
	for _, known := range errorCodes {
		if errors.Is(err, known.match) {
			return known.code
		}
	}
	return gcerrors.Unknown
}

// asVanished makes sure that what is missing while an object is written is not
// taken for an object that was not found: the result does not match
// fs.ErrNotExist.
func asVanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrVanished, err.Error())
	}
	return err
}
