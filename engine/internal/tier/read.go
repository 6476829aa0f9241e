package tier

import (
	"context"
	"fmt"
)

// Frame is the content of one record frame.
type Frame struct {
	Number int
	// Start is the segment offset of Bytes[0]: the record at segment offset o
	// is at o - Start. Frame 0 starts at 0, with the segment's header.
	Start int64
	// Bytes are those of the segment. The caller owns them. They were checked
	// against the frame's checksum; each record has its own.
	Bytes []byte
}

// ReadFrame reads and decodes frame i: one range read of exactly its bytes. It
// fails with a CorruptError that names the frame and its sequences, or with the
// error of the source. It panics if there is no such frame.
func (o *Object) ReadFrame(ctx context.Context, i int) (Frame, error) {
	b, err := o.readSpan(ctx, i, 1)
	if err != nil {
		return Frame{}, err
	}
	return o.DecodeFrame(i, b, nil)
}

// ReadFrames reads count frames from first on as one range and decodes them:
// for readers that go on. reuse may be what an earlier call returned, if nobody
// needs it any more: its memory is used again. If a frame is damaged the frames
// before it are returned, with the CorruptError of that one. It panics if there
// are not so many.
func (o *Object) ReadFrames(ctx context.Context, first, count int, reuse []Frame) ([]Frame, error) {
	b, err := o.readSpan(ctx, first, count)
	if err != nil {
		return nil, err
	}
	read := reuse[:0]
	for i := first; i < first+count; i++ {
		length := o.entries[i].compressed
		var dst []byte
		if len(read) < len(reuse) {
			dst = reuse[len(read)].Bytes
		}
		frame, err := o.DecodeFrame(i, b[:length], dst)
		if err != nil {
			return read, err
		}
		b = b[length:]
		read = append(read, frame)
	}
	return read, nil
}

// DecodeFrame decodes the bytes of frame i, which lie where FrameRange says,
// into the memory of dst if that is long enough (16 bytes longer than the
// content). The frame does not keep compressed. Errors are those of ReadFrame.
func (o *Object) DecodeFrame(i int, compressed, dst []byte) (Frame, error) {
	e := &o.entries[i]
	if len(compressed) != int(e.compressed) {
		return Frame{}, o.frames.corrupt(i, e.offset, fmt.Errorf("%d bytes of %d", len(compressed), e.compressed))
	}
	checksum := e.checksum
	if o.salvaged {
		checksum = ownChecksum(compressed)
	}
	content, err := decodeFrame(compressed, dst, int64(e.content), checksum)
	if err != nil {
		return Frame{}, o.frames.corrupt(i, e.offset, err)
	}
	start, _ := o.frames.bounds(i)
	return Frame{Number: i, Start: start, Bytes: content}, nil
}

// readSpan reads the bytes of count frames from first on.
func (o *Object) readSpan(ctx context.Context, first, count int) ([]byte, error) {
	from, last := &o.entries[first], &o.entries[first+count-1]
	if from.lost {
		return nil, o.frames.corrupt(first, from.offset, errNoFrame)
	}
	b, err := readRange(ctx, o.src, from.offset, last.offset+int64(last.compressed)-from.offset)
	if err != nil {
		return nil, fmt.Errorf("read frames %d to %d: %w", first, first+count-1, err)
	}
	return b, nil
}
