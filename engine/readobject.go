package engine

import (
	"context"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
)

// This file is a reader's way through a segment that it reads from a warm or
// cold object, a frame at a time.

// loadFrame makes the frame that holds r.offset the reader's bytes. It reports
// moved when that frame cannot be read: the reader is then in another copy, or
// behind the frame.
func (r *Reader) loadFrame(ctx context.Context) (moved bool, err error) {
	if r.bytes != nil && r.start <= r.offset && r.offset < r.start+int64(len(r.bytes)) {
		return false, nil
	}
	number := r.object.FrameAt(r.offset)
	frame, err := r.object.ReadFrame(ctx, number)
	if err == nil {
		r.bytes, r.start = frame.Bytes, frame.Start
		if !r.object.Salvaged() {
			r.seg.doubt.settle(r.tier, number)
		}
		return false, nil
	}
	s, offset := r.seg, r.offset
	if err := r.objectFailed(ctx, s, r.tier, err); err != nil {
		return true, err
	}
	return true, r.another(ctx, s, offset)
}

// frameEnd is where a frame's records end in the segment.
func frameEnd(object *tier.Object, number int) int64 {
	frames := object.Index().Frames()
	if number+1 < len(frames) {
		return frames[number+1].Offset
	}
	footer := object.Footer()
	return int64(footer.IndexOffset)
}

// extentInFrame is the damaged range at the reader's offset, which a frame holds
// whole: it was there when the segment was sealed.
func (r *Reader) extentInFrame() segment.Extent {
	number := r.object.FrameAt(r.offset)
	_, last := r.object.FrameSeqs(number)
	// Offsets of a scan begin with a segment's header.
	shift := r.start - segment.HeaderBytes
	image := r.bytes
	if r.start > 0 {
		image = append(make([]byte, segment.HeaderBytes, segment.HeaderBytes+len(r.bytes)), r.bytes...)
	} else {
		shift = 0
	}
	known := segment.Known{RecordsEnd: frameEnd(r.object, number) - shift, LastSeq: last, Complete: true}
	extent := segment.DamageAt(image, r.offset-shift, r.seg.header, r.want, known)
	extent.Offset, extent.End, extent.Damaged = extent.Offset+shift, extent.End+shift, true
	return extent
}
