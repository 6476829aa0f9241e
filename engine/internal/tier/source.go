package tier

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// RangeReader reads an object by ranges: a warm file, or a key of a bucket.
// Implementations are safe for concurrent use.
type RangeReader interface {
	// ReadRange returns the length bytes at offset, and the caller owns them.
	// It fails with an error that matches io.ErrUnexpectedEOF if the object
	// ends before.
	ReadRange(ctx context.Context, offset, length int64) ([]byte, error)
}

// FileReader reads a warm object from its file.
type FileReader struct{ file vfs.File }

// NewFileReader returns a reader of file, which stays the caller's and must be
// open as long as the reader is used.
func NewFileReader(file vfs.File) *FileReader { return &FileReader{file: file} }

// ReadRange reads length bytes at offset of the file; see RangeReader.
func (r *FileReader) ReadRange(ctx context.Context, offset, length int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := make([]byte, length)
	if n, err := r.file.ReadAt(b, offset); n < len(b) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s at %d: %w", r.file.Name(), offset+int64(n), err)
	}
	return b, nil
}

// readRange reads a range and checks its length. An object that ends inside it
// is a CorruptError.
func readRange(ctx context.Context, src RangeReader, offset, length int64) ([]byte, error) {
	b, err := src.ReadRange(ctx, offset, length)
	if err == nil && int64(len(b)) != length {
		err = fmt.Errorf("%d bytes of %d: %w", len(b), length, io.ErrUnexpectedEOF)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &CorruptError{Where: "object", Offset: offset, Frame: noFrame, Err: err}
	}
	return b, err
}
