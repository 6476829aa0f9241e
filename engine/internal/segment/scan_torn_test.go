package segment

import (
	"testing"
)

// Torn or damaged: what is cut, and what is never cut.

// scanned scans and checks what holds of every result.
func scanned(t *testing.T, b []byte, h Header, known Known) ScanResult {
	t.Helper()
	r := Scan(b, h, known)
	checkResult(t, b, h, known, r)
	return r
}

// zeroSector clears the sector that holds offset, the segment header excepted.
func zeroSector(b []byte, offset int) {
	from := offset / SectorBytes * SectorBytes
	clear(b[max(from, HeaderBytes):min(from+SectorBytes, len(b))])
}

func wantCut(t *testing.T, r ScanResult, at placed) {
	t.Helper()
	if r.Cut == nil || r.RecordsEnd != int64(at.offset) || r.LastSeq != at.seq-1 || r.Damaged() || r.Closed || r.Sealed {
		t.Fatalf("not cut at %d before sequence %d: %+v", at.offset, at.seq, r)
	}
}

// wantDamage asserts one damaged range, of just these bytes and sequences.
func wantDamage(t *testing.T, r ScanResult, offset, end int, firstSeq, lastSeq uint64) {
	t.Helper()
	want := Extent{Offset: int64(offset), End: int64(end), FirstSeq: firstSeq, LastSeq: lastSeq, Damaged: true}
	var got []Extent
	for _, e := range r.Extents {
		if e.Damaged {
			got = append(got, e)
		}
	}
	if len(got) != 1 || got[0] != want {
		t.Fatalf("damage %+v, want %+v", got, want)
	}
}

func TestScanOfAnEmptySegment(t *testing.T) {
	w := newBuilder()
	r := scanned(t, w.padded(4096), w.header, Known{})
	if r.LastSeq != w.header.BaseSeq-1 || r.RecordsEnd != HeaderBytes || r.DurableEnd != HeaderBytes || len(r.Extents) != 0 || r.Cut != nil || r.Closed {
		t.Errorf("%+v", r)
	}
}

func TestScanKeepsEverythingThatVerifies(t *testing.T) {
	w := newBuilder()
	w.add(0, 1, 100, 5000)
	w.sync()
	w.batch(10, 20, 30)
	w.markPair(DurableMark)
	w.add(7)
	r := scanned(t, w.padded(4096), w.header, Known{})
	if len(r.Extents) != 1 || r.Extents[0] != w.run() || r.Cut != nil || r.Closed {
		t.Errorf("%+v", r)
	}
	if want := int64(w.at(-1).offset); r.DurableEnd != want {
		t.Errorf("durable end %d, want %d", r.DurableEnd, want)
	}
}

func TestRecordThatLostASectorAboveDIsTornAndEverythingBehindItIsCut(t *testing.T) {
	for name, lose := range map[string]func(b []byte, p placed){
		"first sector":  func(b []byte, p placed) { zeroSector(b, p.offset) },
		"middle sector": func(b []byte, p placed) { zeroSector(b, p.offset+600) },
		"last sector":   func(b []byte, p placed) { zeroSector(b, p.end-1) },
		"all sectors":   func(b []byte, p placed) { clear(b[p.offset:p.end]) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newBuilder()
			w.fillUpTo(SectorBytes)
			w.sync()
			w.add(1400, 50)
			w.add(3000)
			torn := w.at(1)
			b := w.padded(4096)
			lose(b, torn)
			r := scanned(t, b, w.header, Known{})
			wantCut(t, r, torn)
			if r.Cut.End != int64(len(w.b)) {
				t.Errorf("the cut ends at %d, the bytes at %d", r.Cut.End, len(w.b))
			}
		})
	}
}

func TestFlipAboveDIsDamageNotATear(t *testing.T) {
	w := newBuilder()
	w.add(100, 100, 100)
	for at := w.at(1).offset; at < w.at(1).end; at++ {
		b := flip(w.padded(512), at)
		r := scanned(t, b, w.header, Known{})
		wantDamage(t, r, w.at(1).offset, w.at(1).end, w.at(1).seq, w.at(1).seq)
		if r.LastSeq != w.at(2).seq || r.Cut != nil {
			t.Fatalf("byte %d: %+v", at, r)
		}
	}
}

func TestZeroedSectorBelowDIsDamage(t *testing.T) {
	w := newBuilder()
	w.fillUpTo(SectorBytes)
	w.add(1400)
	w.fillUpTo(2560)
	w.sync()
	w.add(10)
	b := w.padded(4096)
	zeroSector(b, w.at(1).offset+600)
	r := scanned(t, b, w.header, Known{})
	wantDamage(t, r, w.at(1).offset, w.at(1).end, w.at(1).seq, w.at(1).seq)
	if r.LastSeq != w.at(-1).seq {
		t.Errorf("%+v", r)
	}
}

func TestRecordBehindABadOneProvesItDurable(t *testing.T) {
	w := newBuilder()
	w.fillUpTo(SectorBytes)
	w.add(1400, 1400)
	unproved := w.padded(8192)
	zeroSector(unproved, w.at(1).offset+600)
	wantCut(t, scanned(t, unproved, w.header, Known{}), w.at(1))

	w.sync()
	w.add(10)
	proved := w.padded(8192)
	zeroSector(proved, w.at(1).offset+600)
	r := scanned(t, proved, w.header, Known{})
	wantDamage(t, r, w.at(1).offset, w.at(1).end, w.at(1).seq, w.at(1).seq)
	if r.DurableEnd != int64(w.at(3).offset) {
		t.Errorf("durable end %d, want %d", r.DurableEnd, w.at(3).offset)
	}
}

func TestLengthOfAHeaderThatDoesNotVerifyIsNeverUsed(t *testing.T) {
	w := newBuilder()
	w.fillUpTo(SectorBytes)
	w.add(1400)
	b := w.padded(4096)
	zeroSector(b, w.at(1).offset+600) // the body lost a sector
	wantCut(t, scanned(t, b, w.header, Known{}), w.at(1))

	// The same with a flipped length: only the 48 bytes of the header count, and
	// they have lost nothing.
	b[w.at(1).offset+recordBodyBytesAt] ^= 1
	r := scanned(t, b, w.header, Known{})
	if !r.Damaged() || r.Cut != nil {
		t.Errorf("%+v", r)
	}
}

func TestHeaderThatLostItsSectorIsTornByItsOwnShares(t *testing.T) {
	w := newBuilder()
	w.fillUpTo(2*SectorBytes - 24) // the next header lies in two sectors
	w.add(100)
	for _, at := range []int{w.at(1).offset, w.at(1).offset + 24} {
		b := w.padded(4096)
		clear(b[at : at+24])
		wantCut(t, scanned(t, b, w.header, Known{}), w.at(1))
	}
	// Half of a share is no lost sector.
	b := w.padded(4096)
	clear(b[w.at(1).offset : w.at(1).offset+16])
	if r := scanned(t, b, w.header, Known{}); !r.Damaged() {
		t.Errorf("%+v", r)
	}
}

// What stays undecidable, and is stated as such: cut, reported, never silent.
func TestUndecidable(t *testing.T) {
	t.Run("zeroed sector in the last synced batch, proved by nothing", func(t *testing.T) {
		w := newBuilder()
		w.fillUpTo(SectorBytes)
		w.addSynced(1400)
		b := w.padded(4096)
		zeroSector(b, w.at(1).offset+600)
		wantCut(t, scanned(t, b, w.header, Known{}), w.at(1))
	})
	t.Run("flip in a record of that batch that holds a zero sector itself", func(t *testing.T) {
		w := newBuilder()
		w.fillUpTo(SectorBytes)
		w.record("orders.eu", make([]byte, 1400), 0)
		w.sync()
		b := w.padded(4096)
		b[w.at(1).offset+60] ^= 1
		wantCut(t, scanned(t, b, w.header, Known{}), w.at(1))
	})
}

func TestMarksCloseTheWindow(t *testing.T) {
	for _, kind := range []ControlKind{DurableMark, CloseMark} {
		for inSector := 0; inSector < SectorBytes; inSector += 8 {
			w := newBuilder()
			w.fillUpTo(SectorBytes)
			w.fillUpTo(4*SectorBytes + inSector)
			w.markPair(kind)
			last, first, second := w.at(1), w.at(2), w.at(3)
			for at := last.offset; at < len(w.b); at += SectorBytes {
				b := w.padded(1024)
				zeroSector(b, at)
				r := scanned(t, b, w.header, Known{})
				switch lost := at / SectorBytes; {
				case lost == second.offset/SectorBytes:
					// Only the second mark is gone: no record was hurt.
					if r.LastSeq != last.seq || r.Damaged() || r.RecordsEnd != int64(second.offset) {
						t.Fatalf("offset %d: second mark lost: %+v", inSector, r)
					}
				case lost*SectorBytes >= last.end:
					if r.LastSeq != last.seq {
						t.Fatalf("offset %d: first mark lost: %+v", inSector, r)
					}
				default:
					if !r.Damaged() || r.Cut != nil || r.LastSeq != last.seq {
						t.Fatalf("offset %d, sector at %d, marks at %d and %d: not told as damage: %+v",
							inSector, at, first.offset, second.offset, r)
					}
				}
			}
		}
	}
}

func TestRecordThatPassesTheEndOfTheFile(t *testing.T) {
	w := newBuilder()
	w.addSynced(100)
	w.add(2000)
	for end := w.at(1).offset; end < w.at(1).end; end++ {
		r := scanned(t, w.b[:end], w.header, Known{})
		switch n := end - w.at(1).offset; n {
		case 0: // nothing of it is left to tell
			if r.LastSeq != w.at(0).seq || r.Damaged() || r.Cut != nil {
				t.Fatalf("%d bytes left: %+v", n, r)
			}
		default: // no sector's share of what is left is zero: damage
			if !r.Damaged() || r.LastSeq < w.at(1).seq || r.DurableEnd > int64(w.at(1).offset) {
				t.Fatalf("%d bytes left: %+v", n, r)
			}
		}
	}
}

func TestRecordOfANewerWriterIsKept(t *testing.T) {
	w := newBuilder()
	w.add(10)
	w.record("orders.eu", fill(10), 1<<6)
	w.add(10)
	r := scanned(t, w.padded(512), w.header, Known{})
	if r.LastSeq != w.at(-1).seq || r.Damaged() || r.Cut != nil {
		t.Errorf("%+v", r)
	}
}
