package segment

import (
	"bytes"
	"errors"
	"testing"
)

// A whole file, truncated at every length and flipped at every byte: it is
// repaired, or gives a typed error, or a damaged range; nothing is lost
// silently but what is undecidable, and that is counted.

func sampleBuilder() *builder {
	w := newBuilder()
	w.add(5, 130)
	w.sync()
	w.markPair(DurableMark)
	w.batch(40, 50)
	w.add(0, 700)
	w.sync()
	w.record("invoices", fill(33), 0)
	return w
}

func TestSealedSegmentFlippedAtEveryByte(t *testing.T) {
	w := sampleBuilder()
	file := w.sealed()
	footer, at, ok := FindFooter(file, w.header.LogID, w.header.ID)
	if !ok {
		t.Fatal("no footer")
	}
	recordsEnd := int(footer.IndexOffset)
	known := Known{RecordsEnd: int64(recordsEnd), LastSeq: footer.LastSeq, Complete: true}
	for i := range file {
		b := flip(file, i)
		switch {
		case i < HeaderBytes:
			headerIsRebuilt(t, b, w.header)
		case i < recordsEnd:
			p := w.holding(i)
			first, last := p.seq, p.seq
			if p.control != 0 {
				first++
			}
			wantDamage(t, scanned(t, b, w.header, known), p.offset, p.end, first, last)
		case i < int(at):
			if _, err := footer.Index(b[footer.IndexOffset:at]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d: index: %v", i, err)
			}
		default:
			footerIsRebuilt(t, b, file, w.header)
		}
	}
}

// holding returns the record that holds a byte.
func (w *builder) holding(at int) placed {
	for _, p := range w.placed {
		if at >= p.offset && at < p.end {
			return p
		}
	}
	panic("no record there")
}

func headerIsRebuilt(t *testing.T, b []byte, want Header) {
	t.Helper()
	if _, err := DecodeHeader(b); err == nil {
		t.Fatal("a flipped header decodes")
	}
	f, _, ok := FindFooter(b, want.LogID, want.ID)
	if !ok || f.Header(want.Created) != want {
		t.Fatalf("rebuilt %+v", f.Header(want.Created))
	}
}

// footerIsRebuilt asserts that a file whose footer is gone gives back the same
// index and footer from its records and their seal mark.
func footerIsRebuilt(t *testing.T, b, file []byte, h Header) {
	t.Helper()
	if _, _, ok := FindFooter(b, h.LogID, h.ID); ok {
		t.Fatal("a flipped footer was found")
	}
	r := scanned(t, b, h, Known{})
	if !r.Sealed || r.Damaged() {
		t.Fatalf("%+v", r)
	}
	if got := finish(b[:r.RecordsEnd], h, r.Extents, 0); !bytes.Equal(got, file) {
		t.Fatal("the rebuilt file differs")
	}
}

func TestSealedSegmentTruncatedAtEveryLength(t *testing.T) {
	w := sampleBuilder()
	file := w.sealed()
	footer, _, _ := FindFooter(file, w.header.LogID, w.header.ID)
	recordsEnd := int(footer.IndexOffset)
	bySeal := Known{RecordsEnd: int64(recordsEnd), LastSeq: footer.LastSeq, Complete: true}
	undecidable := 0
	for n := range file {
		b := file[:n]
		if _, _, ok := FindFooter(b, w.header.LogID, w.header.ID); ok {
			t.Fatalf("%d bytes: a footer", n)
		}
		if _, err := DecodeHeader(b); (err == nil) != (n >= HeaderBytes) || err != nil && !errors.Is(err, ErrShort) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		// The seal in the manifest says it all.
		r := scanned(t, b, w.header, bySeal)
		if r.LastSeq != footer.LastSeq || (n < recordsEnd) != r.Damaged() {
			t.Fatalf("%d bytes: %+v", n, r)
		}
		// The file alone.
		r = scanned(t, b, w.header, Known{})
		if n >= recordsEnd {
			footerIsRebuilt(t, b, file, w.header)
		} else if lost, silent := w.lostSilently(r); silent && !r.Damaged() {
			undecidable++
			if r.Cut == nil && !w.borders(n) {
				t.Fatalf("%d bytes: %d lost silently: %+v", n, lost, r)
			}
		}
	}
	if undecidable == 0 {
		t.Error("no length was undecidable: a truncation at a record's border must be")
	}
	t.Logf("undecidable: %d of %d lengths", undecidable, len(file))
}

// lostSilently returns the first sequence that the result neither has nor calls
// damaged.
func (w *builder) lostSilently(r ScanResult) (uint64, bool) {
	readable, damaged := r.sequences()
	for _, p := range w.placed {
		if p.control == 0 && !readable[p.seq] && !damaged[p.seq] {
			return p.seq, true
		}
	}
	return 0, false
}

// borders reports whether a file of n bytes ends where a record does: nothing
// in it tells that there was more.
func (w *builder) borders(n int) bool {
	if n <= HeaderBytes {
		return true
	}
	for _, p := range w.placed {
		if p.end == n {
			return true
		}
	}
	return false
}

func TestUnsealedSegmentFlippedAtEveryByte(t *testing.T) {
	w := sampleBuilder()
	w.record("orders.eu", make([]byte, 1500), 0) // holds zero sectors of its own
	file := w.padded(600)
	durable := scanned(t, file, w.header, Known{}).DurableEnd
	undecidable := 0
	for i := HeaderBytes; i < len(file); i++ {
		b := flip(file, i)
		r := scanned(t, b, w.header, Known{})
		if i >= len(w.b) {
			// Behind the records: they are all there.
			if lost, silent := w.lostSilently(r); silent || !r.Damaged() && r.Cut == nil {
				t.Fatalf("byte %d: lost %d: %+v", i, lost, r)
			}
			continue
		}
		p := w.holding(i)
		if int64(p.offset) >= durable && zeroShareIn(file, p.offset, p.end) {
			// A torn record looks the same. Flips of its header are still told
			// apart: then its length is not used.
			if r.Cut != nil && !r.Damaged() {
				undecidable++
				wantCut(t, r, p)
				if i < p.offset+recordHeaderChecksumAt+4 && i >= p.offset+recordBodyBytesAt {
					t.Fatalf("byte %d: a flip in a record's header was taken for a tear", i)
				}
				continue
			}
		}
		first, last := p.seq, p.seq
		if p.control != 0 {
			first++
		}
		readable, damaged := r.sequences()
		if !r.Damaged() || r.Cut != nil || first == last && !damaged[p.seq] {
			t.Fatalf("byte %d: %+v", i, r)
		}
		for _, other := range w.placed {
			if other.control == 0 && other.seq != p.seq && !readable[other.seq] {
				t.Fatalf("byte %d: %d is lost too: %+v", i, other.seq, r)
			}
		}
	}
	if undecidable == 0 {
		t.Error("no flip was undecidable")
	}
	t.Logf("undecidable: %d of %d bytes", undecidable, len(file)-HeaderBytes)
}

func TestUnsealedSegmentTruncatedAtEveryLength(t *testing.T) {
	w := sampleBuilder()
	file := w.padded(600)
	undecidable := 0
	for n := range file {
		r := scanned(t, file[:n], w.header, Known{})
		lost, silent := w.lostSilently(r)
		if !silent || r.Damaged() {
			continue
		}
		undecidable++
		if r.Cut == nil && !w.borders(n) {
			t.Fatalf("%d bytes: %d lost silently: %+v", n, lost, r)
		}
	}
	if want := HeaderBytes + 1 + len(w.placed); undecidable > want {
		t.Errorf("%d undecidable lengths, at most %d are", undecidable, want)
	}
	t.Logf("undecidable: %d of %d lengths", undecidable, len(file))
}

func TestFooterIsFoundWhenTheTruncationWasLost(t *testing.T) {
	w := sampleBuilder()
	file := w.sealed()
	want := int64(len(file) - FooterBytes)
	for _, behind := range []int{0, 8, 100, 192, 4096} {
		b := append(cloneBytes(file), make([]byte, behind)...)
		if _, at, ok := FindFooter(b, w.header.LogID, w.header.ID); !ok || at != want {
			t.Errorf("%d zeros behind it: %d, %v", behind, at, ok)
		}
	}
	garbage := append(cloneBytes(file), fill(1000)...)
	if _, at, ok := FindFooter(garbage, w.header.LogID, w.header.ID); !ok || at != want {
		t.Errorf("garbage behind it: %d, %v", at, ok)
	}
	if _, _, ok := FindFooter(file, w.header.LogID+1, w.header.ID); ok {
		t.Error("the footer of another log was found")
	}
	if _, _, ok := FindFooter(file, w.header.LogID, w.header.ID+1); ok {
		t.Error("the footer of another segment was found")
	}
}

func TestFooterWhoseIndexDoesNotEndWhereItBeginsIsNone(t *testing.T) {
	w := newBuilder()
	copied := newBuilder().sealed()
	w.record("8 bytes.", copied, 0) // an aligned payload that holds a whole sealed file of this segment
	if _, err := DecodeFooter(w.b[len(w.b)-FooterBytes:]); err != nil {
		t.Fatal(err)
	}
	if _, at, ok := FindFooter(w.padded(4096), w.header.LogID, w.header.ID); ok {
		t.Errorf("a footer inside a payload counts, at %d", at)
	}
}
