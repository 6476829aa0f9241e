package tier

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/zstd"
)

// This file finds the frames of an object without its seek table: each zstd frame
// says by its blocks where it ends.

const (
	blockHeaderBytes = 3
	blockBytesMax    = 128 << 10 // of content, and of what it is compressed to
	blockRLE         = 1
	blockReserved    = 3
)

// errNoFrame says that no zstd frame of an object stands at a place.
var errNoFrame = errors.New("no frame of an object")

// walkFrames finds the frames from the start of an object on, up to the first
// thing that is none: the seek table, damage, or the end. It holds one span.
func walkFrames(ctx context.Context, src RangeReader, objectBytes int64) ([]tableEntry, error) {
	w := frameFinder{src: src, objectBytes: objectBytes}
	var entries []tableEntry
	for at, content := int64(0), int64(0); len(entries) < framesMax; {
		e, err := w.frame(ctx, at)
		if errors.Is(err, errNoFrame) || err == nil && content+int64(e.content) > segmentBytesMax {
			break
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
		at, content = at+int64(e.compressed), content+int64(e.content)
	}
	return entries, nil
}

// frameFinder reads an object forward, a span at a time.
type frameFinder struct {
	src         RangeReader
	objectBytes int64
	from        int64
	span        []byte
}

// bytes returns what stands at an offset, with errNoFrame if the object, which may
// be shorter than it should be, ends before.
func (w *frameFinder) bytes(ctx context.Context, offset, length int64) ([]byte, error) {
	if at := offset - w.from; at >= 0 && at+length <= int64(len(w.span)) {
		return w.span[at:][:length:length], nil
	}
	if offset+length > w.objectBytes {
		return nil, errNoFrame
	}
	for read := max(min(spanBytes, w.objectBytes-offset), length); ; read = max(read/2, length) {
		b, err := readRange(ctx, w.src, offset, read)
		if err == nil {
			w.from, w.span = offset, b
			return b[:length:length], nil
		}
		if !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
		if read == length {
			return nil, errNoFrame
		}
	}
}

// frame finds the frame at an offset. It looks at its header and at those of its
// blocks, and decodes it only if it is too short to name its length.
func (w *frameFinder) frame(ctx context.Context, offset int64) (tableEntry, error) {
	e := tableEntry{offset: offset}
	b, err := w.bytes(ctx, offset, min(zstd.HeaderMaxSize, w.objectBytes-offset))
	if err != nil {
		return e, err
	}
	var header zstd.Header
	if header.Decode(b) != nil || header.Skippable || !header.HasCheckSum || header.DictionaryID != 0 {
		return e, errNoFrame
	}
	at, blocks := offset+int64(header.HeaderSize), int64(0)
	for last := false; !last; blocks++ {
		if b, err = w.bytes(ctx, at, blockHeaderBytes); err != nil {
			return e, err
		}
		block := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		kind, length := block>>1&3, int64(block>>3)
		if kind == blockReserved || length > blockBytesMax {
			return e, errNoFrame
		}
		if kind == blockRLE {
			length = 1
		}
		last, at = block&1 != 0, at+blockHeaderBytes+length
	}
	if b, err = w.bytes(ctx, at, frameChecksumBytes); err != nil {
		return e, err
	}
	length := at + frameChecksumBytes - offset
	content := int64(header.FrameContentSize)
	if length < compressedFrameBytesMin || header.HasFCS && (content <= 0 || content > min(blocks*blockBytesMax, segmentBytesMax)) {
		return e, errNoFrame
	}
	e.compressed, e.checksum = uint32(length), binary.LittleEndian.Uint32(b)
	if e.content = uint32(content); !header.HasFCS {
		err = w.measure(ctx, &e)
	}
	return e, err
}

// measure finds the length of a frame's content that does not name it.
func (w *frameFinder) measure(ctx context.Context, e *tableEntry) error {
	if int64(e.compressed) > compressedFrameBytesMax(unsizedBytes) {
		return errNoFrame
	}
	b, err := w.bytes(ctx, e.offset, int64(e.compressed))
	if err != nil {
		return err
	}
	shared, err := decoder()
	if err != nil {
		return err
	}
	content, err := shared.DecodeAll(b, make([]byte, 0, unsizedBytes))
	if err != nil || len(content) == 0 {
		return errNoFrame
	}
	e.content = uint32(len(content))
	return nil
}
