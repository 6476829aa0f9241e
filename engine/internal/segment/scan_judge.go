package segment

// judge is the second pass of a scan: what the walk found is kept, or cut, in
// the light of what the whole of it proves durable.
type judge struct {
	*walk
	kept []Extent
	end  int64  // behind the last extent kept
	last uint64 // last sequence kept
	kind ControlKind
	cut  bool // something torn was cut
	// batch: records that verify were cut with their incomplete batch.
	batch bool
}

func (j *judge) run() {
	j.cutTorn()
	j.cutBatch()
	j.kept = make([]Extent, 0, len(j.spans)+1)
	for i := range j.spans {
		j.keepExtent(j.spans[i].Extent)
		j.kind = j.spans[i].kind
	}
	j.missing()
}

// cutTorn drops everything from the first record that is torn.
func (j *judge) cutTorn() {
	for i := range j.spans {
		offset := j.spans[i].Offset
		if j.spans[i].Damaged && j.mayBeTorn(offset) && j.torn(int(offset)) {
			j.spans = j.spans[:i]
			j.cut = true
			return
		}
	}
}

// mayBeTorn reports whether nothing proves that the byte at offset was durable.
func (j *judge) mayBeTorn(offset int64) bool {
	return !j.known.Complete && offset >= max(j.durable, j.known.RecordsEnd, j.known.CloseEnd())
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
		Closed:     !j.cut && j.kind == CloseMark && zerosBehind,
		Sealed:     !j.cut && j.sealed,
	}
	if j.known.Complete {
		r.DurableEnd = j.end
	}
	if !zerosBehind && !r.Sealed {
		r.Cut = &Cut{Offset: j.end, End: int64(min(j.nonZeroEnd, len(j.b))), Batch: j.batch}
	}
	return r
}
