package segment

import "math"

// scanner looks for records in the bytes of a segment that may hold anything.
type scanner struct {
	b          []byte // the file up to where records may lie
	known      Known
	nonZeroEnd int    // of b
	allocated  int64  // length that the file was prepared with, 0 if not known
	cutOff     bool   // the file is shorter than that
	short      bool   // and nothing that is known explains it
	seqMax     uint64 // no record of the log has a higher sequence
	checksums  rangeChecker
	zeros      zeroShares
}

// found is what the scan needs of a record that verifies.
type found struct {
	seq      uint64
	end      int
	unsynced uint32
	flags    Flags
	kind     ControlKind // of a control record
}

func (f *found) control() bool { return f.flags&FlagControl != 0 }

func newScanner(b []byte, h Header, known Known) *scanner {
	if known.RecordsEnd > 0 {
		known.RecordsEnd = max(known.RecordsEnd, HeaderBytes)
		b = b[:min(int64(len(b)), known.RecordsEnd)]
	}
	s := &scanner{b: b, known: known, nonZeroEnd: nonZeroEnd(b), seqMax: SeqMax}
	if known.Complete {
		s.seqMax = min(known.LastSeq, SeqMax)
	}
	s.checksums = rangeChecker{b: b, salt: uint32(h.Salt)}
	s.zeros = zeroShares{b: b}
	return s
}

// look compares the length of the file with the one that it was prepared with. No
// crash makes a file shorter: only a seal does, and that ends the records before.
// What a clean close recorded is the end of them too, as long as nothing followed.
func (s *scanner) look(h Header, fileBytes int64) {
	s.allocated = int64(min(h.AllocatedBytes, math.MaxInt32))
	s.cutOff = fileBytes < s.allocated
	s.short = s.cutOff && !s.known.Complete && s.known.RecordsEnd == 0 && !s.known.endsWithClose()
}

// expected returns the record at offset if it verifies and is the one that
// follows in order: the data record want, or a control record before it.
func (s *scanner) expected(offset int, want uint64) (found, bool) {
	return s.recordAt(offset, want, min(want, s.seqMax), want)
}

// recordAt returns the record at offset if it verifies and its sequence lies
// in [low, high]; a control record counts as the sequence behind it, and lies
// in [low, highControl]. Cheap checks come first: on hostile bytes the
// checksum of the body is computed only for a header that verifies.
func (s *scanner) recordAt(offset int, low, high, highControl uint64) (f found, ok bool) {
	if offset > len(s.b)-RecordHeaderBytes {
		return f, false
	}
	head := s.b[offset : offset+RecordHeaderBytes]
	f.seq = littleEndian.Uint64(head[recordSeqAt:])
	f.flags = Flags(littleEndian.Uint16(head[recordFlagsAt:]))
	if f.control() {
		if f.seq+1 < low || f.seq+1 > highControl || f.seq > SeqMax {
			return f, false
		}
	} else if f.seq < low || f.seq > high {
		return f, false
	}
	bodyBytes := uint64(littleEndian.Uint32(head[recordBodyBytesAt:]))
	if bodyBytes == 0 || bodyBytes > uint64(len(s.b)-offset-RecordHeaderBytes) {
		return f, false
	}
	f.end = offset + align8(RecordHeaderBytes+int(bodyBytes))
	payloadAt := uint64(littleEndian.Uint16(head[recordSubjectBytesAt:])) +
		uint64(littleEndian.Uint32(head[recordHeadersBytesAt:]))
	if f.end > len(s.b) || payloadAt > bodyBytes || f.control() && payloadAt != 0 {
		return f, false
	}
	if !s.checksums.recordVerifies(offset, f.end) {
		return f, false
	}
	f.unsynced = littleEndian.Uint32(head[recordUnsyncedAt:])
	if f.control() {
		f.kind = ControlKind(s.b[offset+RecordHeaderBytes])
	}
	return f, true
}

// damage returns the damaged range that starts at offset, where the record
// want was expected and does not verify, and whether there is more to look at
// behind it: a record that verifies, or what stands behind a recorded close. If
// neither ends the range, it ends with the last non-zero word.
func (s *scanner) damage(offset int, want uint64) (extent Extent, more bool) {
	extent = Extent{Offset: int64(offset), FirstSeq: want, Damaged: true}
	ceiling := want + uint64(len(s.b)/RecordBytesMin) + 1
	if s.known.Complete {
		ceiling = max(ceiling, s.known.LastSeq)
	}
	for at := offset; at <= min(s.nonZeroEnd, len(s.b))-RecordHeaderBytes; at += 8 {
		if seq := littleEndian.Uint64(s.b[at+recordSeqAt:]); seq > ceiling || seq+1 < want {
			continue // most bytes that are no record end here
		}
		f, ok := s.candidate(at, offset, want)
		if !ok {
			continue
		}
		extent.End = int64(at)
		extent.LastSeq = f.seq - 1
		if f.control() {
			extent.LastSeq = f.seq
		}
		return extent, true
	}
	if end := s.known.CloseEnd(); int64(offset) < end && !s.short {
		extent = s.damageBeforeClose(offset, want)
		return extent, extent.End == end && end < int64(s.nonZeroEnd)
	}
	extent.End = int64(max(min(s.nonZeroEnd, len(s.b)&^7), offset))
	if s.known.Complete {
		extent.LastSeq = max(s.known.LastSeq, want-1)
	} else {
		extent.LastSeq = want - 1 + s.sequencesLost(offset)
	}
	return extent, false
}

// damageBeforeClose is the damaged range from offset to the end of a recorded
// close, in which nothing verifies. What stands there are records and, at the
// end, a mark pair, whose first mark has RecordBytesMin or more: so many
// sequences as fit in front of it may be lost, and none if only marks do.
func (s *scanner) damageBeforeClose(offset int, want uint64) Extent {
	end := s.known.CloseEnd()
	lost, from := uint64(0), int64(offset)
	if recordEnd, ok := s.verifiedExtent(offset); ok {
		from = int64(recordEnd)
		if Flags(littleEndian.Uint16(s.b[offset+recordFlagsAt:]))&FlagControl == 0 {
			lost = 1
		}
	}
	lost += uint64(max(0, end-2*MarkBytes-from) / RecordBytesMin)
	return Extent{
		Offset: int64(offset), End: max(min(end, int64(len(s.b))&^7), int64(offset)),
		FirstSeq: want, LastSeq: want - 1 + lost, Damaged: true,
	}
}

// damageAt is damage for one range by itself: at the end of the records it
// stretches to what is known of them.
func (s *scanner) damageAt(offset int, want uint64) Extent {
	extent := emptyExtent(int64(offset), want)
	extent.Damaged = true
	more := false
	if offset < s.nonZeroEnd {
		extent, more = s.damage(offset, want)
	}
	if !more {
		s.extendToKnown(&extent)
	}
	return extent
}

// candidate returns the record at a position behind damage that starts at
// offset, if it verifies and may be there: a gap holds at most one record for
// each RecordBytesMin, and the one that is expected may itself be missing.
// The seal mark of a complete segment ends any damage, whatever its length.
func (s *scanner) candidate(at, offset int, want uint64) (found, bool) {
	if s.known.Complete {
		if f, ok := s.recordAt(at, s.known.LastSeq+1, 0, s.known.LastSeq+1); ok && f.kind == SealMark {
			return f, true
		}
	}
	if at == offset {
		return found{}, false
	}
	high := want + uint64((at-offset)/RecordBytesMin) + 1
	highControl := high
	if high > s.seqMax {
		high, highControl = s.seqMax, s.seqMax+1
	}
	return s.recordAt(at, want, high, highControl)
}

// sequencesLost estimates, from above, how many sequences lie in a damaged
// tail in which nothing verifies: the record at offset if its header does, and
// one for each begun RecordBytesMin behind it; else one for each whole one,
// at least one. The tail of a file that was made shorter reaches to where the file
// ended. Numbers that never existed may be among them, so that an acknowledged one
// is never given out again.
func (s *scanner) sequencesLost(offset int) uint64 {
	tailEnd := s.nonZeroEnd
	if s.short { // zeros in front of the missing bytes prove nothing either
		tailEnd = int(s.allocated)
	}
	if end, ok := s.verifiedExtent(offset); ok {
		rest := tailEnd - min(end, tailEnd)
		return 1 + uint64((rest+RecordBytesMin-1)/RecordBytesMin)
	}
	return uint64(max((tailEnd-offset)/RecordBytesMin, 1))
}

// verifiedExtent returns the end of the record at offset by its length, if its
// header verifies: an unverified length is never used. The end may lie behind
// the end of the file.
func (s *scanner) verifiedExtent(offset int) (end int, ok bool) {
	if offset > len(s.b)-RecordHeaderBytes || !s.checksums.headerVerifies(offset) {
		return 0, false
	}
	bodyBytes := int64(littleEndian.Uint32(s.b[offset+recordBodyBytesAt:]))
	if bodyBytes == 0 {
		return 0, false
	}
	return int(min(int64(offset)+align8(RecordHeaderBytes+bodyBytes), math.MaxInt32)), true
}

// torn judges a record that does not verify and may not have been durable: it
// is torn only if some sector's share of it is all zero, the mark of a lost
// write. If its header verifies, the shares of its whole extent count, else
// only those of its header.
func (s *scanner) torn(offset int) bool {
	end, ok := s.verifiedExtent(offset)
	if !ok {
		end = offset + RecordHeaderBytes
	}
	return s.zeros.in(offset, end)
}

// extendToKnown stretches a damaged range at the end of the records to where
// they are known to end, in bytes and in sequences.
func (s *scanner) extendToKnown(extent *Extent) {
	if s.known.RecordsEnd > 0 {
		extent.End = max(extent.End, int64(len(s.b))&^7)
	}
	if s.known.Complete && s.known.LastSeq+1 > extent.LastSeq+1 {
		extent.LastSeq = s.known.LastSeq
	}
}
