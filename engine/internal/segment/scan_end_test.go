package segment

import (
	"testing"
)

// Where the records end: close marks, seal marks, what other places know,
// atomic batches.

func TestOnlyACleanCloseIsClosed(t *testing.T) {
	for name, c := range map[string]struct {
		make func(w *builder) []byte
		want bool
	}{
		"close mark and zeros": {func(w *builder) []byte { w.markPair(CloseMark); return w.padded(4096) }, true},
		"close mark at the end of the file": {func(w *builder) []byte {
			w.markPair(CloseMark)
			return w.padded(0)
		}, true},
		"continued": {func(w *builder) []byte {
			w.markPair(CloseMark)
			w.epochMark(4)
			return w.padded(4096)
		}, false},
		"continued and closed again": {func(w *builder) []byte {
			w.markPair(CloseMark)
			w.epochMark(4)
			w.add(10)
			w.markPair(CloseMark)
			return w.padded(4096)
		}, true},
		"durable mark": {func(w *builder) []byte { w.markPair(DurableMark); return w.padded(4096) }, false},
		"one byte far behind the close mark": {func(w *builder) []byte {
			w.markPair(CloseMark)
			b := w.padded(4096)
			b[len(b)-1] = 1
			return b
		}, false},
		"close mark lost": {func(w *builder) []byte {
			w.markPair(CloseMark)
			b := w.padded(4096)
			clear(b[w.at(-1).offset:])
			return b
		}, false},
		"sealed":  {func(w *builder) []byte { w.markPair(CloseMark); w.sealMark(); return w.padded(4096) }, false},
		"no mark": {func(w *builder) []byte { return w.padded(4096) }, false},
	} {
		w := newBuilder()
		w.addSynced(100, 200)
		b := c.make(w)
		if r := scanned(t, b, w.header, Known{}); r.Closed != c.want {
			t.Errorf("%s: closed %v", name, r.Closed)
		}
	}
}

func TestCloseMarkBehindDamageStillCloses(t *testing.T) {
	w := newBuilder()
	w.addSynced(100, 100, 100)
	w.markPair(CloseMark)
	b := flip(w.padded(4096), w.at(1).offset+50)
	r := scanned(t, b, w.header, Known{})
	wantDamage(t, r, w.at(1).offset, w.at(1).end, w.at(1).seq, w.at(1).seq)
	if !r.Closed {
		t.Errorf("%+v", r)
	}
}

func TestSealMarkEndsTheRecords(t *testing.T) {
	w := newBuilder()
	w.addSynced(100, 100)
	w.sealMark()
	end := len(w.b)
	torn := append(w.padded(0), fill(700)...) // part of an index
	r := scanned(t, append(torn, make([]byte, 1000)...), w.header, Known{})
	if !r.Sealed || r.Cut != nil || r.Damaged() || r.RecordsEnd != int64(end) || r.LastSeq != w.next-1 {
		t.Errorf("bytes behind the seal mark were judged: %+v", r)
	}
	// Not even records that verify there are part of the log.
	w.add(50)
	if r = scanned(t, w.padded(512), w.header, Known{}); r.LastSeq != w.next-2 || r.RecordsEnd != int64(end) {
		t.Errorf("a record behind the seal mark is kept: %+v", r)
	}
}

func TestSealMarkDoesNotSaveATornRecordBeforeIt(t *testing.T) {
	w := newBuilder()
	w.fillUpTo(SectorBytes)
	w.sync()
	w.add(1400)
	w.sealMark() // written with the record, not yet synced
	b := w.padded(4096)
	zeroSector(b, w.at(1).offset+600)
	wantCut(t, scanned(t, b, w.header, Known{}), w.at(1))
}

func TestKnownRecordsEndBoundsTheRecords(t *testing.T) {
	w := newBuilder()
	w.add(100, 100)
	w.sealMark()
	end := int64(len(w.b))
	known := Known{RecordsEnd: end, LastSeq: w.next - 1, Complete: true}
	file := finish(w.b, w.header, []Extent{w.run()}, 0)
	r := scanned(t, file, w.header, known)
	if r.RecordsEnd != end || r.DurableEnd != end || r.Damaged() || r.Cut != nil || !r.Sealed {
		t.Fatalf("%+v", r)
	}
	// Whatever is missing before it is damage, never torn: here to the end.
	b := cloneBytes(file)
	clear(b[w.at(1).offset:end])
	r = scanned(t, b, w.header, known)
	wantDamage(t, r, w.at(1).offset, int(end), w.at(1).seq, w.at(1).seq)
	// A lost seal mark is damage that holds no sequence.
	b = cloneBytes(file)
	clear(b[w.at(2).offset:end])
	r = scanned(t, b, w.header, known)
	wantDamage(t, r, w.at(2).offset, int(end), w.next, w.next-1)
	// A file cut short keeps its sequences.
	r = scanned(t, file[:w.at(1).offset+20], w.header, known)
	if r.LastSeq != w.next-1 || !r.Damaged() {
		t.Errorf("%+v", r)
	}
}

func TestNextSegmentsBaseMakesItsPredecessorComplete(t *testing.T) {
	w := newBuilder()
	w.fillUpTo(SectorBytes)
	w.add(1400, 100)
	kept := len(w.b)
	last := w.next - 1
	w.add(60) // from the next segment's base on: not part of the log
	known := Known{LastSeq: last, Complete: true}

	r := scanned(t, w.padded(4096), w.header, known)
	if r.LastSeq != last || r.Damaged() || r.RecordsEnd != int64(kept) || r.DurableEnd != int64(kept) {
		t.Fatalf("%+v", r)
	}
	if r.Cut == nil || r.Cut.Offset != int64(kept) || r.Cut.End != int64(len(w.b)) || r.Cut.Batch {
		t.Errorf("the record above the last sequence: %+v", r.Cut)
	}
	// What would be torn is damage now.
	b := w.padded(4096)
	zeroSector(b, w.at(1).offset+600)
	wantDamage(t, scanned(t, b, w.header, known), w.at(1).offset, w.at(1).end, w.at(1).seq, w.at(1).seq)
	// Zeros where records should be are damage too, though no byte is left.
	b = w.padded(4096)
	clear(b[w.at(1).offset:])
	r = scanned(t, b, w.header, known)
	wantDamage(t, r, w.at(1).offset, w.at(1).offset, w.at(1).seq, last)
}

func TestMarksBehindTheLastSequenceOfACompleteSegmentStay(t *testing.T) {
	w := newBuilder()
	w.addSynced(100)
	w.markPair(DurableMark)
	r := scanned(t, w.padded(4096), w.header, Known{LastSeq: w.next - 1, Complete: true})
	if r.RecordsEnd != int64(len(w.b)) || r.Cut != nil {
		t.Errorf("%+v", r)
	}
}

func TestIncompleteAtomicBatchAtTheTailIsCutFromItsFirstRecord(t *testing.T) {
	build := func() *builder {
		w := newBuilder()
		w.fillUpTo(SectorBytes)
		w.sync()
		w.batch(100, 1400, 100)
		return w
	}
	t.Run("missing part is zero", func(t *testing.T) {
		w := build()
		b := w.padded(4096)
		clear(b[w.at(3).offset:])
		r := scanned(t, b, w.header, Known{})
		wantCut(t, r, w.at(1))
		if !r.Cut.Batch || r.Cut.End != int64(w.at(3).offset) {
			t.Errorf("%+v", r.Cut)
		}
	})
	t.Run("missing part is torn", func(t *testing.T) {
		w := build()
		b := w.padded(4096)
		zeroSector(b, w.at(2).offset+600)
		r := scanned(t, b, w.header, Known{})
		wantCut(t, r, w.at(1))
		if !r.Cut.Batch {
			t.Errorf("%+v", r.Cut)
		}
	})
	t.Run("missing part is damage: the others stay readable", func(t *testing.T) {
		w := build()
		b := flip(w.padded(4096), w.at(2).offset+700)
		r := scanned(t, b, w.header, Known{})
		wantDamage(t, r, w.at(2).offset, w.at(2).end, w.at(2).seq, w.at(2).seq)
		if r.LastSeq != w.at(3).seq {
			t.Errorf("%+v", r)
		}
	})
	t.Run("its last record is damage", func(t *testing.T) {
		w := build()
		b := flip(w.padded(4096), w.at(3).offset+70)
		r := scanned(t, b, w.header, Known{})
		wantDamage(t, r, w.at(3).offset, w.at(3).end, w.at(3).seq, w.at(3).seq)
		if r.Extents[0].LastSeq != w.at(2).seq {
			t.Errorf("the batch's other records: %+v", r)
		}
	})
	t.Run("torn first record: nothing of the batch was kept", func(t *testing.T) {
		w := build()
		b := w.padded(4096)
		zeroSector(b, w.at(1).offset)
		r := scanned(t, b, w.header, Known{})
		wantCut(t, r, w.at(1))
		if r.Cut.Batch {
			t.Errorf("%+v", r.Cut)
		}
	})
	t.Run("complete batch", func(t *testing.T) {
		w := build()
		if r := scanned(t, w.padded(4096), w.header, Known{}); r.Cut != nil || r.LastSeq != w.at(3).seq {
			t.Errorf("%+v", r)
		}
	})
	t.Run("batch at the very start", func(t *testing.T) {
		w := newBuilder()
		w.batch(10, 10, 10)
		b := w.padded(512)
		clear(b[w.at(2).offset:])
		r := scanned(t, b, w.header, Known{})
		if r.RecordsEnd != HeaderBytes || r.LastSeq != w.header.BaseSeq-1 || len(r.Extents) != 0 || !r.Cut.Batch {
			t.Errorf("%+v", r)
		}
	})
}

// Recovery writes a seal mark where Scan says; a crash before index and footer
// brings the same bytes back to Scan, which must not change its mind.
func TestSealMarkAtTheCutIsFoundAgain(t *testing.T) {
	random := random(5)
	for range 400 {
		w := newBuilder()
		history(w, random)
		b := w.padded(2048)
		for range random.IntN(3) {
			hurt(b, random, len(w.b))
		}
		known := Known{}
		if random.IntN(2) == 0 {
			known = Known{LastSeq: w.next - 1 + uint64(random.IntN(3)), Complete: true}
		}
		first := scanned(t, b, w.header, known)
		if first.Sealed {
			continue
		}
		mended := append(cloneBytes(b[:first.RecordsEnd]), make([]byte, 4096)...)
		mark := AppendSealMark(nil, w.header.Salt, first.LastSeq, 0, 1)
		copy(mended[first.RecordsEnd:], mark)
		second := scanned(t, mended, w.header, known)
		if !second.Sealed || second.LastSeq != first.LastSeq || second.Cut != nil ||
			second.RecordsEnd != first.RecordsEnd+SealMarkBytes || len(second.Extents) < len(first.Extents) {
			t.Fatalf("known %+v\nfirst  %+v\nsecond %+v", known, first, second)
		}
	}
}
