package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"
)

// dictionary is the exact list of a segment's subjects, in byte order of their
// names. Entries stay encoded and are decoded when looked at.
type dictionary struct {
	body    []byte
	baseSeq uint64
	entries []uint32 // where each begins in body
}

// entry is one decoded entry; its slices alias the block.
type entry struct {
	name              []byte
	count             uint64
	firstSeq, lastSeq uint64
	frameCount        int
	frames            []byte // varints
}

// entryBytesMin is the shortest entry: an empty name and five numbers.
const entryBytesMin = 6

// decodeDictionary checks every entry once, so that later reads cannot fail.
func decodeDictionary(body []byte, frameCount int) (*dictionary, error) {
	d := &dictionary{body: body}
	r := varintReader{b: body}
	d.baseSeq = r.next()
	count := r.next()
	if r.bad {
		return nil, ErrShort
	}
	if count > uint64(len(r.b))/entryBytesMin {
		return nil, fmt.Errorf("%d entries: %w", count, ErrShort)
	}
	d.entries = make([]uint32, 0, count)
	var before []byte
	for i := range count {
		d.entries = append(d.entries, uint32(len(body)-len(r.b)))
		e, ok := r.entry(d.baseSeq)
		if !ok || !framesValid(&e, frameCount) || i > 0 && bytes.Compare(before, e.name) >= 0 {
			return nil, fmt.Errorf("entry %d: %w", i, ErrCorrupt)
		}
		before = e.name
	}
	return d, nil
}

// framesValid checks that the frame numbers grow and exist.
func framesValid(e *entry, frameCount int) bool {
	r := varintReader{b: e.frames}
	next := uint64(0)
	for i := range e.frameCount {
		delta := r.next()
		if i > 0 && delta == 0 || delta >= uint64(frameCount) {
			return false
		}
		if next += delta; next >= uint64(frameCount) {
			return false
		}
	}
	return e.frameCount > 0
}

func (d *dictionary) at(i int) entry {
	r := varintReader{b: d.body[d.entries[i]:]}
	e, _ := r.entry(d.baseSeq)
	return e
}

func (d *dictionary) find(subject string) (e entry, ok bool) {
	i := sort.Search(len(d.entries), func(i int) bool { return string(d.at(i).name) >= subject })
	if i == len(d.entries) {
		return e, false
	}
	e = d.at(i)
	return e, string(e.name) == subject
}

// appendFrames appends the entry's frame numbers.
func (e *entry) appendFrames(dst []int) []int {
	r := varintReader{b: e.frames}
	frame := 0
	for range e.frameCount {
		frame += int(r.next())
		dst = append(dst, frame)
	}
	return dst
}

// varintReader takes unsigned varints off b; bad is set once one does not fit.
type varintReader struct {
	b   []byte
	bad bool
}

func (r *varintReader) next() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *varintReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad = true
		r.b = nil
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

// entry reads one entry, its bounds checked, its frame numbers not.
func (r *varintReader) entry(baseSeq uint64) (e entry, ok bool) {
	e.name = r.take(r.next())
	e.count = r.next()
	first := r.next()
	length := r.next()
	e.firstSeq = baseSeq + first
	e.lastSeq = e.firstSeq + length
	frameCount := r.next()
	if r.bad || frameCount > uint64(len(r.b)) || e.firstSeq < baseSeq || e.lastSeq < e.firstSeq {
		return e, false
	}
	e.frameCount = int(frameCount)
	start := r.b
	for range e.frameCount {
		r.next()
	}
	if r.bad {
		return e, false
	}
	e.frames = start[: len(start)-len(r.b) : len(start)-len(r.b)]
	return e, true
}
