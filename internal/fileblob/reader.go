package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob/driver"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// reader reads a range of one object, which stays readable for it when the key
// is deleted or overwritten meanwhile.
type reader struct {
	ctx        context.Context
	file       vfs.File
	offset     int64
	end        int64 // where the range ends, at most at the end of the file
	attributes driver.ReaderAttributes
}

// NewRangeReader opens a range of an object; see [driver.Bucket].
func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, opts *driver.ReaderOptions) (driver.Reader, error) {
	path, info, err := b.find(key)
	if err != nil {
		return nil, err
	}
	file, err := b.fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	opened, err := b.openReader(ctx, file, offset, length, opts)
	if err != nil {
		_ = file.Close() // nothing was written through it
		return nil, err
	}
	opened.attributes.ModTime = info.ModTime()
	opened.attributes.ContentType = b.keptAttributes(path, info).ContentType
	return opened, nil
}

func (b *bucket) openReader(ctx context.Context, file vfs.File, offset, length int64, opts *driver.ReaderOptions) (*reader, error) {
	if opts.BeforeRead != nil {
		if err := opts.BeforeRead(nothingAs); err != nil {
			return nil, err
		}
	}
	size, err := file.Size()
	if err != nil {
		return nil, fmt.Errorf("read size of object: %w", err)
	}
	end := size
	if length >= 0 && length < size-offset {
		end = offset + length
	}
	return &reader{ctx: ctx, file: file, offset: offset, end: end, attributes: driver.ReaderAttributes{Size: size}}, nil
}

// Read reads on, until the end of the range.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	left := r.end - r.offset
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := r.file.ReadAt(p[:min(int64(len(p)), left)], r.offset)
	r.offset += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file became shorter
	}
	return n, err
}

func (r *reader) Close() error { return r.file.Close() }

func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attributes }

func (r *reader) As(any) bool { return false }
