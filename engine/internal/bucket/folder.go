package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"gocloud.dev/blob"
)

// Folder is the part of a bucket that one log has. Keys are relative to it. It
// is safe for concurrent use and needs no closing.
type Folder struct {
	bucket *Bucket
	name   string
	prefix string
}

// Attributes describe an object.
type Attributes struct {
	// ETag changes with the object's content. Two stores may give different ones
	// to the same bytes.
	ETag string
	// Bytes is the object's length.
	Bytes int64
	// Modified is when it was written, by the store's clock.
	Modified time.Time
}

// Object is an object that a listing found.
type Object struct {
	// Key is relative to the folder.
	Key      string
	Bytes    int64
	Modified time.Time
}

// Name is the folder's name, as in FolderName.
func (f *Folder) Name() string { return f.name }

// fullKey is the key in the store.
func (f *Folder) fullKey(op Op, key string) (string, error) {
	full := f.prefix + key
	if err := checkKey(full); err != nil {
		return "", &Error{Op: op, Key: full, Kind: KindPermanent, Err: err}
	}
	return full, nil
}

// ReadRange returns length bytes from offset on, or an error that matches
// ErrShort if the object does not have them: what it asks memory for is bounded
// by the object's own length. The caller owns the memory.
func (f *Folder) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	full, err := f.fullKey(OpRead, key)
	if err != nil {
		return nil, err
	}
	if offset < 0 || length <= 0 {
		err := fmt.Errorf("%w: range of %d bytes at %d", ErrInvalid, length, offset)
		return nil, &Error{Op: OpRead, Key: full, Kind: KindPermanent, Err: err}
	}
	return f.read(ctx, full, offset, length, func(size int64) (int64, error) {
		if offset > size || length > size-offset {
			return 0, fmt.Errorf("%w: %d bytes at %d of %d", ErrShort, length, offset, size)
		}
		return length, nil
	})
}

// ReadAll returns a whole object, or an error that matches ErrTooLarge if it is
// longer than bytesMax. The caller owns the memory.
func (f *Folder) ReadAll(ctx context.Context, key string, bytesMax int64) ([]byte, error) {
	full, err := f.fullKey(OpRead, key)
	if err != nil {
		return nil, err
	}
	return f.read(ctx, full, 0, -1, func(size int64) (int64, error) {
		if size > bytesMax {
			return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, bytesMax)
		}
		return size, nil
	})
}

// read opens a range and reads as many bytes of it as expect says, which gets
// the length of the whole object.
func (f *Folder) read(ctx context.Context, full string, offset, length int64, expect func(size int64) (int64, error)) (data []byte, err error) {
	err = f.bucket.call(ctx, OpRead, full, func() error {
		sent := f.bucket.opts.Now()
		data, err = f.readOnce(ctx, full, offset, length, expect)
		f.bucket.count(Request{Kind: RequestGet, Key: full, Bytes: int64(len(data)), Err: err}, sent)
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

func (f *Folder) readOnce(ctx context.Context, full string, offset, length int64, expect func(size int64) (int64, error)) (data []byte, err error) {
	reader, err := f.bucket.blobs.NewRangeReader(ctx, full, offset, length, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := reader.Close(); closeErr != nil && err == nil {
			err = closeErr
		}
	}()
	expected, err := expect(reader.Size())
	if err != nil {
		return nil, err
	}
	data = make([]byte, expected)
	n, err := io.ReadFull(reader, data)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the store ended early: it may not the next time
	}
	return data[:n], err
}

// Attributes describes an object.
func (f *Folder) Attributes(ctx context.Context, key string) (Attributes, error) {
	full, err := f.fullKey(OpAttributes, key)
	if err != nil {
		return Attributes{}, err
	}
	var found Attributes
	err = f.bucket.call(ctx, OpAttributes, full, func() (err error) {
		found, err = f.bucket.describe(ctx, full)
		return err
	})
	return found, err
}

// describe is one request for attributes.
func (b *Bucket) describe(ctx context.Context, full string) (Attributes, error) {
	sent := b.opts.Now()
	found, err := b.blobs.Attributes(ctx, full)
	b.count(Request{Kind: RequestGet, Key: full, Err: err}, sent)
	if err != nil {
		return Attributes{}, err
	}
	return Attributes{ETag: found.ETag, Bytes: found.Size, Modified: found.ModTime}, nil
}

// Delete removes an object. That there is none is success.
func (f *Folder) Delete(ctx context.Context, key string) error {
	full, err := f.fullKey(OpDelete, key)
	if err != nil {
		return err
	}
	err = f.bucket.call(ctx, OpDelete, full, func() error {
		if f.bucket.opts.ReadOnly {
			return ErrReadOnly
		}
		sent := f.bucket.opts.Now()
		err := f.bucket.blobs.Delete(ctx, full)
		f.bucket.count(Request{Kind: RequestDelete, Key: full, Err: err}, sent)
		return err
	})
	if errors.Is(err, ErrMissing) {
		return nil
	}
	return err
}

// List lists the objects whose keys start with prefix, in byte order of their
// keys. It ends with the first error. A store may need time until it lists an
// object that was written.
func (f *Folder) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		opts := &blob.ListOptions{Prefix: f.prefix + prefix}
		f.bucket.pages(ctx, opts, func(found *blob.ListObject, err error) bool {
			if err != nil {
				return yield(Object{}, err)
			}
			key := strings.TrimPrefix(found.Key, f.prefix)
			return yield(Object{Key: key, Bytes: found.Size, Modified: found.ModTime}, nil)
		})
	}
}
