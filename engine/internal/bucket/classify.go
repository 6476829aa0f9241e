package bucket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/internal/fileblob"
)

// errorKinds says what causes mean, by identity. The first match counts, and
// all of them come before gocloud's codes, which tell less: our own errors, then
// those of the operating system.
var errorKinds = []struct {
	match error
	kind  Kind
}{
	{ErrShort, KindPermanent},
	{ErrTooLarge, KindPermanent},
	{ErrInvalid, KindPermanent},
	{ErrReadOnly, KindPermanent},
	{ErrUnfenced, KindPermanent},

	{syscall.ENOSPC, KindNoSpace},
	{syscall.EDQUOT, KindNoSpace},

	{fs.ErrPermission, KindAuth}, // EACCES and EPERM
	{syscall.EROFS, KindAuth},

	{syscall.EIO, KindUnavailable},
	{syscall.ENODEV, KindUnavailable},
	{syscall.ENXIO, KindUnavailable},
	{syscall.ESTALE, KindUnavailable},
	{syscall.ETIMEDOUT, KindUnavailable},
	{syscall.ECONNREFUSED, KindUnavailable},
	{syscall.ECONNRESET, KindUnavailable},
	{syscall.ECONNABORTED, KindUnavailable},
	{syscall.EPIPE, KindUnavailable},
	{syscall.EHOSTUNREACH, KindUnavailable},
	{syscall.ENETUNREACH, KindUnavailable},

	{syscall.EINTR, KindTransient},
	{syscall.EAGAIN, KindTransient},
	{syscall.EBUSY, KindTransient},
	{syscall.EMFILE, KindTransient},
	{syscall.ENFILE, KindTransient},
	{syscall.ENOMEM, KindTransient},

	{syscall.ENAMETOOLONG, KindPermanent},
	{syscall.EFBIG, KindPermanent},
	{syscall.EINVAL, KindPermanent},
	{syscall.EISDIR, KindPermanent},
	{syscall.ELOOP, KindPermanent},
	{syscall.EMLINK, KindPermanent},
	{syscall.ENOTDIR, KindPermanent},
	{syscall.ENOTSUP, KindPermanent},
	{syscall.EXDEV, KindPermanent},
}

// codeKinds says what gocloud's codes mean. FailedPrecondition is that the key
// exists, but only where something is created: see classify.
var codeKinds = map[gcerrors.ErrorCode]Kind{
	gcerrors.Unknown:            KindTransient,
	gcerrors.Internal:           KindTransient,
	gcerrors.Canceled:           KindUnavailable, // by the store: the caller's context comes first
	gcerrors.DeadlineExceeded:   KindUnavailable,
	gcerrors.PermissionDenied:   KindAuth,
	gcerrors.ResourceExhausted:  KindThrottled,
	gcerrors.NotFound:           KindMissing,
	gcerrors.AlreadyExists:      KindExists,
	gcerrors.FailedPrecondition: KindPermanent,
	gcerrors.InvalidArgument:    KindPermanent,
	gcerrors.Unimplemented:      KindPermanent,
}

// classify says what a failed attempt means.
func classify(ctx context.Context, op Op, err error) Kind {
	if ctx.Err() != nil {
		return KindCancelled
	}
	if errors.Is(err, ErrClosed) {
		return KindPermanent
	}
	if errors.Is(err, fileblob.ErrGone) {
		return KindUnavailable // to gocloud it is not found, which an object must not seem
	}
	code := gcerrors.Code(err)
	// A driver's verdict on these stands, whatever error it has underneath: a
	// file system without links says EPERM, and means no lack of permission.
	switch {
	case code == gcerrors.FailedPrecondition && op == OpPut:
		return KindExists
	case code == gcerrors.NotFound, code == gcerrors.Unimplemented, code == gcerrors.InvalidArgument:
		return codeKinds[code]
	}
	for _, known := range errorKinds {
		if errors.Is(err, known.match) {
			return known.kind
		}
	}
	var network net.Error
	if errors.As(err, &network) {
		return KindUnavailable
	}
	if kind, known := codeKinds[code]; known {
		return kind
	}
	return KindTransient
}
