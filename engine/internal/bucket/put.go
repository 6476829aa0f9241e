package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"
)

const contentType = "application/octet-stream"

// Put creates an object of the bytes that write produces, and returns once the
// store has it: it was confirmed, is found at its key, and is as long as what
// was written. write is called once per attempt and must produce the same bytes
// each time; it must return the errors of its writer. Memory does not grow with
// the object.
//
// If the key has an object, the error matches ErrExists and describes it, unless
// looking at it failed. That is also so if a failed attempt may have created it:
// who compares the object and finds it to be the same may adopt it. A write that fails or is given up
// leaves no part of an object. An error of write itself is returned as it is, in
// text that says for which key.
func (f *Folder) Put(ctx context.Context, key string, write func(io.Writer) error) (Attributes, error) {
	full, err := f.fullKey(OpPut, key)
	if err != nil {
		return Attributes{}, err
	}
	b := f.bucket
	if b.opts.ReadOnly {
		return Attributes{}, &Error{Op: OpPut, Key: full, Kind: KindPermanent, Err: ErrReadOnly}
	}
	if err := b.Probe(ctx); err != nil {
		return Attributes{}, err
	}
	for attempts := 1; ; attempts++ {
		var written int64
		failed := b.try(ctx, OpPut, full, attempts, func() (err error) {
			written, err = b.create(ctx, full, write)
			return err
		})
		if failed == nil {
			return b.verify(ctx, full, written)
		}
		var body *bodyError
		if errors.As(failed.Err, &body) {
			return Attributes{}, fmt.Errorf("write body of %s: %w", full, body.err)
		}
		failed = b.look(ctx, failed)
		if err := b.pause(ctx, failed); err != nil {
			return Attributes{}, err
		}
	}
}

// look finds out what is at the key of a put that failed, unless the failure
// says so itself.
func (b *Bucket) look(ctx context.Context, failed *Error) *Error {
	switch failed.Kind {
	case KindExists, KindTransient, KindUnavailable, KindNoSpace:
	default:
		return failed
	}
	var found Attributes
	describe := func() (err error) {
		found, err = b.describe(ctx, failed.Key)
		return err
	}
	var err error
	if failed.Kind == KindExists || failed.Attempts >= b.opts.Retry.Attempts {
		err = b.call(ctx, OpAttributes, failed.Key, describe)
	} else if once := b.try(ctx, OpAttributes, failed.Key, 1, describe); once != nil {
		err = once // the put is tried again, which asks the same once more
	}
	seen := *failed
	switch {
	case err == nil:
		seen.Kind, seen.Found = KindExists, &found
	case errors.Is(err, ErrMissing) && failed.Kind == KindExists:
		// It was there for the store, and is not there for us: a store that
		// needs time, or a delete. The next attempt tells.
		seen.Kind, seen.Absent = KindTransient, true
	case errors.Is(err, ErrMissing):
		seen.Absent = true
	default:
		seen.Err = fmt.Errorf("%w (and to look at the key: %w)", failed.Err, err)
		if KindOf(err) == KindCancelled {
			seen.Kind = KindCancelled
		}
	}
	return &seen
}

// verify looks at an object whose creation was confirmed.
func (b *Bucket) verify(ctx context.Context, full string, written int64) (Attributes, error) {
	for attempts := 1; ; attempts++ {
		var found Attributes
		failed := b.try(ctx, OpPut, full, attempts, func() (err error) {
			found, err = b.describe(ctx, full)
			return err
		})
		if failed == nil && found.Bytes != written {
			err := fmt.Errorf("%w: %d, not %d", ErrWrongSize, found.Bytes, written)
			return Attributes{}, &Error{Op: OpPut, Key: full, Kind: KindPermanent, Attempts: attempts, Found: &found, Err: err}
		}
		if failed == nil {
			return found, nil
		}
		wait := *failed
		if failed.Kind == KindMissing {
			wait.Kind = KindTransient // some stores need a moment
			wait.Err = fmt.Errorf("%w: %w", ErrNotKept, failed.Err)
		}
		if err := b.pause(ctx, &wait); err != nil {
			if failed.Kind == KindMissing && KindOf(err) != KindCancelled {
				wait.Kind, wait.Absent = KindMissing, true
				return Attributes{}, &wait
			}
			return Attributes{}, err
		}
	}
}

// bodyError is an error of the function that produces an object's bytes.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// create is one request to create an object. It returns how many bytes were
// written.
func (b *Bucket) create(ctx context.Context, full string, write func(io.Writer) error) (written int64, err error) {
	sent := b.opts.Now()
	defer func() { b.count(Request{Kind: RequestPut, Key: full, Bytes: written, Err: err}, sent) }()
	// To end this context before Close is how gocloud is told to give up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	writer, err := b.blobs.NewWriter(ctx, full, &blob.WriterOptions{IfNotExist: true, ContentType: contentType})
	if err != nil {
		return 0, err
	}
	counted := &countingWriter{to: writer}
	finished := false
	defer func() {
		if !finished { // write panicked
			cancel()
			_ = writer.Close()
		}
	}()
	bodyErr := write(counted)
	finished = true
	if counted.err != nil || bodyErr != nil {
		cancel()
		_ = writer.Close() // gives up; its error is that it was told to
	}
	switch {
	case counted.err != nil:
		return counted.written, counted.err
	case bodyErr != nil:
		return counted.written, &bodyError{bodyErr}
	default:
		return counted.written, writer.Close()
	}
}

// countingWriter counts what a store has taken, and keeps its first error.
type countingWriter struct {
	to      io.Writer
	written int64
	err     error
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to.Write(p)
	w.written += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
	return n, err
}
