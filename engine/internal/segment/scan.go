package segment

// Scan: what recovery makes of the bytes of one segment. The rules, and why
// each is there, stand in docs/segment-format.md.

// Known is what other places prove about a segment before it is scanned: its
// footer, its seal or a clean close in the manifest, or the header of the next
// segment. The zero value knows nothing.
type Known struct {
	// RecordsEnd is the offset at which the records end (the index offset of a
	// footer or of a seal), 0 if unknown. Everything before it was durable.
	RecordsEnd int64
	// LastSeq is the last sequence of a complete segment.
	LastSeq uint64
	// Complete says that the segment holds BaseSeq to LastSeq, all of it
	// durable: nothing in it can be torn, and what is missing is damage.
	Complete bool
	// CloseMark is the offset of the close mark of a clean close that the manifest
	// records, 0 if there is none: everything up to the end of the mark was
	// durable. Records may follow it. It counts only where nothing above says
	// more, and where a close mark may stand.
	CloseMark int64
	// Closed says that nothing was recorded in the manifest behind that close: then
	// nothing was appended behind it.
	Closed bool
	// HeaderLost says that the manifest knows the segment to be opened, and that
	// its header does not verify. It was durable before that was recorded, so this
	// is damage and no tear, and so is what does not verify right behind it. It
	// counts only where the segment is not complete.
	HeaderLost bool
}

// LostBehindHeader reports whether a damaged range follows on a header whose loss
// proves it to be damage.
func (k Known) LostBehindHeader(extent Extent) bool {
	return k.HeaderLost && !k.Complete && extent.Damaged && extent.Offset == HeaderBytes
}

// CloseEnd is where the recorded clean close ends, 0 if none counts.
func (k Known) CloseEnd() int64 {
	possible := k.CloseMark > HeaderBytes && k.CloseMark <= SegmentBytesMax-MarkBytes && k.CloseMark%SectorBytes == 0
	if !possible || k.Complete || k.RecordsEnd > 0 {
		return 0
	}
	return k.CloseMark + MarkBytes
}

// endsWithClose reports whether the records are known to end with a recorded close.
func (k Known) endsWithClose() bool { return k.Closed && k.CloseEnd() > 0 }

// RoomLost is how many sequences may have been given out of a file of so many bytes
// in which nothing verifies. One that is not there, or ends inside its header, was
// made shorter, and may have had any length, if no close tells where it ended.
func RoomLost(fileBytes int64, known Known) uint64 {
	if fileBytes < HeaderBytes && !known.endsWithClose() {
		fileBytes = SegmentBytesMax
	}
	return uint64(max(fileBytes/RecordBytesMin, 1))
}

// Extent is a range of a segment file: a run of records that verify, or a
// damaged range. It may hold no sequence (control records, or damage to one):
// then LastSeq is FirstSeq-1.
type Extent struct {
	Offset, End       int64
	FirstSeq, LastSeq uint64
	Damaged           bool
}

// Cut tells of bytes behind the last record that are not part of the log.
type Cut struct {
	Offset int64 // where the log ends: ScanResult.RecordsEnd
	End    int64 // behind the last 8-byte word that is not zero, or the end of the file inside it
	Batch  bool  // records that verify were cut: the rest of their atomic batch is missing
}

// ScanResult is what Scan found. Offsets count from the start of the file. All
// but Cut.End are multiples of 8, and none lies behind the end of the file,
// except that the records of a file shorter than a header still begin and end
// at HeaderBytes.
type ScanResult struct {
	// Extents are contiguous, in order, from HeaderBytes to RecordsEnd:
	// verified runs and the damaged ranges that are kept. Damage of which no
	// whole word is left (zeros where records should be, a file cut off behind
	// the first bytes of a record) may be a range of no bytes.
	Extents []Extent
	// RecordsEnd lies behind the last thing kept.
	RecordsEnd int64
	// LastSeq is the last sequence, damaged ones included, BaseSeq-1 if there
	// is none. The log goes on above it.
	LastSeq uint64
	// DurableEnd: what lies before it was durable, what lies between it and
	// RecordsEnd must be written again and synced before it is served.
	DurableEnd int64
	// Closed: a close mark is the last record, and zeros fill the file behind
	// it. Only such a segment is continued.
	Closed bool
	// Sealed: a valid seal mark ends the records.
	Sealed bool
	// Short: the file is shorter than it was prepared, and no end of the records
	// that is known explains it. Then nothing is torn, all that was in the file is
	// judged as durable, and the last extent is damage.
	Short bool
	// Cut is not nil if non-zero bytes lie behind RecordsEnd and neither a
	// seal mark nor Known.RecordsEnd ends the records there.
	Cut *Cut
}

// Damaged reports whether a damaged range is kept.
func (r *ScanResult) Damaged() bool {
	for i := range r.Extents {
		if r.Extents[i].Damaged {
			return true
		}
	}
	return false
}

// Scan judges the bytes of a segment file: which records are part of the log,
// which ranges are damaged, and what is torn, or not proved to be acknowledged, and
// is cut. b is the whole file; h its header (which may be rebuilt: the first
// HeaderBytes of b are not read). It is a pure function, never fails and keeps
// nothing of b; its memory grows with the number of damaged ranges alone.
func Scan(b []byte, h Header, known Known) ScanResult {
	s := newScanner(b, h, known)
	s.look(h, int64(len(b)))
	w := walk{scanner: s, want: h.BaseSeq, durable: HeaderBytes}
	w.run()
	j := judge{walk: &w, first: h.BaseSeq, end: HeaderBytes, last: h.BaseSeq - 1}
	j.run()
	return j.result()
}

// DamageAt returns the damaged range that starts at offset, where a reader
// found a record that does not verify: up to the next record that does, as
// Scan resynchronises. b is the whole file, offset lies behind its header and
// is a multiple of 8; wantSeq is the sequence that the reader expected. known
// bounds the search: a reader of a segment that is still written to gives its
// watermark. If the record at offset does verify, the extent is empty and not
// Damaged.
func DamageAt(b []byte, offset int64, h Header, wantSeq uint64, known Known) Extent {
	s := newScanner(b, h, known)
	if offset < HeaderBytes || offset%8 != 0 || offset > SegmentBytesMax {
		return emptyExtent(offset, wantSeq)
	}
	if _, ok := s.expected(int(offset), wantSeq); ok {
		return emptyExtent(offset, wantSeq)
	}
	return s.damageAt(int(offset), wantSeq)
}

// emptyExtent is an extent of no bytes and no sequences.
func emptyExtent(offset int64, want uint64) Extent {
	return Extent{Offset: offset, End: offset, FirstSeq: want, LastSeq: want - 1}
}
