package buckettest

import (
	"bytes"
	"context"
	"io"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
)

// writer is a put. It passes bytes on as they come, unless its fault needs the
// whole object first.
type writer struct {
	ctx     context.Context
	faulty  *Faulty
	key     string
	opts    blob.WriterOptions
	verdict Rule

	cancel context.CancelFunc // gives the object up
	inner  *blob.Writer       // nil: held back
	held   bytes.Buffer
	taken  int
	err    error
}

// NewTypedWriter starts an object.
func (f *Faulty) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	verdict, err := f.judge(ctx, OpPut, key)
	if err != nil {
		return nil, err
	}
	w := &writer{faulty: f, key: key, verdict: verdict}
	w.opts = blob.WriterOptions{ContentType: contentType, Metadata: opts.Metadata, IfNotExist: opts.IfNotExist && verdict.Fault != Overwrite}
	w.ctx, w.cancel = context.WithCancel(ctx)
	switch verdict.Fault {
	case Lose, Shorten, Repeat, Late:
		return w, nil
	}
	if w.inner, err = f.inner.NewWriter(w.ctx, key, &w.opts); err != nil {
		w.cancel()
		return nil, err
	}
	return w, nil
}

// Write takes a part of the object.
func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	breaks := w.verdict.Fault == Break && w.taken+len(p) > w.verdict.Bytes
	if breaks {
		p = p[:w.verdict.Bytes-w.taken]
	}
	var n int
	var err error
	if w.inner != nil {
		n, err = w.inner.Write(p)
	} else {
		n, err = w.held.Write(p)
	}
	w.taken += n
	w.faulty.addBytes(n, 0)
	if breaks && err == nil {
		err = w.verdict.Err
	}
	w.err = err
	return n, err
}

// Close ends the object in the way of its fault.
func (w *writer) Close() error {
	defer w.cancel()
	if w.err == nil && w.verdict.Fault == Break { // it was shorter than that
		w.err = w.verdict.Err
	}
	if w.err != nil {
		w.cancel()
		if w.inner != nil {
			_ = w.inner.Close() // gives it up
		}
		return errGivenUp
	}
	if w.inner != nil {
		return w.closeInner()
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	switch w.verdict.Fault {
	case Lose:
		return nil
	case Shorten:
		w.held.Truncate(min(w.held.Len(), w.verdict.Bytes))
		return w.put(w.ctx)
	case Late:
		ctx := context.WithoutCancel(w.ctx)
		w.faulty.putOff(func() error { return w.put(ctx) })
		return w.verdict.Err
	default: // Repeat
		if err := w.put(w.ctx); err != nil {
			return err
		}
		return w.put(w.ctx)
	}
}

func (w *writer) closeInner() error {
	err := w.inner.Close()
	if err == nil && w.verdict.Fault == Hide {
		w.faulty.hide(w.key, w.verdict.Reads)
	}
	if w.verdict.Fault == LoseAnswer {
		return w.verdict.Err
	}
	return err
}

// put writes what was held back.
func (w *writer) put(ctx context.Context) error {
	return w.faulty.inner.Upload(ctx, w.key, bytes.NewReader(w.held.Bytes()), &w.opts)
}

// reader is a get.
type reader struct {
	faulty  *Faulty
	inner   *blob.Reader
	verdict Rule
	given   int
}

// NewRangeReader reads a range of an object.
func (f *Faulty) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	verdict, err := f.judge(ctx, OpGet, key)
	if err != nil {
		return nil, err
	}
	if f.isHidden(key) {
		return nil, errNotFound
	}
	inner, err := f.inner.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, err
	}
	if verdict.Fault == LoseAnswer {
		_ = inner.Close() // what it had to say is lost
		return nil, verdict.Err
	}
	return &reader{faulty: f, inner: inner, verdict: verdict}, nil
}

// Read delivers what the fault lets through.
func (r *reader) Read(p []byte) (int, error) {
	if r.verdict.Fault == Shorten || r.verdict.Fault == Break {
		p = p[:min(len(p), r.verdict.Bytes-r.given)]
		if len(p) == 0 && r.verdict.Fault == Shorten {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, r.verdict.Err
		}
	}
	n, err := r.inner.Read(p)
	r.given += n
	r.faulty.addBytes(0, n)
	return n, err
}

func (r *reader) Close() error { return r.inner.Close() }

func (r *reader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{ContentType: r.inner.ContentType(), ModTime: r.inner.ModTime(), Size: r.inner.Size()}
}

func (r *reader) As(any) bool { return false }
