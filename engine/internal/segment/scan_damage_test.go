package segment

import (
	"testing"
)

// Damage never costs more than itself.

func TestCandidateBehindDamageMustHaveAPlausibleSequence(t *testing.T) {
	// A gap of 56 bytes holds the expected record at most, so that what follows
	// it has one of two more sequences.
	for _, c := range []struct {
		gapBytes int
		ahead    uint64 // of the expected sequence
		control  bool
		found    bool
	}{
		{gapBytes: 56, ahead: 0, found: true},
		{gapBytes: 56, ahead: 1, found: true},
		{gapBytes: 56, ahead: 2, found: true},
		{gapBytes: 56, ahead: 3},
		{gapBytes: 112, ahead: 3, found: true},
		{gapBytes: 112, ahead: 4},
		{gapBytes: 1 << 20, ahead: 1<<20/56 + 1, found: true},
		{gapBytes: 1 << 20, ahead: 1<<20/56 + 2},
		{gapBytes: 56, ahead: 1<<63 - 2000},
		// A control record counts as its sequence + 1.
		{gapBytes: 56, ahead: 1, control: true, found: true},
		{gapBytes: 56, ahead: 2, control: true},
	} {
		w := newBuilder()
		w.add(10)
		want := w.next
		gap := len(w.b)
		w.b = append(w.b, fill(c.gapBytes)...)
		w.next += c.ahead
		if c.control {
			w.b = AppendSealMark(w.b, w.header.Salt, w.next, 0, 1)
		} else {
			w.record("s", fill(1), 0)
		}
		r := scanned(t, w.padded(0), w.header, Known{})
		if !c.found {
			if len(r.Extents) != 2 || r.Extents[1].End != int64(len(w.b)) {
				t.Errorf("%+v: found: %+v", c, r)
			}
			continue
		}
		last := want + c.ahead - 1
		if c.control {
			last++
		}
		wantDamage(t, r, gap, gap+c.gapBytes, want, last)
	}
}

func TestCandidateWithALowerSequenceIsNoRecord(t *testing.T) {
	w := newBuilder()
	w.add(10, 10, 10)
	copyOfFirst := cloneBytes(w.b[w.at(0).offset:w.at(0).end])
	w.record("orders.eu", copyOfFirst, 0) // a payload that holds a whole record of this segment
	w.add(10)
	b := flip(w.padded(512), w.at(3).offset+50)
	wantDamage(t, scanned(t, b, w.header, Known{}), w.at(3).offset, w.at(3).end, w.at(3).seq, w.at(3).seq)
}

func TestCandidateAboveTheKnownEndIsNoRecord(t *testing.T) {
	w := newBuilder()
	w.add(10, 10)
	last := w.next - 1
	w.add(10) // above the known end
	b := flip(w.padded(512), w.at(1).offset+50)
	r := scanned(t, b, w.header, Known{LastSeq: last, Complete: true})
	if r.LastSeq != last || !r.Damaged() {
		t.Errorf("%+v", r)
	}
}

func TestDamagedControlRecordTakesNoSequence(t *testing.T) {
	w := newBuilder()
	w.addSynced(10)
	w.markPair(DurableMark)
	w.add(10)
	b := flip(w.padded(512), w.at(1).offset+20)
	wantDamage(t, scanned(t, b, w.header, Known{}), w.at(1).offset, w.at(1).end, w.at(1).seq+1, w.at(1).seq)
}

func TestRecordWhoseLengthsContradictDoesNotVerify(t *testing.T) {
	for name, change := range map[string]func(head []byte){
		"control record with a subject": func(head []byte) {
			littleEndian.PutUint16(head[recordFlagsAt:], uint16(FlagControl))
			littleEndian.PutUint64(head[recordSeqAt:], littleEndian.Uint64(head[recordSeqAt:])-1)
		},
		"headers longer than the body": func(head []byte) { littleEndian.PutUint32(head[recordHeadersBytesAt:], 1<<31) },
	} {
		w := newBuilder()
		w.addSynced(50, 50, 50)
		odd := w.at(1)
		change(w.b[odd.offset:odd.end])
		sealChecksums(w.b[odd.offset:odd.end], w.header.Salt)
		var r Record
		if _, err := DecodeRecord(w.b[odd.offset:], w.header.Salt, &r); err == nil {
			t.Fatalf("%s decodes", name)
		}
		wantDamage(t, scanned(t, w.padded(512), w.header, Known{}), odd.offset, odd.end, odd.seq, odd.seq)
	}
}

func TestSequencesOfADamagedTailAreCountedFromAbove(t *testing.T) {
	const payload = 100
	size := RecordBytes(len("orders.eu"), 0, payload)
	for name, c := range map[string]struct {
		hurt func(b []byte, p placed)
		want uint64 // damaged sequences
	}{
		"header verifies, nothing behind it": {func(b []byte, p placed) { b[p.offset+60] ^= 1; clear(b[p.end:]) }, 1},
		"header verifies, one byte behind it": {func(b []byte, p placed) {
			b[p.offset+60] ^= 1
			clear(b[p.end:])
			b[p.end] = 1
		}, 2},
		"header verifies, garbage behind it": {func(b []byte, p placed) {
			b[p.offset+60] ^= 1
			copy(b[p.end:], fill(1000))
		}, 1 + (1000+55)/56},
		"header does not verify": {func(b []byte, p placed) { b[p.offset+20] ^= 1; clear(b[p.end:]) }, uint64(size / 56)},
		"less than a record left": {func(b []byte, p placed) {
			b[p.offset+20] ^= 1
			clear(b[p.offset+48:])
		}, 1},
	} {
		w := newBuilder()
		w.addSynced(payload, payload)
		b := w.padded(4096)
		c.hurt(b, w.at(1))
		r := scanned(t, b, w.header, Known{})
		if got := r.LastSeq - w.at(0).seq; got != c.want || !r.Damaged() {
			t.Errorf("%s: %d sequences, want %d: %+v", name, got, c.want, r)
		}
		if r.RecordsEnd != int64(nonZeroEnd(b)) {
			t.Errorf("%s: ends at %d, the last non-zero word at %d", name, r.RecordsEnd, nonZeroEnd(b))
		}
	}
}

func TestSeveralDamagedRangesCostOnlyThemselves(t *testing.T) {
	w := newBuilder()
	for range 30 {
		w.add(70)
	}
	w.markPair(CloseMark)
	b := w.padded(512)
	for _, i := range []int{3, 4, 11, 29} {
		b[w.at(i).offset+recordSeqAt] ^= 1
	}
	r := scanned(t, b, w.header, Known{})
	damaged := map[uint64]bool{}
	for _, e := range r.Extents {
		for seq := e.FirstSeq; e.Damaged && seq <= e.LastSeq; seq++ {
			damaged[seq] = true
		}
	}
	if len(damaged) != 4 || !damaged[w.at(3).seq] || !damaged[w.at(4).seq] || !damaged[w.at(11).seq] || !damaged[w.at(29).seq] {
		t.Errorf("damaged: %v", damaged)
	}
	if !r.Closed || len(r.Extents) != 7 {
		t.Errorf("%+v", r)
	}
}

func TestDamageAtFindsWhatScanFinds(t *testing.T) {
	random := random(11)
	ranges := 0
	for range 500 {
		w := newBuilder()
		history(w, random)
		w.sealMark()
		known := Known{RecordsEnd: int64(len(w.b)), LastSeq: w.next - 1, Complete: true}
		b := w.padded(0)
		for range 1 + random.IntN(3) {
			hurt(b, random, len(w.b))
		}
		for _, e := range scanned(t, b, w.header, known).Extents {
			got := DamageAt(b, e.Offset, w.header, e.FirstSeq, known)
			if !e.Damaged {
				if got.Damaged || got.End != e.Offset {
					t.Fatalf("%+v inside a run", got)
				}
				continue
			}
			ranges++
			if got != e {
				t.Fatalf("%+v, Scan says %+v", got, e)
			}
		}
	}
	if ranges < 100 {
		t.Errorf("only %d damaged ranges were compared", ranges)
	}
}

func TestDamageAtStopsAtAReadersWatermark(t *testing.T) {
	w := newBuilder()
	w.add(100, 100)
	end, last := len(w.b), w.next-1
	w.add(100, 100) // written, not yet durable
	b := flip(w.padded(512), w.at(1).offset+60)
	got := DamageAt(b, int64(w.at(1).offset), w.header, w.at(1).seq, Known{RecordsEnd: int64(end), LastSeq: last, Complete: true})
	if want := (Extent{Offset: int64(w.at(1).offset), End: int64(end), FirstSeq: last, LastSeq: last, Damaged: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	clear(b[w.at(0).offset:])
	got = DamageAt(b, int64(w.at(0).offset), w.header, w.at(0).seq, Known{RecordsEnd: int64(end), LastSeq: last, Complete: true})
	if got.End != int64(end) || got.LastSeq != last || !got.Damaged {
		t.Errorf("zeros below the watermark: %+v", got)
	}
}

func TestDamageAtAnImpossibleOffsetIsEmpty(t *testing.T) {
	w := newBuilder()
	w.add(100)
	for _, offset := range []int64{-8, 0, 120, 129, SegmentBytesMax + 8} {
		if got := DamageAt(w.b, offset, w.header, 1, Known{}); got.Damaged || got.End != got.Offset {
			t.Errorf("offset %d: %+v", offset, got)
		}
	}
}

func TestSealMarkOfACompleteSegmentEndsAnyDamage(t *testing.T) {
	w := newBuilder()
	w.addSynced(10)
	last := w.next + 999 // all of these are gone, and not a byte of them is left
	offset := len(w.b)
	w.b = AppendSealMark(w.b, w.header.Salt, last, 0, 1)
	r := scanned(t, w.padded(512), w.header, Known{LastSeq: last, Complete: true})
	wantDamage(t, r, offset, offset, w.next, last)
	if !r.Sealed || r.RecordsEnd != int64(len(w.b)) {
		t.Errorf("%+v", r)
	}
	if r = scanned(t, w.padded(512), w.header, Known{LastSeq: last + 1, Complete: true}); r.Sealed {
		t.Errorf("a seal mark of another sequence: %+v", r)
	}
	// No other mark has this privilege.
	b := appendMark(cloneBytes(w.b[:offset]), w.header.Salt, DurableMark, last, 0, 1)
	wantDamage(t, scanned(t, b, w.header, Known{LastSeq: last, Complete: true}), offset, len(b), w.next, last)
}
