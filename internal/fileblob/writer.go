package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"gocloud.dev/blob/driver"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// writer writes one object. Its first error is final: what follows returns it
// again and no object appears.
type writer struct {
	ctx        context.Context
	bucket     *bucket
	path       string
	temp       *temporary
	kept       keptAttributes
	ifNotExist bool

	offset int64
	err    error
	closed bool
}

// NewTypedWriter starts an object; see [driver.Bucket].
func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	path, err := b.pathForChange(key)
	if err != nil {
		return nil, err
	}
	kept := keptOf(contentType, opts)
	if err := kept.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opts.BeforeWrite != nil {
		if err := opts.BeforeWrite(nothingAs); err != nil {
			return nil, err
		}
	}
	temp, err := b.staging.create()
	if err != nil {
		return nil, err
	}
	return &writer{ctx: ctx, bucket: b, path: path, temp: temp, kept: kept, ifNotExist: opts.IfNotExist}, nil
}

// Write appends to the object.
func (w *writer) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	n := 0
	if w.err == nil {
		if n, w.err = w.temp.file.WriteAt(p, w.offset); w.err != nil {
			w.err = fmt.Errorf("write temporary file: %w", w.err)
		}
		w.offset += int64(n)
	}
	if w.err != nil {
		w.end() // gocloud does not always close a writer that has failed
	}
	return n, w.err
}

// Close makes the object appear, durably when it returns nil. After an error, or
// when the context has ended before, there is none; only if the sync of the
// directory failed may the whole object be there.
func (w *writer) Close() error {
	if w.closed {
		return fs.ErrClosed
	}
	w.closed = true
	defer w.end()
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil {
		w.err = w.temp.finish()
	}
	if w.err == nil {
		w.err = asVanished(w.publish())
	}
	err := w.err
	if err == nil {
		w.err = fs.ErrClosed
	}
	return err
}

// end gives the temporary file back.
func (w *writer) end() {
	if w.temp != nil {
		w.temp.done()
		w.temp = nil
	}
}

func (w *writer) publish() error {
	fsys := w.bucket.fsys
	info, err := fsys.Stat(w.temp.name)
	if err != nil {
		return fmt.Errorf("describe temporary file: %w", err)
	}
	dir := filepath.Dir(w.path)
	if err := vfs.MkdirAllSync(fsys, dir); err != nil {
		return fmt.Errorf("make directory of object: %w", err)
	}
	// The last moment to give up: what follows is carried through.
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.ifNotExist {
		err = w.link(info)
	} else if err = fsys.Rename(w.temp.name, w.path); err != nil {
		err = fmt.Errorf("put object in place: %w", err)
	}
	if err != nil {
		return err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("sync directory of object: %w", err)
	}
	w.bucket.keepAttributes(w.path, info, w.kept)
	return nil
}

func (w *writer) link(temporary fs.FileInfo) error {
	err := w.bucket.fsys.Link(w.temp.name, w.path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return w.taken(temporary)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		return fmt.Errorf("%w (%w)", ErrNoLinks, err)
	default:
		return fmt.Errorf("put new object in place: %w", err)
	}
}

// taken answers for a name that exists: it is ours if it leads to our file (a
// network file system may repeat a request that had succeeded). Somebody else's
// is made durable before it is reported, because whoever hears of it may rely on
// it, and the one who linked it may be dead.
func (w *writer) taken(temporary fs.FileInfo) error {
	found, err := w.bucket.fsys.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrExists // it did; it was deleted since
	case err != nil:
		return fmt.Errorf("describe existing object: %w", err)
	case found.IsDir():
		return errForeign
	case vfs.Identity(found) != 0 && vfs.Identity(found) == vfs.Identity(temporary):
		return nil
	}
	if err := w.bucket.confirm(w.path); err != nil {
		return fmt.Errorf("confirm existing object: %w", err)
	}
	return ErrExists
}
