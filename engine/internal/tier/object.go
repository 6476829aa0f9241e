package tier

import (
	"sort"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// Object is an open warm or cold object: its index, and where its frames lie.
// It is immutable and safe for concurrent use, and needs no closing. It keeps
// no frames.
type Object struct {
	src         RangeReader
	objectBytes int64
	footer      segment.Footer
	index       *segment.Index
	frames      frames
	entries     []tableEntry // of the record frames
	tail        []byte       // index block and footer
	salvaged    bool         // found by SalvageObject: checksums of entries are not compared
}

// Footer returns the segment's footer.
func (o *Object) Footer() segment.Footer { return o.footer }

// Index returns the segment's index. Its offsets count in the segment;
// FrameAt gives the frame.
func (o *Object) Index() *segment.Index { return o.index }

// Salvaged reports whether SalvageObject opened it: the object is damaged, whatever
// its frames give.
func (o *Object) Salvaged() bool { return o.salvaged }

// Bytes returns the length of the object.
func (o *Object) Bytes() int64 { return o.objectBytes }

// TailBytes returns the length of index frame and seek table: what OpenObject
// takes.
func (o *Object) TailBytes() int64 { return o.objectBytes - o.indexFrameOffset() }

// SegmentBytes returns the length of the segment file.
func (o *Object) SegmentBytes() int64 { return o.frames.end + int64(len(o.tail)) }

// MemoryBytes returns about how many bytes the object keeps in memory.
func (o *Object) MemoryBytes() int64 {
	const objectBytes, entryBytes = 512, 24
	return objectBytes + o.index.MemoryBytes() + int64(len(o.entries))*entryBytes
}

// Frames returns the number of record frames, at least 1. They are numbered as
// in Index.Frames; a segment without any has one that holds its header.
func (o *Object) Frames() int { return len(o.entries) }

// FrameAt returns the number of the frame that holds a segment offset. What
// lies before the records is in the first, what lies behind them is in none and
// gives the last.
func (o *Object) FrameAt(offset int64) int {
	entries := o.frames.entries
	return max(sort.Search(len(entries), func(i int) bool { return entries[i].Offset > offset })-1, 0)
}

// FrameSeqs returns the sequences of the records in frame i; last is first - 1
// if it has none.
func (o *Object) FrameSeqs(i int) (first, last uint64) { return o.frames.seqs(i) }

// FrameRange returns where frame i lies in the object, and the length of its
// content.
func (o *Object) FrameRange(i int) (offset, length, contentBytes int64) {
	e := &o.entries[i]
	return e.offset, int64(e.compressed), int64(e.content)
}

// indexFrameOffset is where the record frames end.
func (o *Object) indexFrameOffset() int64 {
	last := &o.entries[len(o.entries)-1]
	return last.offset + int64(last.compressed)
}
