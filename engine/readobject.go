package engine

import (
	"context"
	"errors"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file is a reader's way through a segment that it reads from a warm or
// cold object, a frame at a time.

// openObject makes the nearest object of s the reader's source and goes to the
// offset that its index gives. If no copy can be read, the segment is damage.
func (r *Reader) openObject(ctx context.Context, s *segmentFile, seek func(*segment.Index) int64) error {
	object, t, err := r.log.openObject(ctx, s)
	if errors.Is(err, errNotHot) {
		err = &DamageError{
			Log: r.log.name, Segment: s.id(), Path: s.path, FirstSeq: s.baseSeq(), LastSeq: s.lastSeq.Load(), Reason: lostFile,
		}
	}
	var damage *DamageError
	if errors.As(err, &damage) {
		return r.skip(damage)
	}
	if err != nil {
		return err
	}
	r.seg, r.object, r.tier, r.bytes, r.start, r.copied = s, object, t, nil, 0, false
	r.look()
	r.offset = max(seek(object.Index()), segment.HeaderBytes)
	return nil
}

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
		return false, nil
	}
	s, offset, t := r.seg, r.offset, r.tier
	if !r.log.noteBadCopy(s, t, err) {
		return true, err
	}
	if len(r.log.objectTiers(s)) > 0 {
		return true, errors.Join(r.leave(), r.openObject(ctx, s, func(*segment.Index) int64 { return offset }))
	}
	damage := r.log.badCopy(s, t, err)
	if err := r.skip(damage); err != nil {
		return true, err
	}
	r.offset = frameEnd(r.object, number)
	return true, nil
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

// leaveDamagedFile goes from a hot file that turned out to be damaged to an
// object of the segment. What was damaged when the segment was sealed is the
// same in every copy.
func (r *Reader) leaveDamagedFile(ctx context.Context, damage *DamageError) (moved bool, err error) {
	s, offset := r.seg, r.offset
	if r.object != nil || len(r.log.objectTiers(s)) == 0 {
		return false, nil
	}
	if index, err := s.index(r.bytes); err != nil || index.Damaged() {
		return false, err
	}
	r.log.noteBadCopy(s, manifest.TierHot, damage)
	return true, errors.Join(r.leave(), r.openObject(ctx, s, func(*segment.Index) int64 { return offset }))
}
