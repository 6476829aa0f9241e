package fileblob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync/atomic"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Options of a bucket. The zero value is usable.
type Options struct {
	// ReadOnly opens a directory that exists, refuses changes and syncs
	// nothing: what such a bucket says may be undone by a power cut.
	ReadOnly bool
	// Existing makes no directory. One that is not there is gone until it comes.
	Existing bool
	// Random is where the names of temporary directories come from, nil for
	// the system's source. Equal names must not come twice.
	Random io.Reader
}

// Open returns the bucket that is kept in a directory, which it makes, durably,
// if it is not there. Any number of processes may have it open. The bucket and
// its driver are safe for concurrent use. Close it after its last write.
func Open(fsys vfs.FS, dir string, opts Options) (*blob.Bucket, error) {
	opened, err := OpenDirectory(fsys, dir, opts)
	if err != nil {
		return nil, err
	}
	return opened.Bucket, nil
}

// Directory is a bucket, and what nobody else's has.
type Directory struct {
	*blob.Bucket
	driver *bucket
}

// OpenDirectory is Open for who calls Forget.
func OpenDirectory(fsys vfs.FS, dir string, opts Options) (*Directory, error) {
	opened, err := openBucket(fsys, dir, opts)
	if err != nil {
		return nil, err
	}
	return &Directory{blob.NewBucket(opened), opened}, nil
}

// Forget lets the bucket be the directory that has its name at the next call,
// whichever that is.
func (d *Directory) Forget() { d.driver.known.Store(nil) }

// OpenDriver is Open for who wraps the driver.
func OpenDriver(fsys vfs.FS, dir string, opts Options) (driver.Bucket, error) {
	return openBucket(fsys, dir, opts)
}

func openBucket(fsys vfs.FS, dir string, opts Options) (*bucket, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("fileblob: open %q: the path must be absolute", dir)
	}
	if opts.Random == nil {
		opts.Random = rand.Reader
	}
	dir = filepath.Clean(dir)
	if !opts.ReadOnly && !opts.Existing {
		if err := vfs.MkdirAllSync(fsys, dir); err != nil {
			return nil, fmt.Errorf("fileblob: open: %w", err)
		}
	}
	b := &bucket{
		fsys: fsys, dir: dir, readOnly: opts.ReadOnly,
		staging: &staging{fsys: fsys, root: filepath.Join(dir, stagingName), random: opts.Random},
	}
	info, err := fsys.Stat(dir)
	switch {
	case opts.Existing && errors.Is(err, fs.ErrNotExist):
		return b, nil
	case err != nil:
		return nil, fmt.Errorf("fileblob: open: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("fileblob: open %s: it is not a directory", dir)
	}
	b.isKnown(info)
	return b, nil
}

// bucket is the driver.
type bucket struct {
	fsys     vfs.FS
	dir      string
	known    atomic.Pointer[uint64] // identity of dir when it was first seen
	readOnly bool
	staging  *staging
}

// nothingAs is the answer to who asks for types of this driver.
func nothingAs(any) bool { return false }

func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode { return errorCode(err) }

func (b *bucket) As(any) bool { return false }

func (b *bucket) ErrorAs(error, any) bool { return false }

// Close removes the temporary directory of this bucket. Writers that are still
// open may be closed later, and succeed.
func (b *bucket) Close() error { return b.staging.close() }

func (b *bucket) path(key string) (string, error) {
	relative, err := relativePath(key)
	if err == nil {
		err = b.present()
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(b.dir, relative), nil
}

// present makes sure that the directory is still the one that was first seen.
// Without that, one that was moved away or unmounted would look empty, and be
// made anew by the next write.
func (b *bucket) present() error {
	info, err := b.fsys.Stat(b.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !info.IsDir() || !b.isKnown(info) {
		return fmt.Errorf("%w: %s", ErrGone, b.dir)
	}
	return nil
}

// isKnown reports whether the directory is the one that was seen first.
func (b *bucket) isKnown(info fs.FileInfo) bool {
	identity := vfs.Identity(info)
	b.known.CompareAndSwap(nil, &identity)
	known := b.known.Load()
	return known != nil && *known == identity
}

func (b *bucket) pathForChange(key string) (string, error) {
	if b.readOnly {
		return "", ErrReadOnly
	}
	return b.path(key)
}

// find describes the file of an object.
func (b *bucket) find(key string) (path string, info fs.FileInfo, err error) {
	path, err = b.path(key)
	if err != nil {
		return "", nil, err
	}
	info, err = b.fsys.Stat(path)
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "find object", Path: path, Err: fs.ErrNotExist}
	}
	return path, info, err
}

// confirm makes durable that a name is there, or is not, as it was seen before.
func (b *bucket) confirm(path string) error {
	if b.readOnly {
		return nil
	}
	return b.fsys.SyncDir(filepath.Dir(path))
}

// Attributes describes an object; see [driver.Bucket].
func (b *bucket) Attributes(_ context.Context, key string) (*driver.Attributes, error) {
	path, info, err := b.find(key)
	if err != nil {
		return nil, err
	}
	if err := b.confirm(path); err != nil {
		return nil, fmt.Errorf("confirm object: %w", err)
	}
	kept := b.keptAttributes(path, info)
	return &driver.Attributes{
		CacheControl:       kept.CacheControl,
		ContentDisposition: kept.ContentDisposition,
		ContentEncoding:    kept.ContentEncoding,
		ContentLanguage:    kept.ContentLanguage,
		ContentType:        kept.ContentType,
		Metadata:           kept.Metadata,
		ModTime:            info.ModTime(),
		Size:               info.Size(),
		ETag:               etag(info),
	}, nil
}

// etag differs between an object and the one that overwrites it, however fast:
// both files exist at that moment, so their numbers differ. After a delete the
// number may come back, with another time unless the clock has not ticked.
func etag(info fs.FileInfo) string {
	return fmt.Sprintf(`"%x-%x-%x"`, info.ModTime().UnixNano(), info.Size(), vfs.Identity(info))
}

// Copy copies an object's bytes; see [driver.Bucket].
func (b *bucket) Copy(ctx context.Context, toKey, fromKey string, opts *driver.CopyOptions) (err error) {
	path, info, err := b.find(fromKey)
	if err != nil {
		return err
	}
	source, err := b.NewRangeReader(ctx, fromKey, 0, -1, &driver.ReaderOptions{})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := source.Close(); closeErr != nil && err == nil {
			err = fmt.Errorf("close copied object: %w", closeErr)
		}
	}()
	kept := b.keptAttributes(path, info)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	target, err := b.NewTypedWriter(ctx, toKey, kept.ContentType, kept.writerOptions(opts.BeforeCopy))
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		cancel()
		_ = target.Close() // gives the copy up
		return err
	}
	return target.Close()
}

// Delete removes an object, durably when it returns nil or not found; see
// [driver.Bucket]. After any other error it may be there or not.
func (b *bucket) Delete(_ context.Context, key string, opts *driver.DeleteOptions) error {
	if b.readOnly {
		return ErrReadOnly
	}
	if opts.BeforeDelete != nil {
		if err := opts.BeforeDelete(nothingAs); err != nil {
			return err
		}
	}
	path, _, err := b.find(key)
	if err == nil {
		err = b.fsys.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Also if it was not there: an earlier delete may have got no further.
	syncErr := b.confirm(path)
	if syncErr != nil && !errors.Is(syncErr, fs.ErrNotExist) {
		return fmt.Errorf("sync directory of deleted object: %w", syncErr)
	}
	if err != nil {
		return err
	}
	b.dropAttributes(path)
	return nil
}

// SignedURL is not supported.
func (b *bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errUnsupported
}
