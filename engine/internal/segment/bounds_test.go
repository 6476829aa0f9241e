package segment

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestIndexBytesMaxBoundsTheIndexOfAnyRecords(t *testing.T) {
	shortest := func(_ *rand.Rand, i int) (string, int) { // a subject of its own in the shortest record
		return string(binary.AppendUvarint(nil, uint64(i))), 0
	}
	shapes := map[string]func(random *rand.Rand, i int) (subject string, payloadBytes int){
		"one subject":                func(*rand.Rand, int) (string, int) { return "orders", 0 },
		"shortest records, all new":  shortest,
		"names of eight bytes":       func(_ *rand.Rand, i int) (string, int) { return fmt.Sprintf("%08d", i), 0 },
		"long names":                 func(_ *rand.Rand, i int) (string, int) { return fmt.Sprintf("%0300d", i), 100 },
		"large records":              func(r *rand.Rand, i int) (string, int) { return fmt.Sprint(i), r.IntN(300 << 10) },
		"a few subjects everywhere":  func(_ *rand.Rand, i int) (string, int) { return fmt.Sprint(i % 300), 400 },
		"dictionary about its limit": func(_ *rand.Rand, i int) (string, int) { return fmt.Sprint("subject.", i/10), 200 },
		"random": func(r *rand.Rand, i int) (string, int) {
			return fmt.Sprint(r.IntN(1 << r.IntN(16))), r.IntN(1 << r.IntN(12))
		},
	}
	for name, shape := range shapes {
		for _, recordBytes := range []int{0, 1, 500, 1 << 10, 4 << 10, 25 << 10, 26 << 10, FrameBytes - 56, FrameBytes + 56, 3 << 20} {
			random := random(uint64(recordBytes))
			w := newBuilder()
			for i := 0; len(w.b) < HeaderBytes+recordBytes; i++ {
				subject, payload := shape(random, i)
				w.record(subject, make([]byte, payload), 0)
			}
			extents := []Extent{w.run()}
			if len(w.placed) == 0 {
				extents = nil
			}
			block, _ := BuildIndex(w.b, w.header, extents)
			records := int64(len(w.b) - HeaderBytes)
			if limit := IndexBytesMax(records); int64(len(block)) > limit || len(block)%8 != 0 {
				t.Errorf("%s, %d record bytes: index of %d bytes, limit %d", name, records, len(block), limit)
			}
		}
	}
}

func TestIndexBytesMaxBoundsTheIndexOfDamagedSegments(t *testing.T) {
	random := random(21)
	for range 300 {
		w := newBuilder()
		history(w, random)
		b := w.padded(256)
		for range random.IntN(8) {
			hurt(b, random, len(b))
		}
		r := Scan(b, w.header, Known{})
		block, sum := BuildIndex(b, w.header, r.Extents)
		if limit := IndexBytesMax(r.RecordsEnd - HeaderBytes); int64(len(block)) > limit {
			t.Fatalf("%d bytes, limit %d: %+v", len(block), limit, r)
		}
		if sum.LastSeq != r.LastSeq {
			t.Fatalf("last sequence %d, %+v", sum.LastSeq, r)
		}
		x, err := DecodeIndex(block)
		if err != nil || x.Damaged() != r.Damaged() {
			t.Fatalf("%v: damaged %v, %+v", err, x.Damaged(), r)
		}
	}
}

func TestBoundsGrowWithTheRecords(t *testing.T) {
	var index, seal, reserve int64
	for end := int64(HeaderBytes); end < 3<<20; end += 8 {
		if IndexBytesMax(end) < index || SealBytesMax(end) < seal || ReserveBytes(end) < reserve {
			t.Fatalf("a bound shrinks at %d", end)
		}
		index, seal, reserve = IndexBytesMax(end), SealBytesMax(end), ReserveBytes(end)
	}
	if IndexBytesMax(-1) != IndexBytesMax(0) {
		t.Error("a negative length")
	}
	for _, end := range []int64{1 << 20, 64 << 20, SegmentBytesMax} {
		if n := ReserveBytes(end); n > end*3/100+end/FrameBytes*24+4096 {
			t.Errorf("%d bytes are kept behind %d", n, end)
		}
	}
}

func TestReserveHoldsMarkPairSealMarkIndexAndFooter(t *testing.T) {
	for inSector := 0; inSector < SectorBytes; inSector += 8 {
		w := newBuilder()
		w.fillUpTo(SectorBytes + inSector)
		w.sync()
		end := int64(len(w.b))
		reserve := ReserveBytes(end)
		w.markPair(CloseMark)
		if SealBytesMax(int64(len(w.b)))+int64(len(w.b)) > end+reserve {
			t.Fatalf("offset %d: behind the mark pair a seal may not fit", inSector)
		}
		if file := w.sealed(); int64(len(file)) > end+reserve {
			t.Fatalf("offset %d: %d bytes, reserved up to %d", inSector, len(file), end+reserve)
		}
	}
}

func TestLongestRecordLeavesRoomInTheLongestSegment(t *testing.T) {
	end := int64(HeaderBytes + RecordBytesMax)
	if end+ReserveBytes(end) > SegmentBytesMax {
		t.Errorf("a record of %d bytes does not fit", int64(RecordBytesMax))
	}
}
