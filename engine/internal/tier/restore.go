package tier

import (
	"context"
	"fmt"
	"io"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// spanBytes is what is read of an object at once when it is read whole: many
// frames, or a single longer one.
const spanBytes = 4 << 20

// WriteSegment writes the whole segment file to dst, as it was: to hydrate it,
// or, into io.Discard, to verify the object. Each frame is checked before it is
// written, the CRC-64 of all of them before index and footer are: what was
// written of a damaged object has no footer. Errors are those of ReadFrame, and
// that of dst. It holds 4 MiB of the object, or its longest frame, and one
// frame's content.
func (o *Object) WriteSegment(ctx context.Context, dst io.Writer) error {
	var crc uint64
	var buffer []byte
	for first := 0; first < len(o.entries); {
		count := o.span(first)
		b, err := o.readSpan(ctx, first, count)
		if err != nil {
			return fmt.Errorf("restore segment: %w", err)
		}
		for i := first; i < first+count; i++ {
			length := o.entries[i].compressed
			if content := int(o.entries[i].content); cap(buffer) < content+decodeSlackBytes {
				buffer = make([]byte, 0, content+decodeSlackBytes)
			}
			frame, err := o.DecodeFrame(i, b[:length], buffer)
			if err != nil {
				return fmt.Errorf("restore segment: %w", err)
			}
			b = b[length:]
			crc = segment.UpdateCRC64(crc, frame.Bytes)
			if _, err := dst.Write(frame.Bytes); err != nil {
				return fmt.Errorf("restore segment: write at %d: %w", frame.Start, err)
			}
		}
		first += count
	}
	if crc != o.footer.SegmentCRC64 {
		return fmt.Errorf("restore segment: %w", &CorruptError{
			Where: "object", Frame: noFrame, FirstSeq: o.footer.FirstSeq, LastSeq: o.footer.LastSeq,
			Err: fmt.Errorf("CRC-64 of header and records: %w", segment.ErrCorrupt),
		})
	}
	if _, err := dst.Write(o.tail); err != nil {
		return fmt.Errorf("restore segment: write at %d: %w", o.frames.end, err)
	}
	return nil
}

// span returns how many frames from first on are read at once.
func (o *Object) span(first int) int {
	count, bytes := 0, int64(0)
	for i := first; i < len(o.entries); i++ {
		bytes += int64(o.entries[i].compressed)
		if count > 0 && bytes > spanBytes {
			break
		}
		count++
	}
	return count
}
