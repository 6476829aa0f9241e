package segment

// The writing side of the index block; index.go reads it.

// Summary is what a footer says of a segment's data records.
type Summary struct {
	Count    uint64 // data records that verify
	FirstSeq uint64 // the segment's base sequence
	LastSeq  uint64 // damaged sequences included; FirstSeq-1 if there is none
	// FirstTimestamp and MaxTimestamp are 0 if no data record verifies.
	FirstTimestamp int64
	MaxTimestamp   int64
	// FirstExtID and LastExtID are those of the first and the last record that
	// has one, 0 if none has.
	FirstExtID uint64
	LastExtID  uint64
}

// BuildIndex makes the index block of a segment's records. b is the file's
// bytes, at least up to the end of extents; extents is what Scan returned, or,
// for a segment that this process wrote, one run from HeaderBytes to the end of
// the records, the seal mark included. Every record is verified on the way; one
// that does not verify is treated as damage. The same bytes and extents give
// the same block. The block is a multiple of 8 long and at most IndexBytesMax
// of the records.
func BuildIndex(b []byte, h Header, extents []Extent) (index []byte, sum Summary) {
	names := newNameCollector(b, h, extents)
	sum = names.walk(names)
	block := make([]byte, indexHeadBytes, 4<<10)
	block[indexVersionAt] = IndexVersion
	block = appendSection(block, sectionFrames, encodeFrames(names.frames))
	if body, fits := names.encode(); fits {
		return appendSection(block, sectionDictionary, body), sum
	}
	filters := filterCollector{indexWalk: indexWalk{b: b, h: h, extents: extents}}
	filters.walk(&filters)
	filters.finishFrame()
	return appendSection(block, sectionFilters, filters.body), sum
}

func appendSection(block []byte, kind uint32, body []byte) []byte {
	block = littleEndian.AppendUint32(block, kind)
	block = littleEndian.AppendUint32(block, uint32(len(body)))
	block = append(block, body...)
	return append(block, make([]byte, align8(len(block))-len(block))...)
}

func encodeFrames(frames []Frame) []byte {
	dst := make([]byte, 0, framesHeadBytes+len(frames)*frameEntryBytes)
	dst = littleEndian.AppendUint32(dst, uint32(len(frames)))
	dst = littleEndian.AppendUint32(dst, frameEntryBytes)
	for i := range frames {
		f := &frames[i]
		var flags uint32
		if f.Damaged {
			flags |= frameFlagDamaged
		}
		dst = littleEndian.AppendUint64(dst, f.FirstSeq)
		dst = littleEndian.AppendUint64(dst, uint64(f.MaxTimestamp))
		dst = littleEndian.AppendUint32(dst, uint32(f.Offset))
		dst = littleEndian.AppendUint32(dst, flags)
	}
	return dst
}
