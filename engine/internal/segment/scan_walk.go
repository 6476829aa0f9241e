package segment

// walk is the first pass of a scan: it finds what verifies from the start of
// the records to the last non-zero byte, and what that proves durable.
type walk struct {
	*scanner
	want    uint64 // sequence of the next data record
	durable int64  // everything before it was durable when some record was encoded
	sealed  bool   // a seal mark ended the walk
	spans   []span
}

// span is an extent with what the judgement needs of its last records.
type span struct {
	Extent
	kind        ControlKind // of the last record, 0 if it is a data record
	batchOffset int64       // first of the records at its end whose batch continues, 0 if there is none
	batchWant   uint64      // sequence expected there
}

func (w *walk) run() {
	offset := HeaderBytes
	for offset < w.nonZeroEnd && !w.sealed {
		if f, ok := w.expected(offset, w.want); ok {
			w.keep(offset, &f)
			offset = f.end
			continue
		}
		if w.known.Complete && w.known.RecordsEnd == 0 && w.want > w.known.LastSeq {
			return // the next segment says that the records end here
		}
		extent, more := w.damage(offset, w.want)
		w.spans = append(w.spans, span{Extent: extent})
		if !more {
			return
		}
		w.want = extent.LastSeq + 1
		offset = int(extent.End)
	}
	switch {
	case w.sealed:
		w.short = false
	case w.short:
		w.spans = append(w.spans, span{Extent: w.damageBehind(offset)})
	case int64(offset) < w.known.CloseEnd()-MarkBytes: // zeros, or no bytes, where the records of a clean close should be
		w.spans = append(w.spans, span{Extent: w.damageBeforeClose(offset, w.want)})
	}
}

// damageBehind is what is missing of a file that was made shorter, behind all that
// is left of its records.
func (w *walk) damageBehind(offset int) Extent {
	extent := emptyExtent(int64(offset), w.want)
	extent.Damaged = true
	extent.LastSeq += w.sequencesLost(offset)
	return extent
}

// keep adds a record that verifies to the run that it continues or begins.
func (w *walk) keep(offset int, f *found) {
	if n := len(w.spans); n == 0 || w.spans[n-1].Damaged {
		w.spans = append(w.spans, span{Extent: emptyExtent(int64(offset), w.want)})
	}
	run := &w.spans[len(w.spans)-1]
	if f.flags&FlagBatchContinues == 0 {
		run.batchOffset = 0
	} else if run.batchOffset == 0 {
		run.batchOffset, run.batchWant = int64(offset), w.want
	}
	run.End = int64(f.end)
	run.kind = f.kind
	if !f.control() {
		run.LastSeq = f.seq
		w.want = f.seq + 1
	}
	w.durable = max(w.durable, int64(offset)-int64(f.unsynced))
	w.sealed = f.kind == SealMark
}
