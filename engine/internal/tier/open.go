package tier

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// OpenObject reads the tail of an object and checks it. objectBytes is its
// length. tailBytes is what ObjectInfo.TailBytes said and makes it one range
// read; 0 says that it is not known: then the last 64 KiB are read first, and
// up to two more ranges if the tail is longer.
//
// It fails with a CorruptError, also if the object has not these lengths; with
// an IdentityError if it holds another segment than want; with an error that
// matches segment.ErrVersion if another version wrote it; else with that of src
// or ctx. Nothing is trusted before it is bounded: whatever the bytes, it
// allocates at most a small multiple of what the longest segment's index takes.
//
// The object reads from src as long as it is used, and closes nothing.
func OpenObject(ctx context.Context, src RangeReader, objectBytes, tailBytes int64, want Identity) (*Object, error) {
	o := &opener{src: src, objectBytes: objectBytes, from: objectBytes}
	table, err := o.readSeekTable(ctx, tailBytes)
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	object, err := o.readIndexFrame(ctx, table, want)
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	if err := object.checkTable(); err != nil {
		return nil, fmt.Errorf("open object: %w", corruptTable(object.objectBytes-seekTableBytes(int64(len(table))), "%w", err))
	}
	return object, nil
}

// opener is one run of OpenObject. tail is the object from an offset on.
type opener struct {
	src         RangeReader
	objectBytes int64
	from        int64
	tail        []byte
}

// need reads on, backwards, until tail has at least length bytes.
func (o *opener) need(ctx context.Context, length int64) error {
	missing := length - int64(len(o.tail))
	if missing <= 0 {
		return nil
	}
	if length > o.objectBytes {
		return corruptTable(0, "%d bytes of an object of %d", length, o.objectBytes)
	}
	b, err := readRange(ctx, o.src, o.from-missing, missing)
	if err != nil {
		return fmt.Errorf("read tail: %w", err)
	}
	o.from -= missing
	o.tail = append(b, o.tail...)
	return nil
}

func corruptTable(offset int64, format string, args ...any) *CorruptError {
	return &CorruptError{Where: "seek table", Offset: offset, Frame: noFrame, Err: fmt.Errorf(format, args...)}
}

// readSeekTable reads the seek table and checks all that can be checked without
// the index.
func (o *opener) readSeekTable(ctx context.Context, tailBytes int64) ([]tableEntry, error) {
	if o.objectBytes < seekTableBytes(2)+2*compressedFrameBytesMin || o.objectBytes > objectBytesMax {
		return nil, &CorruptError{Where: "object", Frame: noFrame, Err: fmt.Errorf("length of %d bytes", o.objectBytes)}
	}
	if tailBytes < 0 || tailBytes > o.objectBytes || tailBytes > 0 && tailBytes < seekTableFootBytes {
		return nil, corruptTable(0, "tail of %d bytes in an object of %d", tailBytes, o.objectBytes)
	}
	first := tailBytes
	if first == 0 {
		first = min(bareTailBytes, o.objectBytes)
	}
	if first > compressedFrameBytesMax(indexFrameBytesMax(segmentBytesMax))+seekTableBytes(framesMax) {
		return nil, corruptTable(0, "tail of %d bytes", first)
	}
	if err := o.need(ctx, first); err != nil {
		return nil, err
	}
	count := int64(binary.LittleEndian.Uint32(o.tail[len(o.tail)-seekTableFootBytes+seekTableCountAt:]))
	tableBytes := seekTableBytes(count)
	at := o.objectBytes - tableBytes
	if count < 2 || count > framesMax || at < 0 {
		return nil, corruptTable(max(at, 0), "%d frames", count)
	}
	if err := o.need(ctx, tableBytes); err != nil {
		return nil, err
	}
	entries, err := parseSeekTable(o.tail[int64(len(o.tail))-tableBytes:], at)
	if err != nil {
		return nil, err
	}
	index := &entries[len(entries)-1]
	length := int64(index.compressed) + tableBytes
	if tailBytes != 0 && tailBytes != length {
		return nil, corruptTable(at, "tail of %d bytes, expected %d", length, tailBytes)
	}
	return entries, o.need(ctx, length)
}

// tableEntry is a frame as the seek table has it.
type tableEntry struct {
	offset     int64 // in the object
	compressed uint32
	content    uint32
	checksum   uint32
	lost       bool // stands for frames that were not found
}

// parseSeekTable decodes the table, which begins at an offset of the object,
// and checks that its frames fill the object and could be a segment.
func parseSeekTable(b []byte, at int64) ([]tableEntry, error) {
	table, err := seekable.NewSeekTable(b)
	if err != nil {
		return nil, corruptTable(at, "%w", err)
	}
	if !table.HasChecksums() {
		return nil, corruptTable(at, "no checksums")
	}
	entries := make([]tableEntry, table.NumFrames())
	var compressed, content int64
	for i := range entries {
		e, _ := table.EntryByID(int64(i))
		entries[i] = tableEntry{offset: compressed, compressed: e.CompressedSize, content: e.DecompressedSize, checksum: e.Checksum}
		if i == len(entries)-1 && int64(e.DecompressedSize) > indexFrameBytesMax(content) {
			return nil, corruptTable(at, "index frame of %d bytes behind %d", e.DecompressedSize, content)
		}
		compressed += int64(e.CompressedSize)
		content += int64(e.DecompressedSize)
		if e.CompressedSize < compressedFrameBytesMin || int64(e.CompressedSize) > compressedFrameBytesMax(int64(e.DecompressedSize)) ||
			e.DecompressedSize == 0 || content > segmentBytesMax {
			return nil, corruptTable(at, "frame %d of %d bytes, %d compressed", i, e.DecompressedSize, e.CompressedSize)
		}
	}
	if compressed != at {
		return nil, corruptTable(at, "frames of %d bytes in %d", compressed, at)
	}
	if last := &entries[len(entries)-1]; last.content <= segment.FooterBytes {
		return nil, corruptTable(at, "index frame of %d bytes", last.content)
	}
	return entries, nil
}

// readIndexFrame decodes footer and index, and checks that they and want agree.
func (o *opener) readIndexFrame(ctx context.Context, entries []tableEntry, want Identity) (*Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	last := &entries[len(entries)-1]
	corrupt := func(where string, err error) error {
		if errors.Is(err, segment.ErrVersion) {
			return err
		}
		return &CorruptError{Where: where, Offset: last.offset, Frame: noFrame, Err: err}
	}
	content, err := decodeFrame(o.tail[last.offset-o.from:][:last.compressed], nil, int64(last.content), last.checksum)
	if err != nil {
		return nil, corrupt("index frame", err)
	}
	object := &Object{src: o.src, objectBytes: o.objectBytes, entries: entries[:len(entries)-1], tail: content}
	at := len(content) - segment.FooterBytes
	if object.footer, err = segment.DecodeFooter(content[at:]); err != nil {
		return nil, corrupt("footer", err)
	}
	if err := want.check(&object.footer); err != nil {
		return nil, err
	}
	if object.index, err = object.footer.Index(content[:at:at]); err != nil {
		return nil, corrupt("index", err)
	}
	if object.frames, err = newFrames(object.index, &object.footer); err != nil {
		return nil, corrupt("index", err)
	}
	return object, nil
}

// checkTable checks that the seek table deals the segment out as the index
// does.
func (o *Object) checkTable() error {
	if len(o.entries) != o.frames.count() {
		return fmt.Errorf("%d record frames, the index has %d", len(o.entries), o.frames.count())
	}
	for i := range o.entries {
		if start, end := o.frames.bounds(i); int64(o.entries[i].content) != end-start {
			return fmt.Errorf("frame %d of %d bytes, the index has %d", i, o.entries[i].content, end-start)
		}
	}
	return nil
}
