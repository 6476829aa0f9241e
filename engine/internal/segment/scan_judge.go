package segment

// judge is the second pass of a scan: what the walk found is kept, or cut, in
// the light of what the whole of it proves durable.
type judge struct {
	*walk
	first uint64 // base sequence
	kept  []Extent
	end   int64  // behind the last extent kept
	last  uint64 // last sequence kept
	kind  ControlKind
	cut   bool // something torn was cut
	// batch: records that verify were cut with their incomplete batch.
	batch bool
}

func (j *judge) run() {
	j.loseHeader()
	j.cutTorn()
	j.cutBatch()
	j.kept = make([]Extent, 0, len(j.spans)+1)
	for i := range j.spans {
		j.keepExtent(j.spans[i].Extent)
		j.kind = j.spans[i].kind
	}
	j.missing()
}

// loseHeader makes one damaged range of a segment that lost its header and in
// which nothing verifies. What was written to it is not known: as many sequences
// are lost as the file has room for.
func (j *judge) loseHeader() {
	if !j.known.HeaderLost || j.known.Complete || j.known.RecordsEnd > 0 {
		return
	}
	all := emptyExtent(HeaderBytes, j.first)
	all.Damaged = true
	all.LastSeq += RoomLost(int64(len(j.b)), j.known)
	for i := range j.spans {
		if !j.spans[i].Damaged {
			return
		}
		all.End, all.LastSeq = j.spans[i].End, max(all.LastSeq, j.spans[i].LastSeq)
	}
	j.spans = []span{{Extent: all}}
}

// cutTorn drops everything from the first record that is torn.
func (j *judge) cutTorn() {
	for i := range j.spans {
		offset := j.spans[i].Offset
		if j.spans[i].Damaged && j.mayBeTorn(&j.spans[i].Extent) && j.torn(int(offset)) {
			j.spans = j.spans[:i]
			j.cut = true
			return
		}
	}
}

// mayBeTorn reports whether nothing proves that the first byte of a range that
// does not verify was durable.
func (j *judge) mayBeTorn(bad *Extent) bool {
	return !j.short && !j.known.Complete && !j.known.LostBehindHeader(*bad) && bad.Offset >= max(j.durable, j.known.RecordsEnd, j.known.CloseEnd())
}

// cutBatch takes an atomic batch off the tail whose last records are torn or
// were never written. If damage follows it, its other records stay.
func (j *judge) cutBatch() {
	n := len(j.spans)
	if n == 0 || j.known.Complete || j.spans[n-1].batchOffset == 0 {
		return
	}
	run := &j.spans[n-1]
	run.End, run.LastSeq, run.kind = run.batchOffset, run.batchWant-1, 0
	j.cut, j.batch = true, true
	if run.End == run.Offset {
		j.spans = j.spans[:n-1]
	}
}

func (j *judge) keepExtent(extent Extent) {
	j.kept = append(j.kept, extent)
	j.end = extent.End
	j.last = extent.LastSeq
}

// missing adds what other places prove and the walk did not find: sequences of
// a complete segment, bytes before a known end of the records.
func (j *judge) missing() {
	shortOfBytes := j.known.RecordsEnd > 0 && !j.sealed && j.end < j.known.RecordsEnd
	shortOfSequences := j.known.Complete && j.last+1 < j.known.LastSeq+1
	if !shortOfBytes && !shortOfSequences {
		return
	}
	j.kind = 0
	if n := len(j.kept); n > 0 && j.kept[n-1].Damaged {
		extent := &j.kept[n-1]
		j.extendToKnown(extent)
		j.end, j.last = extent.End, extent.LastSeq
		return
	}
	extent := emptyExtent(j.end, j.last+1)
	extent.Damaged = true
	j.extendToKnown(&extent)
	j.keepExtent(extent)
}

func (j *judge) result() ScanResult {
	zerosBehind := int64(j.nonZeroEnd) <= j.end
	r := ScanResult{
		Extents:    j.kept,
		RecordsEnd: j.end,
		LastSeq:    j.last,
		DurableEnd: min(max(j.durable, j.known.RecordsEnd, j.known.CloseEnd()), j.end),
		Closed:     !j.cut && j.kind == CloseMark && zerosBehind && !j.cutOff,
		Sealed:     !j.cut && j.sealed,
		Short:      j.short,
	}
	if j.known.Complete {
		r.DurableEnd = j.end
	}
	if !zerosBehind && !r.Sealed {
		r.Cut = &Cut{Offset: j.end, End: int64(min(j.nonZeroEnd, len(j.b))), Batch: j.batch}
	}
	return r
}
