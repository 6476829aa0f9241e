package tier

import (
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// Parts of the seek table, a skippable zstd frame: a head of magic and length,
// an entry a frame, a foot of count, descriptor and magic.
const (
	seekTableHeadBytes  = 8
	seekTableEntryBytes = 12
	seekTableFootBytes  = 9
	seekTableCountAt    = 0
)

const (
	// framesMax is the most frames that an object may have: one for each whole
	// segment.FrameBytes of records, one for the rest, the index frame.
	framesMax = segment.SegmentBytesMax/segment.FrameBytes + 2
	// segmentBytesMax is the longest segment file: one that damage left no room
	// in grows by seal mark, index and footer.
	segmentBytesMax = segment.FileBytesMax
	// objectBytesMax is more than an object of the longest segment may take.
	objectBytesMax = segmentBytesMax + segmentBytesMax/128
	// compressedFrameBytesMin is the length of the shortest zstd frame with
	// content and checksum: magic, descriptor, size, block header, a byte,
	// checksum.
	compressedFrameBytesMin = 4 + 1 + 1 + 3 + 1 + 4
	// bareTailBytes is what is read first of an object whose tail bytes are
	// not known.
	bareTailBytes = 64 << 10
)

func seekTableBytes(frames int64) int64 {
	return seekTableHeadBytes + frames*seekTableEntryBytes + seekTableFootBytes
}

// compressedFrameBytesMax bounds what a zstd frame of this content may take: 3
// bytes for each block of 128 KiB or more (less than 1/256), header, checksum.
func compressedFrameBytesMax(content int64) int64 { return content + content/256 + 64 }

// indexFrameBytesMax bounds the content of the index frame behind records that
// end at recordsEnd.
func indexFrameBytesMax(recordsEnd int64) int64 {
	return segment.IndexBytesMax(recordsEnd-segment.HeaderBytes) + segment.FooterBytes
}

// frames is how a segment's bytes are dealt out to record frames: those of its
// index, the header with the first. A segment without records has one frame
// that holds its header.
type frames struct {
	entries []segment.Frame
	end     int64 // where the records end
	lastSeq uint64
}

// newFrames checks that index and footer agree on where frames may lie.
func newFrames(x *segment.Index, f *segment.Footer) (frames, error) {
	fr := frames{entries: x.Frames(), end: int64(f.IndexOffset), lastSeq: f.LastSeq}
	if len(fr.entries) == 0 && fr.end != segment.HeaderBytes {
		return frames{}, fmt.Errorf("no frames for records up to %d: %w", fr.end, segment.ErrCorrupt)
	}
	for i := range fr.entries {
		e := &fr.entries[i]
		if e.Offset > fr.end || i > 0 && (e.Offset == fr.end || e.Offset-fr.entries[i-1].Offset < segment.FrameBytes) {
			return frames{}, fmt.Errorf("frame %d at %d of %d: %w", i, e.Offset, fr.end, segment.ErrCorrupt)
		}
	}
	return fr, nil
}

func (fr *frames) count() int { return max(len(fr.entries), 1) }

// bounds returns where frame i begins and ends in the segment file.
func (fr *frames) bounds(i int) (start, end int64) {
	end = fr.end
	if i > 0 {
		start = fr.entries[i].Offset
	}
	if i+1 < len(fr.entries) {
		end = fr.entries[i+1].Offset
	}
	return start, end
}

// seqs returns the sequences of the records in frame i; last is first - 1 if it
// has none.
func (fr *frames) seqs(i int) (first, last uint64) {
	if i >= len(fr.entries) {
		return fr.lastSeq + 1, fr.lastSeq
	}
	last = fr.lastSeq
	if i+1 < len(fr.entries) {
		last = fr.entries[i+1].FirstSeq - 1
	}
	return fr.entries[i].FirstSeq, last
}

// corrupt reports that frame i, which lies at an offset of the object or the
// segment, is damaged.
func (fr *frames) corrupt(i int, offset int64, err error) *CorruptError {
	first, last := fr.seqs(i)
	if last < first {
		first, last = 0, 0
	}
	return &CorruptError{Where: "frame", Offset: offset, Frame: i, FirstSeq: first, LastSeq: last, Err: err}
}
