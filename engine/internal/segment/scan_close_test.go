package segment

import "testing"

// What a clean close that the manifest records proves of a segment.

// closedBuilder is a segment that was closed cleanly, and what is known of it.
func closedBuilder(write func(w *builder)) (*builder, Known) {
	w := newBuilder()
	write(w)
	w.markPair(CloseMark)
	return w, Known{CloseMark: int64(w.at(-1).offset)}
}

func TestZeroedTailOfACleanCloseIsDamageAndNoSequenceIsReused(t *testing.T) {
	w, known := closedBuilder(func(w *builder) { w.addSynced(300, 40, 700, 0, 90, 10) })
	for i := range w.placed[:6] {
		from := w.at(i)
		b := w.padded(2048)
		clear(b[from.offset:])
		wantCutOrEnd(t, scanned(t, b, w.header, Known{}), from)
		r := scanned(t, b, w.header, known)
		e := r.Extents[len(r.Extents)-1]
		if !e.Damaged || e.Offset != int64(from.offset) || e.End != known.CloseEnd() || e.FirstSeq != from.seq || e.LastSeq < w.next-1 {
			t.Fatalf("record %d: %+v", i, r)
		}
		if r.Cut != nil || r.Closed || r.DurableEnd != r.RecordsEnd {
			t.Fatalf("record %d: %+v", i, r)
		}
		clear(b[from.offset+8:]) // a record of which something is left is no tear either
		copy(b[from.offset:], w.b[from.offset:from.offset+8])
		if r := scanned(t, b, w.header, known); !r.Damaged() || r.Cut != nil || r.LastSeq < w.next-1 {
			t.Fatalf("record %d, torn: %+v", i, r)
		}
	}
}

// wantCutOrEnd: without the close the log ends in front of zeros.
func wantCutOrEnd(t *testing.T, r ScanResult, at placed) {
	t.Helper()
	if r.Damaged() || r.LastSeq != at.seq-1 {
		t.Fatalf("the segment alone says %+v", r)
	}
}

func TestZeroedMarksOfACleanCloseCostNoRecord(t *testing.T) {
	for name, c := range map[string]struct {
		fill int // where the records end
		from func(w *builder) int
	}{
		"close mark":                     {800, func(w *builder) int { return w.at(-1).offset }},
		"both, the first of one word":    {1024 - MarkBytes, func(w *builder) int { return w.at(-2).offset }},
		"both, but the first one's head": {1024 - RecordHeaderBytes, func(*builder) int { return 1024 }},
	} {
		t.Run(name, func(t *testing.T) {
			w, known := closedBuilder(func(w *builder) { w.fillUpTo(c.fill) })
			b := w.padded(2048)
			clear(b[c.from(w):])
			r := scanned(t, b, w.header, known)
			readable, damaged := r.sequences()
			if r.LastSeq != w.next-1 || len(readable) != 1 || len(damaged) != 0 || r.Cut != nil || r.Closed {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestFlippedCloseMarkCostsNoRecord(t *testing.T) {
	w, known := closedBuilder(func(w *builder) { w.add(300, 40) })
	last := w.next - 1
	for _, more := range []bool{false, true} {
		if more {
			w.epochMark(4)
			w.add(30)
			last = w.next - 1
		}
		mark := w.at(3)
		for at := mark.offset; at < mark.end; at++ {
			r := scanned(t, flip(w.padded(1024), at), w.header, known)
			wantDamage(t, r, mark.offset, mark.end, w.at(1).seq+1, w.at(1).seq)
			if r.LastSeq != last || r.Cut != nil || r.Closed {
				t.Fatalf("byte %d, more %v: %+v", at, more, r)
			}
		}
	}
}

func TestWhatWasAppendedBehindACleanCloseIsJudgedByItself(t *testing.T) {
	w, known := closedBuilder(func(w *builder) { w.addSynced(300, 40, 700) })
	w.epochMark(4)
	w.sync()
	w.add(100, 600, 20)
	torn := w.at(-2)
	b := w.padded(1024)
	clear(b[torn.end/SectorBytes*SectorBytes:])
	wantCut(t, scanned(t, b, w.header, known), torn)
	b = w.padded(1024)

	// Zeros before the close too, and nothing behind them verifies: what was
	// closed is damaged, what came behind it is torn.
	lost := w.at(1)
	clear(b[lost.offset : known.CloseMark+SectorBytes])
	clear(b[torn.end-8:])
	r := scanned(t, b, w.header, known)
	e := r.Extents[len(r.Extents)-1]
	if !e.Damaged || e.Offset != int64(lost.offset) || e.End != known.CloseEnd() || e.LastSeq < w.at(2).seq {
		t.Errorf("%+v", r)
	}
	if r.Cut == nil || r.Cut.Offset != known.CloseEnd() || r.RecordsEnd != known.CloseEnd() {
		t.Errorf("behind the close: %+v", r)
	}
}

func TestACloseThatCannotBeOrOfWhichMoreIsKnownIsNotUsed(t *testing.T) {
	w, _ := closedBuilder(func(w *builder) { w.addSynced(300, 40) })
	b := w.padded(2048)
	clear(b[w.at(1).offset:])
	for _, mark := range []int64{-512, 0, 8, 128, 520, 1 << 40, SegmentBytesMax} {
		wantCutOrEnd(t, scanned(t, b, w.header, Known{CloseMark: mark}), w.at(1))
	}
	r := scanned(t, b, w.header, Known{CloseMark: 4096, LastSeq: w.at(1).seq, Complete: true})
	if r.LastSeq != w.at(1).seq || r.RecordsEnd > int64(len(b)) {
		t.Errorf("%+v", r)
	}
}

// Whatever happens to a segment that was closed, and whatever a crash does to
// what was appended behind: no record before the close is gone without a word.
func TestNothingBeforeACleanCloseIsLostSilently(t *testing.T) {
	met := situations{}
	for seed := range uint64(6000) {
		random := random(seed)
		w, known := closedBuilder(func(w *builder) { history(w, random) })
		last, closedEnd := w.next-1, len(w.b)
		if random.IntN(2) == 0 {
			w.epochMark(4)
			w.sync()
			history(w, random)
		}
		b := w.crash(random)
		sound := scanned(t, b, w.header, known)
		if sound.Damaged() || sound.LastSeq < last {
			t.Fatalf("seed %d: a crash was taken for damage: %+v", seed, sound)
		}
		before := cloneBytes(b)
		kind := random.IntN(3)
		switch kind {
		case 0:
			clear(b[HeaderBytes+random.IntN(closedEnd-HeaderBytes) : closedEnd])
		case 1:
			hurt(b[:closedEnd], random, closedEnd)
		default:
			b = b[:HeaderBytes+random.IntN(closedEnd-HeaderBytes)]
		}
		r := scanned(t, b, w.header, known)
		readable, damaged := r.sequences()
		if n := len(r.Extents); kind == 2 && n > 1 && r.Extents[n-2].Damaged {
			t.Fatalf("seed %d: what is missing at the end is counted twice: %+v", seed, r)
		}
		for _, p := range w.placed {
			if p.control != 0 || p.seq > last {
				continue
			}
			whole := p.end <= len(b) && string(b[p.offset:p.end]) == string(before[p.offset:p.end])
			switch {
			case !readable[p.seq] && !damaged[p.seq]:
				t.Fatalf("seed %d: %d was closed and is gone without a word: %+v", seed, p.seq, r)
			case whole && damaged[p.seq]:
				t.Fatalf("seed %d: %d is whole and called damaged: %+v", seed, p.seq, r)
			case damaged[p.seq]:
				met["damaged record"]++
			}
		}
		if r.Cut != nil {
			met["cut behind the close"]++
		}
		if r.Damaged() && r.LastSeq == last && len(damaged) == 0 {
			met["marks alone"]++
		}
	}
	met.demand(t, 100, "damaged record", "cut behind the close", "marks alone")
}
