package engine

import (
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
)

// This file checks the frames of a warm or cold object, and the records in them.

// checkSpanBytes is about how much of an object is read at once.
const checkSpanBytes = 4 << 20

// readFrames verifies all frames, also those behind one that does not.
func (c *objectCheck) readFrames(object *tier.Object) error {
	w := &frameWalk{objectCheck: c, object: object, footer: object.Footer(), counting: !c.counted}
	w.want, w.holes = w.footer.BaseSeq, w.footer.SegmentCRC64 == 0 // which is not known then
	var frames []tier.Frame
	for first := 0; first < object.Frames(); {
		read, err := object.ReadFrames(c.log.ctx, first, spanOf(object, first), frames)
		for _, frame := range read {
			w.frame(frame)
		}
		first += len(read)
		if len(read) > 0 {
			frames = read
		}
		if err == nil {
			continue
		}
		if isGone(err) && c.entry != nil { // evicted meanwhile, or lost
			c.missing(c.tier, c.path)
			return nil
		}
		if !errors.Is(err, tier.ErrCorrupt) {
			return err
		}
		if err := w.badFrame(first, err); err != nil {
			return err
		}
		first++
	}
	w.finish()
	return nil
}

// spanOf is how many frames from first on are read at once.
func spanOf(object *tier.Object, first int) int {
	count, bytes := 0, int64(0)
	for i := first; i < object.Frames(); i++ {
		_, length, _ := object.FrameRange(i)
		if bytes += length; count > 0 && bytes > checkSpanBytes {
			break
		}
		count++
	}
	return count
}

// frameWalk goes through the records of an object.
type frameWalk struct {
	*objectCheck
	object   *tier.Object
	footer   segment.Footer
	want     uint64 // the sequence that comes next
	crc      uint64
	holes    bool // a frame is missing
	counting bool // no other copy counted the records
}

func (w *frameWalk) frame(frame tier.Frame) {
	w.crc = segment.UpdateCRC64(w.crc, frame.Bytes)
	at := 0
	if frame.Start == 0 {
		at = min(segment.HeaderBytes, len(frame.Bytes))
		if _, err := segment.DecodeHeader(frame.Bytes[:at]); err != nil {
			w.broken(0, 0, 0, 0, "the segment header in it does not verify: "+err.Error())
		}
	}
	var record segment.Record
	for at < len(frame.Bytes) {
		n, _ := segment.DecodeRecord(frame.Bytes[at:], w.footer.Salt, &record)
		if n == 0 {
			at = w.sealedIn(frame, at)
			continue
		}
		at += n
		if record.Flags&segment.FlagControl != 0 {
			continue
		}
		if record.Seq != w.want {
			w.contradicts(w.tier, w.path, fmt.Sprintf("sequence %d stands where %d is expected", record.Seq, w.want))
		}
		w.want = record.Seq + 1
		if w.counting {
			w.records++
			w.dataBytes += int64(len(record.Subject) + len(record.Headers) + len(record.Payload))
		}
	}
}

// sealedIn reports damage that was there when the segment was sealed, and returns
// where it ends in the frame.
func (w *frameWalk) sealedIn(frame tier.Frame, at int) int {
	shift, image := frame.Start-segment.HeaderBytes, frame.Bytes
	if frame.Start > 0 { // offsets of a scan begin with a segment's header
		image = append(make([]byte, segment.HeaderBytes, segment.HeaderBytes+len(frame.Bytes)), frame.Bytes...)
	} else {
		shift = 0
	}
	_, last := w.object.FrameSeqs(frame.Number)
	known := segment.Known{RecordsEnd: int64(len(image)), LastSeq: last, Complete: true}
	offset := frame.Start + int64(at) - shift
	extent := segment.DamageAt(image, offset, w.footer.Header(0), w.want, known)
	f := Finding{
		Kind: FoundDamaged, Path: w.path, FirstSeq: extent.FirstSeq, LastSeq: extent.LastSeq,
		Reason: fmt.Sprintf("records at offset %d of the segment did not verify when it was sealed", extent.Offset+shift),
	}
	if f.costsRecords() {
		f.Cost = CostLost
	}
	w.add(w.tier, f)
	w.want = max(w.want, extent.LastSeq+1)
	return max(at+8, int(extent.End+shift-frame.Start))
}

// badFrame reports a frame that does not verify. If only the seek table says so, it
// costs no record. The error is not about the object's bytes.
func (w *frameWalk) badFrame(number int, cause error) error {
	offset, length, _ := w.object.FrameRange(number)
	reason := fmt.Sprintf("frame %d does not verify: %v", number, cause)
	if tier.Salvageable(cause) && !w.object.Salvaged() {
		object, err := tier.SalvageObject(w.log.ctx, w.source, w.objectBytes, w.footer)
		var frame tier.Frame
		if err == nil {
			frame, err = object.ReadFrame(w.log.ctx, number)
		}
		if err != nil && !isBadCopy(err) {
			return err
		}
		if err == nil {
			w.broken(offset, length, 0, 0, reason)
			w.frame(frame)
			return nil
		}
	}
	w.holes = true
	first, last := w.object.FrameSeqs(number)
	w.broken(offset, length, first, last, reason)
	w.want = last + 1
	return nil
}

func (w *frameWalk) finish() {
	w.counted = true
	if !w.holes && w.crc != w.footer.SegmentCRC64 {
		w.broken(0, w.objectBytes, w.footer.FirstSeq, w.footer.LastSeq, "the CRC-64 of header and records is not the footer's")
	}
}
