package tier

import (
	"context"
	"errors"
	"math"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// rebuilder makes the index of an object from the records in its frames.
type rebuilder struct {
	finder  frameFinder
	footer  segment.Footer // what is known; the rest is made of what is found
	entries []tableEntry
	frames  []segment.Frame
	end     int64  // of the frames in the segment
	want    uint64 // the sequence that comes next
	gap     bool   // the frame before could not be read
	maximum int64  // timestamp so far, as far as is known
	// summed says that the footer's numbers are not known and are counted.
	summed bool
}

// run rebuilds the index. entries are the frames that were found; the last of them
// may be the index frame.
func (r *rebuilder) run(ctx context.Context, entries []tableEntry) (*Object, error) {
	r.want, r.maximum, r.summed = r.footer.BaseSeq, math.MinInt64, r.footer.IndexOffset == 0
	if r.summed {
		r.footer.Count, r.footer.MaxTimestamp = 0, math.MinInt64
	}
	for i := range entries {
		if !r.summed && r.end >= int64(r.footer.IndexOffset) {
			break
		}
		content, err := r.read(ctx, &entries[i])
		if err != nil {
			return nil, err
		}
		if err := r.learnSalt(content); err != nil {
			return nil, err
		}
		r.add(entries[i], content)
	}
	if len(r.entries) == 0 {
		return nil, &CorruptError{Where: "object", Frame: noFrame, Err: errNoFrame}
	}
	r.finish()
	return &Object{
		src: r.finder.src, objectBytes: r.finder.objectBytes, footer: r.footer, entries: r.entries, salvaged: true,
		index: segment.FramesIndex(r.frames), frames: frames{entries: r.frames, end: int64(r.footer.IndexOffset), lastSeq: r.footer.LastSeq},
	}, nil
}

// read returns the content of a frame, nil if it is damaged, and corrects what the
// seek table says of it.
func (r *rebuilder) read(ctx context.Context, e *tableEntry) ([]byte, error) {
	found, err := r.finder.frame(ctx, e.offset)
	if errors.Is(err, errNoFrame) || err == nil && (found.compressed != e.compressed || int64(found.content) > r.room()) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	compressed, err := r.finder.bytes(ctx, e.offset, int64(e.compressed))
	if err != nil {
		return nil, err
	}
	content, err := decodeFrame(compressed, nil, int64(found.content), found.checksum)
	if err != nil {
		return nil, nil //nolint:nilerr // it is damaged, which whoever reads it is told
	}
	*e = found
	return content, nil
}

// room is how much the records behind those that were found may take.
func (r *rebuilder) room() int64 {
	if r.summed {
		return segmentBytesMax - r.end
	}
	return int64(r.footer.IndexOffset) - r.end
}

// learnSalt takes from the header in the first frame what nothing else says.
// Without a salt no record can be verified.
func (r *rebuilder) learnSalt(content []byte) error {
	if r.footer.Salt != 0 {
		return nil
	}
	header, err := segment.DecodeHeader(content)
	if errors.Is(err, segment.ErrVersion) {
		return err
	}
	if err != nil {
		return &CorruptError{Where: "segment", Frame: noFrame, Err: err}
	}
	got := Identity{LogID: header.LogID, SegmentID: header.ID, Salt: header.Salt}
	if header.LogID != r.footer.LogID || header.ID != r.footer.ID || header.BaseSeq != r.footer.BaseSeq {
		return &IdentityError{Want: Identity{LogID: r.footer.LogID, SegmentID: r.footer.ID}, Got: got}
	}
	r.footer.Salt, r.footer.Epoch = header.Salt, header.Epoch
	return nil
}

// add takes the next frame, whose content is nil if it cannot be read.
func (r *rebuilder) add(e tableEntry, content []byte) {
	frame := segment.Frame{MaxTimestamp: r.maximum, Offset: max(r.end, segment.HeaderBytes), Damaged: true}
	if r.end == 0 {
		content = content[min(segment.HeaderBytes, len(content)):]
	}
	before := r.want
	first, readable := r.records(content)
	switch {
	case !r.gap:
		frame.FirstSeq = before
	case readable:
		frame.FirstSeq = first
	}
	r.gap = !readable && before <= r.footer.LastSeq
	if r.gap {
		r.maximum = math.MaxInt64 // it may have held any
	}
	r.entries, r.frames = append(r.entries, e), append(r.frames, frame)
	r.end += int64(e.content)
}

// records goes through the records of a frame. It returns the first sequence that
// is at or behind its start, and false if no record verifies.
func (r *rebuilder) records(content []byte) (first uint64, readable bool) {
	var record segment.Record
	for at := 0; at < len(content); {
		n, _ := segment.DecodeRecord(content[at:], r.footer.Salt, &record)
		if n == 0 { // it was damaged when the segment was sealed
			at += 8
			continue
		}
		at += n
		isData := record.Flags&segment.FlagControl == 0
		next := record.Seq + 1
		if next < r.want || isData && next == r.want || record.Seq > r.footer.LastSeq {
			continue
		}
		if !readable {
			first, readable = next, true
			if isData {
				first--
			}
		}
		r.want = next
		if isData {
			r.count(&record)
		}
	}
	return first, readable
}

func (r *rebuilder) count(record *segment.Record) {
	r.maximum = max(r.maximum, record.Timestamp)
	if !r.summed {
		return
	}
	if r.footer.Count == 0 {
		r.footer.FirstTimestamp = record.Timestamp
	}
	r.footer.Count++
	r.footer.MaxTimestamp = max(r.footer.MaxTimestamp, record.Timestamp)
}

// finish adds a frame for what was not found, and gives frames that cannot be read
// their sequences: the first of several in a row all that are missing there.
func (r *rebuilder) finish() {
	last := &r.entries[len(r.entries)-1]
	rest := tableEntry{offset: last.offset + int64(last.compressed), content: uint32(r.room()), lost: true}
	if r.summed {
		rest.content = segment.RecordBytesMin // who knows
	}
	if !r.summed && r.end < int64(r.footer.IndexOffset) || r.summed && !r.gap && r.want <= r.footer.LastSeq {
		r.add(rest, nil)
	}
	if r.summed {
		r.footer.IndexOffset = uint64(r.end)
		if r.footer.Count == 0 {
			r.footer.MaxTimestamp = 0
		}
	}
	next := r.footer.LastSeq + 1
	for i := len(r.frames) - 1; i >= 0; i-- {
		if r.frames[i].FirstSeq == 0 {
			r.frames[i].FirstSeq = next
		}
		next = r.frames[i].FirstSeq
	}
}
