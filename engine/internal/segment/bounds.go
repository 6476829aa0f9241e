package segment

// How much room a segment keeps behind its records, so that it can always be
// closed and sealed.

const (
	// dictionaryShare: a subject dictionary longer than this share of the
	// record bytes gives way to filters.
	dictionaryShare = 50
	// dictionaryBytesMin is what a dictionary may take in any segment: in a
	// short one a share of the records would not hold a single name.
	dictionaryBytesMin = 512

	// indexFixedBytesMax bounds what an index holds whatever its records: its
	// head, the heads and the padding of its two sections, a dictionary of
	// dictionaryBytesMin, and the one frame that may be shorter than FrameBytes
	// with the rounding of its filter.
	indexFixedBytesMax = indexHeadBytes + 2*(sectionHeadBytes+7) + framesHeadBytes +
		dictionaryBytesMin + frameEntryBytes + filterRoundingBytesMax
)

// dictionaryBytesMax returns the length that a dictionary may have.
func dictionaryBytesMax(recordBytes int64) int64 {
	return max(recordBytes/dictionaryShare, dictionaryBytesMin)
}

// IndexBytesMax bounds the length of the index block of any records of this
// length (control records and damaged ranges included): 3 % of it, 24 bytes a
// frame and a constant. The share covers a dictionary (2 %), and filters of 10
// bits a subject where each record has the shortest possible length and a
// subject of its own (2.24 %). It grows with recordBytes.
func IndexBytesMax(recordBytes int64) int64 {
	recordBytes = max(recordBytes, 0)
	return align8(recordBytes*3/100 + recordBytes/FrameBytes*frameEntryBytes + indexFixedBytesMax)
}

// SealBytesMax bounds the room that it takes to seal a segment whose records
// end at recordsEnd: seal mark, index and footer. It grows with recordsEnd.
func SealBytesMax(recordsEnd int64) int64 {
	return SealMarkBytes + IndexBytesMax(recordsEnd+SealMarkBytes-HeaderBytes) + FooterBytes
}

// ReserveBytes returns the room to keep behind recordsEnd so that a mark pair
// fits and the segment can be sealed behind it. It grows with recordsEnd. A
// data record may end at e only if e+ReserveBytes(e) lies inside the segment; a
// mark may end at e if e+SealBytesMax(e) does.
func ReserveBytes(recordsEnd int64) int64 {
	return MarkPairBytesMax + SealBytesMax(recordsEnd+MarkPairBytesMax)
}
