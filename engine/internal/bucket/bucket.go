package bucket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"

	"gocloud.dev/blob"
)

// Bucket is an object store, or the part of one below a prefix.
type Bucket struct {
	opts   Options
	store  store
	blobs  *blob.Bucket // the store's, or what wraps them
	prefix string
	name   string // the URL, without secrets

	counts counts
	fenced atomic.Bool // the probe has passed
	closed atomic.Bool
}

// String is the URL that the bucket was opened by, without secrets.
func (b *Bucket) String() string { return b.name }

// LookAgain lets the directory of a file:// URL be another one than it was: one
// that is mounted where there was an empty mount point. Without it, such a bucket
// does not answer until the one that was opened is back.
func (b *Bucket) LookAgain() {
	if b.store.forget != nil {
		b.store.forget()
		b.fenced.Store(false)
	}
}

// Close ends the use of the bucket. Calls that are under way may fail.
func (b *Bucket) Close() error {
	if b.closed.Swap(true) {
		return ErrClosed
	}
	var errs []error
	if b.blobs != b.store.blobs {
		errs = append(errs, b.blobs.Close())
	}
	if !b.store.shared {
		errs = append(errs, b.store.blobs.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close bucket: %w", err)
	}
	return nil
}

// Log is the folder of a log, by the name that FolderName gives. It costs no
// request. A name that cannot be one is an error that matches ErrInvalid.
func (b *Bucket) Log(folder string) (*Folder, error) {
	if _, _, ok := ParseFolder(folder); !ok {
		return nil, fmt.Errorf("%w: %.200q is not the folder of a log", ErrInvalid, folder)
	}
	return &Folder{bucket: b, name: folder, prefix: b.prefix + folder + "/"}, nil
}

// Logs lists the folders of logs, in byte order of their names. It ends with the
// first error.
func (b *Bucket) Logs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		opts := &blob.ListOptions{Prefix: b.prefix, Delimiter: "/"}
		b.pages(ctx, opts, func(object *blob.ListObject, err error) bool {
			if err != nil {
				return yield("", err)
			}
			folder := strings.TrimSuffix(strings.TrimPrefix(object.Key, b.prefix), "/")
			if _, _, ok := ParseFolder(folder); !ok || !object.IsDir {
				return true
			}
			return yield(folder, nil)
		})
	}
}

// pages hands out what a listing finds, page after page, until visit is false.
func (b *Bucket) pages(ctx context.Context, opts *blob.ListOptions, visit func(*blob.ListObject, error) bool) {
	for token := blob.FirstPageToken; len(token) > 0; {
		var page []*blob.ListObject
		var next []byte
		err := b.call(ctx, OpList, opts.Prefix, func() (err error) {
			sent := b.opts.Now()
			page, next, err = b.blobs.ListPage(ctx, token, b.store.pageObjects, opts)
			b.count(Request{Kind: RequestList, Key: opts.Prefix, Err: err}, sent)
			return err
		})
		if err != nil {
			visit(nil, err)
			return
		}
		for _, object := range page {
			if !visit(object, nil) {
				return
			}
		}
		token = next
	}
}

// call tries an operation until it succeeds, fails for good, or was tried often
// enough. Its error is an *Error.
func (b *Bucket) call(ctx context.Context, op Op, key string, attempt func() error) error {
	for attempts := 1; ; attempts++ {
		failed := b.try(ctx, op, key, attempts, attempt)
		if failed == nil {
			return nil
		}
		if err := b.pause(ctx, failed); err != nil {
			return err
		}
	}
}

// try is one attempt.
func (b *Bucket) try(ctx context.Context, op Op, key string, attempts int, attempt func() error) *Error {
	err := ctx.Err()
	if b.closed.Load() {
		err = ErrClosed
	}
	if err == nil {
		err = attempt()
	}
	if err == nil {
		return nil
	}
	if b.closed.Load() && !errors.Is(err, ErrClosed) {
		err = fmt.Errorf("%w meanwhile: %w", ErrClosed, err)
	}
	return &Error{Op: op, Key: key, Kind: classify(ctx, op, err), Attempts: attempts, Err: err}
}

// pause waits before the next attempt. It returns the error to end with if there
// is to be none.
func (b *Bucket) pause(ctx context.Context, failed *Error) error {
	if !failed.Kind.isRetried() || failed.Attempts >= b.opts.Retry.Attempts {
		return failed
	}
	if err := b.opts.Sleep(ctx, b.opts.Retry.delay(failed.Kind, failed.Attempts, b.opts.Jitter)); err != nil {
		given := *failed
		given.Kind, given.Err = KindCancelled, fmt.Errorf("%w while waiting to try again after: %w", err, failed.Err)
		return &given
	}
	return nil
}
