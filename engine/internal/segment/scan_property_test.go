package segment

import (
	"math/rand/v2"
	"testing"
)

// Random histories, random crashes, random damage: what holds of all of them.

// crash returns the bytes that a power cut leaves: of each sector that was not
// synced whole, either the old content or the new.
func (w *builder) crash(random *rand.Rand) []byte {
	b := w.padded(2048)
	mode := random.IntN(3) // lose all, some, none
	for from := w.durable; from < len(w.b); {
		next := (from/SectorBytes + 1) * SectorBytes
		if mode == 0 || mode == 1 && random.IntN(3) == 0 {
			clear(b[from:min(next, len(b))])
		}
		from = next
	}
	return b
}

// readable returns the sequences in runs that verify, damaged those in damaged
// ranges.
func (r *ScanResult) sequences() (readable, damaged map[uint64]bool) {
	readable, damaged = map[uint64]bool{}, map[uint64]bool{}
	for _, e := range r.Extents {
		for seq := e.FirstSeq; seq <= e.LastSeq; seq++ {
			if e.Damaged {
				damaged[seq] = true
			} else {
				readable[seq] = true
			}
		}
	}
	return readable, damaged
}

// situations counts what the histories met: a property that is never put to the
// test holds always.
type situations map[string]int

func (s situations) demand(t *testing.T, least int, names ...string) {
	t.Helper()
	t.Logf("situations: %v", s)
	for _, name := range names {
		if s[name] < least {
			t.Errorf("%q was met %d times", name, s[name])
		}
	}
}

func TestACrashLosesNothingDurableAndAccusesNothing(t *testing.T) {
	met := situations{}
	for seed := range uint64(6000) {
		random := random(seed)
		w := newBuilder()
		history(w, random)
		b := w.crash(random)
		r := scanned(t, b, w.header, Known{})
		if r.Damaged() {
			t.Fatalf("seed %d: a crash was taken for damage: %+v", seed, r)
		}
		readable, _ := r.sequences()
		for _, p := range w.placed {
			if p.control == 0 && p.end <= w.durable && !readable[p.seq] {
				t.Fatalf("seed %d: durable record %d lost: %+v", seed, p.seq, r)
			}
			if p.batch && readable[p.seq] && !readable[p.seq+1] {
				t.Fatalf("seed %d: atomic batch split behind %d: %+v", seed, p.seq, r)
			}
		}
		if r.DurableEnd > int64(w.durable) {
			t.Fatalf("seed %d: durable end %d, synced to %d", seed, r.DurableEnd, w.durable)
		}
		if r.Cut != nil {
			met["cut"]++
			if r.Cut.Batch {
				met["batch cut"]++
			}
		}
		if r.LastSeq < w.next-1 {
			met["unacked tail dropped"]++
		}
		if r.Closed {
			met["closed"]++
		}
		if r.DurableEnd < r.RecordsEnd {
			met["tail to write again"]++
		}
	}
	met.demand(t, 20, "cut", "batch cut", "unacked tail dropped", "closed", "tail to write again")
}

func TestDamageBelowDCostsOnlyItself(t *testing.T) {
	met := situations{}
	for seed := range uint64(6000) {
		random := random(seed)
		w := newBuilder()
		history(w, random)
		w.add(20) // proves what a sync reached before it
		proved := w.at(-1).offset - int(w.unsyncedOfLast())
		b := w.crash(random)
		copy(b[w.at(-1).offset:], w.b[w.at(-1).offset:]) // the proof is there
		before := cloneBytes(b)
		if proved <= HeaderBytes {
			continue
		}
		hurt(b[:proved], random, proved)
		hit := w.changed(before, b)
		r := scanned(t, b, w.header, Known{})
		readable, damaged := r.sequences()
		for _, p := range w.placed {
			if p.control != 0 || p.end > proved {
				continue
			}
			switch {
			case readable[p.seq] && hit[p.seq]:
				t.Fatalf("seed %d: a changed record verifies: %d", seed, p.seq)
			case !readable[p.seq] && !damaged[p.seq]:
				t.Fatalf("seed %d: %d was durable and is gone without a word: %+v", seed, p.seq, r)
			case damaged[p.seq] && !hit[p.seq]:
				t.Fatalf("seed %d: damage cost more than itself: %d, hit %v: %+v", seed, p.seq, hit, r)
			case damaged[p.seq]:
				met["damaged record"]++
			}
		}
		if len(hit) == 0 && r.Damaged() {
			met["damaged mark"]++
		}
	}
	met.demand(t, 20, "damaged record", "damaged mark")
}

func (w *builder) unsyncedOfLast() uint32 {
	return littleEndian.Uint32(w.b[w.at(-1).offset+recordUnsyncedAt:])
}

// changed returns the data records whose bytes differ.
func (w *builder) changed(before, after []byte) map[uint64]bool {
	hit := map[uint64]bool{}
	for _, p := range w.placed {
		if p.control == 0 && string(before[p.offset:p.end]) != string(after[p.offset:p.end]) {
			hit[p.seq] = true
		}
	}
	return hit
}

func TestACompleteSegmentLosesNothingSilently(t *testing.T) {
	met := situations{}
	for seed := range uint64(6000) {
		random := random(seed)
		w := newBuilder()
		history(w, random)
		w.sync()
		last := w.next - 1
		known := Known{LastSeq: last, Complete: true}
		if random.IntN(2) == 0 {
			w.sealMark()
			known.RecordsEnd = int64(len(w.b))
		} else if random.IntN(2) == 0 {
			w.add(100) // above the last sequence: not part of the log
		}
		before := w.padded(1024)
		b := cloneBytes(before)
		for range random.IntN(3) {
			hurt(b, random, len(w.b))
		}
		if random.IntN(5) == 0 {
			b = b[:HeaderBytes+random.IntN(len(b)-HeaderBytes)]
		}
		r := scanned(t, b, w.header, known)
		readable, damaged := r.sequences()
		for seq := w.header.BaseSeq; seq <= last; seq++ {
			if !readable[seq] && !damaged[seq] {
				t.Fatalf("seed %d: %d is gone without a word: %+v", seed, seq, r)
			}
		}
		for _, p := range w.placed {
			if p.control != 0 || p.seq > last {
				continue
			}
			whole := p.end <= len(b) && string(b[p.offset:p.end]) == string(before[p.offset:p.end])
			if whole && damaged[p.seq] {
				t.Fatalf("seed %d: %d is whole and called damaged: %+v", seed, p.seq, r)
			}
			if damaged[p.seq] {
				met["damaged record"]++
			}
		}
		if r.LastSeq != last && last >= w.header.BaseSeq {
			t.Fatalf("seed %d: last sequence %d, known %d", seed, r.LastSeq, last)
		}
		if r.Cut != nil {
			met["bytes above the last sequence"]++
		}
	}
	met.demand(t, 20, "damaged record", "bytes above the last sequence")
}

// The same at the level of raw bytes: nothing holds but the invariants.
func TestScanOfArbitraryBytesKeepsItsInvariants(t *testing.T) {
	for seed := range uint64(6000) {
		random := random(seed)
		w := newBuilder()
		history(w, random)
		if random.IntN(3) == 0 {
			w.sealMark()
		}
		b := w.padded(1024)
		for range random.IntN(6) {
			hurt(b, random, len(b))
		}
		b = b[:len(b)-random.IntN(min(len(b), 600))]
		known := Known{RecordsEnd: int64(random.IntN(3) * random.IntN(len(b)+100)), LastSeq: w.next - 3 + uint64(random.IntN(5)), Complete: random.IntN(2) == 0}
		known.RecordsEnd &^= 7
		checkResult(t, b, w.header, known, Scan(b, w.header, known))
		h := w.header
		h.AllocatedBytes = uint64(len(b) + random.IntN(600))
		checkResult(t, b, h, known, Scan(b, h, known))
	}
}
