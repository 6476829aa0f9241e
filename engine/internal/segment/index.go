package segment

import (
	"fmt"
	"math"
	"sort"
)

// IndexVersion is the version of the index block.
const IndexVersion = 1

// Layout of the index block: a head, then sections, each a kind, a length and
// a body padded to 8.
const (
	indexVersionAt  = 0
	indexReservedAt = 1
	indexHeadBytes  = 8

	sectionKindAt    = 0
	sectionLengthAt  = 4
	sectionHeadBytes = 8

	sectionEnd        = 0
	sectionFrames     = 1
	sectionDictionary = 2
	sectionFilters    = 3
)

// Layout of the frames section: a head, then one entry a frame.
const (
	framesCountAt      = 0
	framesEntryBytesAt = 4
	framesHeadBytes    = 8

	frameFirstSeqAt     = 0
	frameMaxTimestampAt = 8
	frameOffsetAt       = 16
	frameFlagsAt        = 20
	frameEntryBytes     = 24

	frameFlagDamaged = 1
)

// Frame is one sparse entry: where a frame begins, and what lies before it.
// A frame ends where the next begins, the last where the records end.
type Frame struct {
	// FirstSeq is the sequence of the first data record, or of the first
	// damaged sequence, at or behind Offset. If only control records follow,
	// it is the segment's last sequence + 1.
	FirstSeq uint64
	// MaxTimestamp is the highest timestamp of all data records of the segment
	// that lie before Offset, math.MinInt64 if there is none.
	MaxTimestamp int64
	// Offset in the segment file. The first is HeaderBytes.
	Offset int64
	// Damaged says that the frame holds a damaged range. Whoever looks for
	// subjects must read it: what stood there is not known.
	Damaged bool
}

// Index is a decoded index block. It keeps the block and is immutable: safe
// for concurrent use.
type Index struct {
	block      []byte
	frames     []Frame
	dictionary *dictionary // nil: filters
	filters    [][]byte    // one a frame
}

// DecodeIndex decodes an index block, which it keeps and which must not change
// afterwards. Checksums are not its business: see Footer.Index. It fails with
// ErrShort, VersionError or ErrCorrupt. What it allocates is bounded by a small
// multiple of len(b), whatever the bytes.
func DecodeIndex(b []byte) (*Index, error) {
	x := &Index{block: b}
	if err := x.decode(); err != nil {
		return nil, fmt.Errorf("decode index: %w", err)
	}
	return x, nil
}

// FramesIndex is what is known of a segment whose index is lost: frames, which the
// caller must not change afterwards, and no subjects. Each must be Damaged, so that
// whoever looks for subjects reads it.
func FramesIndex(frames []Frame) *Index { return &Index{frames: frames} }

func (x *Index) decode() error {
	if len(x.block) < indexHeadBytes {
		return ErrShort
	}
	if version := x.block[indexVersionAt]; version != IndexVersion {
		return &VersionError{What: whatIndex, Version: uint16(version)}
	}
	sections, err := splitSections(x.block[indexHeadBytes:])
	if err != nil {
		return err
	}
	frames, ok := sections[sectionFrames]
	if !ok {
		return fmt.Errorf("no frames: %w", ErrCorrupt)
	}
	if x.frames, err = decodeFrames(frames); err != nil {
		return fmt.Errorf("frames: %w", err)
	}
	if body, ok := sections[sectionDictionary]; ok {
		if x.dictionary, err = decodeDictionary(body, len(x.frames)); err != nil {
			return fmt.Errorf("dictionary: %w", err)
		}
		return nil
	}
	body, ok := sections[sectionFilters]
	if !ok {
		return fmt.Errorf("no subjects: %w", ErrCorrupt)
	}
	if x.filters, err = decodeFilters(body, len(x.frames)); err != nil {
		return fmt.Errorf("filters: %w", err)
	}
	return nil
}

// splitSections returns the bodies of the sections that this code knows, by
// kind. Unknown kinds are skipped: later writers may add some.
func splitSections(b []byte) (map[uint32][]byte, error) {
	sections := make(map[uint32][]byte, 2)
	for len(b) >= sectionHeadBytes {
		kind := littleEndian.Uint32(b[sectionKindAt:])
		if kind == sectionEnd {
			break
		}
		length := uint64(littleEndian.Uint32(b[sectionLengthAt:]))
		b = b[sectionHeadBytes:]
		padded := (length + 7) &^ 7
		if padded > uint64(len(b)) {
			return nil, fmt.Errorf("section %d: %w", kind, ErrShort)
		}
		if kind <= sectionFilters {
			if _, twice := sections[kind]; twice {
				return nil, fmt.Errorf("section %d stands twice: %w", kind, ErrCorrupt)
			}
			sections[kind] = b[:length:length]
		}
		b = b[padded:]
	}
	return sections, nil
}

func decodeFrames(b []byte) ([]Frame, error) {
	if len(b) < framesHeadBytes {
		return nil, ErrShort
	}
	count := uint64(littleEndian.Uint32(b[framesCountAt:]))
	entryBytes := uint64(littleEndian.Uint32(b[framesEntryBytesAt:]))
	b = b[framesHeadBytes:]
	if entryBytes < frameEntryBytes {
		return nil, fmt.Errorf("entries of %d bytes: %w", entryBytes, ErrCorrupt)
	}
	if count > uint64(len(b))/entryBytes {
		return nil, ErrShort
	}
	frames := make([]Frame, count)
	for i := range frames {
		e := b[uint64(i)*entryBytes:]
		frames[i] = Frame{
			FirstSeq:     littleEndian.Uint64(e[frameFirstSeqAt:]),
			MaxTimestamp: int64(littleEndian.Uint64(e[frameMaxTimestampAt:])),
			Offset:       int64(littleEndian.Uint32(e[frameOffsetAt:])),
			Damaged:      littleEndian.Uint32(e[frameFlagsAt:])&frameFlagDamaged != 0,
		}
		if err := checkFrame(frames, i); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

// checkFrame checks what the searches rely on: everything grows.
func checkFrame(frames []Frame, i int) error {
	f := &frames[i]
	ok := f.Offset%8 == 0 && f.Offset <= SegmentBytesMax
	if i == 0 {
		ok = ok && f.Offset == HeaderBytes && f.MaxTimestamp == math.MinInt64
	} else {
		before := &frames[i-1]
		ok = ok && f.Offset > before.Offset && f.FirstSeq >= before.FirstSeq && f.MaxTimestamp >= before.MaxTimestamp
	}
	if !ok {
		return fmt.Errorf("entry %d: %w", i, ErrCorrupt)
	}
	return nil
}

// Frames returns the sparse entries in order. The caller must not change them.
// There is none if the segment holds no record at all.
func (x *Index) Frames() []Frame { return x.frames }

// Damaged reports whether some frame holds a damaged range.
func (x *Index) Damaged() bool {
	for i := range x.frames {
		if x.frames[i].Damaged {
			return true
		}
	}
	return false
}

// MemoryBytes returns about how many bytes the index keeps in memory, its
// block included.
func (x *Index) MemoryBytes() int64 {
	n := int64(len(x.block)) + int64(len(x.frames))*32 + int64(len(x.filters))*24 + 128
	if x.dictionary != nil {
		n += int64(len(x.dictionary.entries))*4 + 64
	}
	return n
}

// SeekSeq returns the offset of the last sparse entry at or before seq:
// walking forward from there meets seq, or a damaged range that holds it, if
// the segment does.
func (x *Index) SeekSeq(seq uint64) int64 {
	return x.offsetBefore(func(f *Frame) bool { return f.FirstSeq > seq })
}

// SeekTime returns an offset from which a forward walk meets the first record
// of the segment at which the maximum timestamp so far reaches timestamp:
// everything before it is older. If no record of the segment is that young, it
// is the offset of the last entry.
func (x *Index) SeekTime(timestamp int64) int64 {
	return x.offsetBefore(func(f *Frame) bool { return f.MaxTimestamp >= timestamp })
}

// offsetBefore returns the offset of the entry before the first that is past.
func (x *Index) offsetBefore(past func(*Frame) bool) int64 {
	i := sort.Search(len(x.frames), func(i int) bool { return past(&x.frames[i]) })
	if i == 0 {
		return HeaderBytes
	}
	return x.frames[i-1].Offset
}
