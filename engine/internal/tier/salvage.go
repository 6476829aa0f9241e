package tier

import (
	"context"
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// Salvageable reports whether an error of OpenObject or of a frame is of the tail,
// or may be: then SalvageObject may find what the tail cannot show.
func Salvageable(err error) bool {
	var corrupt *CorruptError
	return errors.As(err, &corrupt) && (corrupt.Frame == noFrame || errors.Is(err, errFrameChecksum))
}

// SalvageObject opens an object whose tail is damaged, for what its record frames
// hold. They are found by the seek table, if that can be one, else by themselves; if
// the index does not verify, all of them are read to find their sequences.
//
// known is what other places say of the segment, at least log, id and first and last
// sequence. A Salt of 0 is not known: the segment header in the first frame has it
// then. An IndexOffset of 0 is not known either.
//
// What the object gives is as good as that of any other, but for two things: a frame
// in the place of another is noticed by its records alone, and an index that was
// lost has no subjects. Frames that cannot be read are CorruptErrors with their
// sequences, as ever. It fails as OpenObject does. It holds 4 MiB of the object, or
// its longest frame, and one frame's content.
func SalvageObject(ctx context.Context, src RangeReader, objectBytes int64, known segment.Footer) (*Object, error) {
	o := &opener{src: src, objectBytes: objectBytes, from: objectBytes}
	entries, err := o.readSeekTable(ctx, 0)
	hasTable := err == nil
	if errors.Is(err, ErrCorrupt) {
		entries, err = walkFrames(ctx, src, objectBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("salvage object: %w", err)
	}
	object, err := o.salvageIndex(ctx, entries, Identity{LogID: known.LogID, SegmentID: known.ID, Salt: known.Salt})
	if errors.Is(err, ErrCorrupt) {
		if hasTable {
			entries = entries[:len(entries)-1]
		}
		r := rebuilder{finder: frameFinder{src: src, objectBytes: objectBytes}, footer: known}
		object, err = r.run(ctx, entries)
	}
	if err != nil {
		return nil, fmt.Errorf("salvage object: %w", err)
	}
	return object, nil
}

// salvageIndex opens an object by its index frame, whatever the seek table says of
// frames but where they lie.
func (o *opener) salvageIndex(ctx context.Context, entries []tableEntry, want Identity) (*Object, error) {
	missing := &CorruptError{Where: "index frame", Frame: noFrame, Err: errNoFrame}
	if len(entries) < 2 {
		return nil, missing
	}
	last := &entries[len(entries)-1]
	finder := frameFinder{src: o.src, objectBytes: o.objectBytes}
	found, err := finder.frame(ctx, last.offset)
	if errors.Is(err, errNoFrame) || err == nil && (found.compressed != last.compressed ||
		found.content <= segment.FooterBytes || int64(found.content) > indexFrameBytesMax(segmentBytesMax)) {
		return nil, missing
	}
	if err == nil {
		o.from = found.offset
		o.tail, err = readRange(ctx, o.src, found.offset, int64(found.compressed))
	}
	if err != nil {
		return nil, err
	}
	*last = found
	object, err := o.readIndexFrame(ctx, entries, want)
	if err != nil {
		return nil, err
	}
	if len(object.entries) != object.frames.count() {
		return nil, missing
	}
	for i := range object.entries {
		start, end := object.frames.bounds(i)
		object.entries[i].content = uint32(end - start)
	}
	object.salvaged = true
	return object, nil
}
