package segment

import (
	"encoding/binary"
	"slices"
)

// nameCollector gathers the dictionary, until it is longer than allowed.
type nameCollector struct {
	indexWalk
	bytesMax int64
	bytes    int64 // lower bound of the encoded length
	subjects map[string]*subjectStats
}

type subjectStats struct {
	count, firstSeq, lastSeq uint64
	frameCount, lastFrame    int
	frames                   []byte // varint deltas
}

func newNameCollector(b []byte, h Header, extents []Extent) *nameCollector {
	var recordBytes int64
	if n := len(extents); n > 0 {
		recordBytes = extents[n-1].End - HeaderBytes
	}
	return &nameCollector{
		indexWalk: indexWalk{b: b, h: h, extents: extents},
		bytesMax:  dictionaryBytesMax(recordBytes),
		subjects:  make(map[string]*subjectStats),
	}
}

func (c *nameCollector) beginFrame() {}

func (c *nameCollector) add(subject []byte, seq uint64) {
	if c.subjects == nil {
		return
	}
	s := c.subjects[string(subject)]
	if s == nil {
		s = &subjectStats{firstSeq: seq}
		c.subjects[string(subject)] = s
		c.bytes += int64(entryBytesMin - 1 + len(subject))
	}
	s.count++
	s.lastSeq = seq
	if frame := len(c.frames) - 1; s.frameCount == 0 || frame != s.lastFrame {
		length := len(s.frames)
		s.frames = binary.AppendUvarint(s.frames, uint64(frame-s.lastFrame))
		s.frameCount++
		s.lastFrame = frame
		c.bytes += int64(len(s.frames) - length)
	}
	if c.bytes > c.bytesMax {
		c.subjects = nil
	}
}

// encode returns the body of the dictionary section, and false if it is longer
// than allowed.
func (c *nameCollector) encode() (body []byte, fits bool) {
	if c.subjects == nil {
		return nil, false
	}
	names := make([]string, 0, len(c.subjects))
	for name := range c.subjects {
		names = append(names, name)
	}
	slices.Sort(names)
	body = binary.AppendUvarint(body, c.h.BaseSeq)
	body = binary.AppendUvarint(body, uint64(len(names)))
	for _, name := range names {
		s := c.subjects[name]
		body = binary.AppendUvarint(body, uint64(len(name)))
		body = append(body, name...)
		body = binary.AppendUvarint(body, s.count)
		body = binary.AppendUvarint(body, s.firstSeq-c.h.BaseSeq)
		body = binary.AppendUvarint(body, s.lastSeq-s.firstSeq)
		body = binary.AppendUvarint(body, uint64(s.frameCount))
		body = append(body, s.frames...)
	}
	return body, int64(len(body)) <= c.bytesMax
}

// filterCollector gathers one filter a frame.
type filterCollector struct {
	indexWalk
	hashes []subjectHash // of the frame that is gathered
	open   bool
	body   []byte
}

func (c *filterCollector) beginFrame() {
	c.finishFrame()
	c.open = true
}

func (c *filterCollector) add(subject []byte, _ uint64) {
	c.hashes = append(c.hashes, hashSubject(subject))
}

func (c *filterCollector) finishFrame() {
	if !c.open {
		return
	}
	slices.SortFunc(c.hashes, subjectHash.compare)
	c.hashes = slices.Compact(c.hashes)
	length := filterBytes(len(c.hashes))
	c.body = binary.AppendUvarint(c.body, uint64(length))
	c.body = append(c.body, make([]byte, length)...)
	filter := c.body[len(c.body)-length:]
	for _, h := range c.hashes {
		addToFilter(filter, h)
	}
	c.hashes, c.open = c.hashes[:0], false
}
