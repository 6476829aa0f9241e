package segment

import "testing"

// What the length that a file was prepared with proves, when the file is shorter.

// allocate says in the header of a segment that its file has the length of padded,
// and returns that file.
func (w *builder) allocate(zeros int) []byte {
	b := w.padded(zeros)
	w.header.AllocatedBytes = uint64(len(b))
	copy(b, encodedHeader(w.header))
	return b
}

func TestAFileThatWasMadeShorterIsDamageAtEveryLength(t *testing.T) {
	w := newBuilder()
	w.addSynced(300, 40)
	w.record("orders.eu", make([]byte, 1100), 0) // holds a zero sector of its own
	w.batch(10, 600, 20)
	w.sync()
	w.markPair(DurableMark)
	w.addSynced(700, 0, 90)
	b := w.allocate(2048)
	if r := scanned(t, b, w.header, Known{}); r.Short || r.Damaged() || r.LastSeq != w.next-1 {
		t.Fatalf("the whole file: %+v", r)
	}
	for length := range len(b) {
		r := scanned(t, b[:length], w.header, Known{})
		readable, damaged := r.sequences()
		for _, p := range w.placed {
			if p.control != 0 {
				continue
			}
			if readable[p.seq] != (p.end <= length) || damaged[p.seq] == readable[p.seq] {
				t.Fatalf("%d bytes: %d is readable %v, damaged %v: %+v", length, p.seq, readable[p.seq], damaged[p.seq], r)
			}
		}
		if !r.Short || r.Closed || r.LastSeq < w.next-1 || r.Cut != nil && r.Cut.End-r.Cut.Offset > 7 {
			t.Fatalf("%d bytes: %+v", length, r)
		}
	}
}

// The range counts what the file had room for from the last record that verifies:
// zeros in front of the missing bytes prove nothing.
func TestWhatIsMissingCountsAllThatTheFileHadRoomFor(t *testing.T) {
	w := newBuilder()
	w.add(300, 40)
	b := w.allocate(56 * 20)
	for _, length := range []int{len(w.b), len(w.b) + 56, len(b) - 1} {
		r := scanned(t, b[:length], w.header, Known{})
		wantDamage(t, r, len(w.b), len(w.b), w.next, w.next+19)
	}
	last := w.at(1) // of which the header is left: it counts itself
	r := scanned(t, b[:last.end-8], w.header, Known{})
	wantDamage(t, r, last.offset, last.end-8, last.seq, last.seq+20)
	r = scanned(t, b[:last.offset+8], w.header, Known{})
	wantDamage(t, r, last.offset, last.offset+8, last.seq, last.seq+uint64(len(b)-last.offset)/RecordBytesMin-1)
}

// A seal makes a file shorter; of a complete segment, or a closed one, something
// else says where the records end; of an older file the length is not known.
func TestAFileThatMayBeShorterIsJudgedAsBefore(t *testing.T) {
	w := newBuilder()
	w.addSynced(300, 40)
	b := w.allocate(2048)
	short := b[:len(w.b)]
	for name, c := range map[string]struct {
		allocated int
		known     Known
	}{
		"not known":        {0, Known{}},
		"of that length":   {len(short), Known{}},
		"longer":           {len(short) - 8, Known{}},
		"complete":         {len(b), Known{LastSeq: w.next - 1, Complete: true}},
		"its end is known": {len(b), Known{RecordsEnd: int64(len(short)), LastSeq: w.next - 1, Complete: true}},
	} {
		h := w.header
		h.AllocatedBytes = uint64(c.allocated)
		if r := scanned(t, short, h, c.known); r.Short || r.Damaged() || r.LastSeq != w.next-1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	w.sealMark()
	for length := len(w.b); length < len(w.b)+600; length += 24 { // its index and its footer are zeros, or not there
		r := scanned(t, w.padded(600)[:length], w.header, Known{})
		if r.Short || !r.Sealed || r.Damaged() || r.LastSeq != w.next-1 {
			t.Errorf("%d bytes behind a seal mark: %+v", length-len(w.b), r)
		}
	}
}

func TestACloseThatNothingFollowedSaysWhereAShorterFileEnded(t *testing.T) {
	w, closed := closedBuilder(func(w *builder) { w.addSynced(300, 40, 700) })
	b := w.allocate(4096)
	closed.Closed = true
	if r := scanned(t, b, w.header, closed); !r.Closed {
		t.Fatalf("%+v", r)
	}
	for length := HeaderBytes; length < len(b); length += 8 {
		r := scanned(t, b[:length], w.header, closed)
		if r.Short || r.Closed || r.LastSeq < w.next-1 || r.LastSeq > w.next-1+uint64(closed.CloseMark/RecordBytesMin) {
			t.Fatalf("%d bytes: %+v", length, r)
		}
		if length >= int(closed.CloseEnd()) && r.Damaged() {
			t.Fatalf("%d bytes, behind the mark: %+v", length, r)
		}
		reopened := closed
		reopened.Closed = false // something was recorded since: there may have been more
		r = scanned(t, b[:length], w.header, reopened)
		if !r.Short || r.LastSeq < w.next-1+uint64(4096/RecordBytesMin) {
			t.Fatalf("%d bytes, opened again: %+v", length, r)
		}
	}
}

func TestASegmentOfWhichNothingIsLeftMayHaveBeenOfAnyLength(t *testing.T) {
	for fileBytes, want := range map[int64]uint64{
		0: SegmentBytesMax / RecordBytesMin, HeaderBytes - 1: SegmentBytesMax / RecordBytesMin, HeaderBytes: 2, 5600: 100,
	} {
		if got := RoomLost(fileBytes, Known{}); got != want {
			t.Errorf("%d bytes: %d, want %d", fileBytes, got, want)
		}
	}
	closed := Known{CloseMark: 1024, Closed: true}
	if got := RoomLost(0, closed); got != 1 {
		t.Errorf("of a closed one: %d", got)
	}
	h := testHeader()
	for length, known := range []Known{{HeaderLost: true}, {HeaderLost: true, CloseMark: 1024}} {
		if r := scanned(t, make([]byte, length), h, known); r.LastSeq != h.BaseSeq-1+SegmentBytesMax/RecordBytesMin {
			t.Errorf("%+v: %+v", known, r)
		}
	}
}

// Whatever a crash left of a file, and at whatever length it was then cut off: no
// durable record is gone without a word, and a crash alone accuses nothing.
func TestNothingOfAShorterFileIsLostSilently(t *testing.T) {
	met := situations{}
	for seed := range uint64(6000) {
		random := random(seed)
		w := newBuilder()
		history(w, random)
		full := w.allocate(2048)
		copy(w.b, full[:HeaderBytes])
		b := w.crash(random)
		if r := scanned(t, b, w.header, Known{}); r.Damaged() || r.Short {
			t.Fatalf("seed %d: a crash was taken for damage: %+v", seed, r)
		}
		b = b[:HeaderBytes+random.IntN(len(b)-HeaderBytes)]
		before := cloneBytes(b)
		if random.IntN(2) == 0 {
			hurt(b, random, len(b))
		}
		r := scanned(t, b, w.header, Known{})
		readable, damaged := r.sequences()
		for _, p := range w.placed {
			if p.control != 0 {
				continue
			}
			whole := p.end <= len(b) && string(b[p.offset:p.end]) == string(full[p.offset:p.end])
			switch {
			case !readable[p.seq] && !damaged[p.seq]:
				t.Fatalf("seed %d: %d is gone without a word: %+v", seed, p.seq, r)
			case p.end <= w.durable && whole && damaged[p.seq]:
				t.Fatalf("seed %d: %d is whole and called damaged: %+v", seed, p.seq, r)
			case damaged[p.seq] && p.end <= w.durable:
				met["damaged record"]++
			}
		}
		if string(before) != string(b) {
			met["damaged before the cut too"]++
		}
		if len(b) > len(w.b) {
			met["cut in its zeros"]++
		}
	}
	met.demand(t, 100, "damaged record", "damaged before the cut too", "cut in its zeros")
}
