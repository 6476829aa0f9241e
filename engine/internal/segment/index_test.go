package segment

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// indexed is a segment with its index and the truth about it.
type indexed struct {
	b       []byte
	header  Header
	extents []Extent
	index   *Index
	block   []byte
	sum     Summary
	records []Record
	offsets []int64
}

func indexOf(t testing.TB, b []byte, h Header) *indexed {
	t.Helper()
	x := &indexed{b: b, header: h, extents: Scan(b, h, Known{}).Extents}
	x.block, x.sum = BuildIndex(b, h, x.extents)
	var err error
	if x.index, err = DecodeIndex(x.block); err != nil {
		t.Fatal(err)
	}
	for _, e := range x.extents {
		for offset := e.Offset; !e.Damaged && offset < e.End; {
			var r Record
			n, err := DecodeRecord(b[offset:], h.Salt, &r)
			if err != nil {
				t.Fatal(err)
			}
			if r.Flags&FlagControl == 0 {
				x.records = append(x.records, r)
				x.offsets = append(x.offsets, offset)
			}
			offset += int64(n)
		}
	}
	return x
}

// frameOf returns the number of the frame that holds an offset.
func (x *indexed) frameOf(offset int64) int {
	frames := x.index.Frames()
	i := 0
	for i+1 < len(frames) && frames[i+1].Offset <= offset {
		i++
	}
	return i
}

// subjectsSegment makes a segment of about this many record bytes with that many
// subjects, times that jump about, and a mark now and then.
func subjectsSegment(random *rand.Rand, recordBytes, subjects, payloadBytesMax int) ([]byte, Header) {
	w := newBuilder()
	for len(w.b) < HeaderBytes+recordBytes {
		w.clock = w.header.Created + random.Int64N(1e9)
		if random.IntN(500) == 0 {
			w.markPair(DurableMark)
		}
		w.record(fmt.Sprintf("subject.%d", random.IntN(subjects)), fill(random.IntN(payloadBytesMax+1)), 0)
	}
	w.sealMark()
	return w.b, w.header
}

func TestIndexOfAnEmptySegment(t *testing.T) {
	w := newBuilder()
	block, sum := BuildIndex(w.b, w.header, nil)
	if sum != (Summary{FirstSeq: w.header.BaseSeq, LastSeq: w.header.BaseSeq - 1}) {
		t.Errorf("%+v", sum)
	}
	x, err := DecodeIndex(block)
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Frames()) != 0 || x.SeekSeq(5) != HeaderBytes || x.SeekTime(5) != HeaderBytes || len(x.FramesMatching(nil, nil)) != 0 {
		t.Errorf("%+v", x)
	}
	if _, present, exact := x.Lookup("orders.eu"); present || !exact {
		t.Error("a subject in an empty segment")
	}
}

func TestSummary(t *testing.T) {
	w := newBuilder()
	w.add(10, 10, 10)
	first := w.header.Created + 1000
	w.clock = first - 500
	w.add(10)
	w.b = AppendRecord(w.b, w.header.Salt, &Record{Seq: w.next, Timestamp: 1, Subject: []byte("x")})
	_, sum := BuildIndex(w.b, w.header, []Extent{w.run()})
	base := w.header.BaseSeq
	want := Summary{
		Count: 5, FirstSeq: base, LastSeq: base + 4, FirstTimestamp: first, MaxTimestamp: first + 2000,
		FirstExtID: base + 5000, LastExtID: base + 5003, // the last record has none
	}
	if sum != want {
		t.Errorf("%+v\nwant %+v", sum, want)
	}
}

func TestFramesAreCutAtTheFirstRecordBehind128KiB(t *testing.T) {
	b, h := subjectsSegment(random(1), 2<<20, 5, 4000)
	x := indexOf(t, b, h)
	frames := x.index.Frames()
	if len(frames) < 15 || len(frames) > 17 || frames[0].Offset != HeaderBytes || frames[0].FirstSeq != h.BaseSeq {
		t.Fatalf("%d frames: %+v", len(frames), frames)
	}
	for i := 1; i < len(frames); i++ {
		if n := frames[i].Offset - frames[i-1].Offset; n < FrameBytes || n > FrameBytes+5000 {
			t.Errorf("frame %d has %d bytes", i-1, n)
		}
	}
	for i, f := range frames {
		maximum, first := int64(math.MinInt64), uint64(0)
		for k, offset := range x.offsets {
			if offset < f.Offset {
				maximum = max(maximum, x.records[k].Timestamp)
			} else {
				first = x.records[k].Seq
				break
			}
		}
		if f.MaxTimestamp != maximum || f.FirstSeq != first || f.Damaged {
			t.Errorf("frame %d: %+v, want maximum %d, first sequence %d", i, f, maximum, first)
		}
	}
}

func TestSeekSeqMeetsEverySequence(t *testing.T) {
	b, h := subjectsSegment(random(2), 1<<20, 5, 2000)
	x := indexOf(t, b, h)
	for k := range x.records {
		at := x.index.SeekSeq(x.records[k].Seq)
		if at != x.index.Frames()[x.frameOf(x.offsets[k])].Offset {
			t.Fatalf("sequence %d lies at %d, sought from %d", x.records[k].Seq, x.offsets[k], at)
		}
	}
	if at := x.index.SeekSeq(0); at != HeaderBytes {
		t.Errorf("before the first: %d", at)
	}
	if at := x.index.SeekSeq(math.MaxUint64); at != x.index.Frames()[len(x.index.Frames())-1].Offset {
		t.Errorf("behind the last: %d", at)
	}
}

func TestSeekTimeMeetsTheFirstRecordThatReachesIt(t *testing.T) {
	random := random(3)
	w := newBuilder()
	for range 3000 { // mostly growing, with clocks that run wild
		w.clock += random.Int64N(3000) - 1000
		if random.IntN(700) == 0 {
			w.clock += 1e6
		}
		w.add(random.IntN(600))
	}
	x := indexOf(t, w.b, w.header)
	for range 3000 {
		want := x.records[random.IntN(len(x.records))].Timestamp + random.Int64N(3) - 1
		from := x.index.SeekTime(want)
		answer := slices.IndexFunc(x.records, func(r Record) bool { return r.Timestamp >= want })
		if answer < 0 {
			continue
		}
		if from > x.offsets[answer] || x.offsets[answer]-from > FrameBytes+1000 {
			t.Fatalf("time %d is reached at %d, sought from %d", want, x.offsets[answer], from)
		}
	}
	for _, f := range x.index.Frames()[1:] { // the very time that lies before a frame
		answer := slices.IndexFunc(x.records, func(r Record) bool { return r.Timestamp >= f.MaxTimestamp })
		if from := x.index.SeekTime(f.MaxTimestamp); from > x.offsets[answer] {
			t.Errorf("time %d is reached at %d, sought from %d", f.MaxTimestamp, x.offsets[answer], from)
		}
	}
	if at := x.index.SeekTime(math.MinInt64); at != HeaderBytes {
		t.Errorf("the beginning of time: %d", at)
	}
}

func TestIndexTreatsARecordThatDoesNotVerifyAsDamage(t *testing.T) {
	b, h := subjectsSegment(random(8), 1<<20, 4, 300)
	clean := indexOf(t, b, h)
	hit := len(clean.records) / 2
	hurt := flip(b, int(clean.offsets[hit])+recordHeaderChecksumAt)
	// The caller believes in one run.
	block, sum := BuildIndex(hurt, h, clean.extents)
	if sum.Count != clean.sum.Count-1 || sum.LastSeq != clean.sum.LastSeq {
		t.Errorf("%+v, undamaged %+v", sum, clean.sum)
	}
	x, err := DecodeIndex(block)
	if err != nil || !x.Damaged() {
		t.Errorf("%v, damaged %v", err, x.Damaged())
	}
	// It says the same as an index of what Scan makes of the file.
	if scannedIndex := indexOf(t, hurt, h); !slices.Equal(scannedIndex.index.Frames(), x.Frames()) {
		t.Error("differs from the index of scanned extents")
	}
}

func TestDamageWithoutBytesIsMarkedInTheIndex(t *testing.T) {
	w := newBuilder()
	w.add(10)
	base, end := w.header.BaseSeq, int64(len(w.b))
	block, sum := BuildIndex(w.b, w.header, []Extent{
		{Offset: HeaderBytes, End: end, FirstSeq: base, LastSeq: base},
		{Offset: end, End: end, FirstSeq: base + 1, LastSeq: base + 9, Damaged: true},
	})
	x, err := DecodeIndex(block)
	if err != nil || !x.Damaged() || len(x.Frames()) != 1 || sum.LastSeq != base+9 || sum.Count != 1 {
		t.Errorf("%v, %+v, %+v", err, x, sum)
	}
	if block, sum = BuildIndex(w.b, w.header, []Extent{{Offset: HeaderBytes, End: HeaderBytes, FirstSeq: base, LastSeq: base, Damaged: true}}); sum.LastSeq != base {
		t.Errorf("%+v", sum)
	}
	if x, err = DecodeIndex(block); err != nil || !x.Damaged() {
		t.Errorf("%v", err)
	}
}

func TestDamageWithoutBytesBeginsNoFrame(t *testing.T) {
	w := newBuilder()
	w.add(FrameBytes)
	base, end := w.header.BaseSeq, int64(len(w.b))
	block, _ := BuildIndex(w.b, w.header, []Extent{
		{Offset: HeaderBytes, End: end, FirstSeq: base, LastSeq: base},
		{Offset: end, End: end, FirstSeq: base + 1, LastSeq: base + 1, Damaged: true},
	})
	if x, err := DecodeIndex(block); err != nil || len(x.Frames()) != 1 || !x.Frames()[0].Damaged {
		t.Errorf("%v: %+v", err, x)
	}
}

func TestIndexIsTheSameForTheSameRecords(t *testing.T) {
	for _, subjects := range []int{40, 100000} {
		b, h := subjectsSegment(random(9), 512<<10, subjects, 300)
		first := indexOf(t, b, h)
		for range 3 {
			if again := indexOf(t, b, h); string(again.block) != string(first.block) {
				t.Fatalf("%d subjects: the blocks differ", subjects)
			}
		}
	}
}

func TestNewerIndexVersionIsReported(t *testing.T) {
	b, h := subjectsSegment(random(10), 1000, 4, 10)
	x := indexOf(t, b, h)
	x.block[0] = 2
	var version *VersionError
	if _, err := DecodeIndex(x.block); !errors.As(err, &version) || version.Version != 2 {
		t.Errorf("%v", err)
	}
}

func TestFramesThatContradictThemselvesAreCorrupt(t *testing.T) {
	good := []Frame{
		{FirstSeq: 5, MaxTimestamp: math.MinInt64, Offset: HeaderBytes},
		{FirstSeq: 9, MaxTimestamp: 7, Offset: 4096},
		{FirstSeq: 9, MaxTimestamp: 7, Offset: 8192},
	}
	if _, err := decodeFrames(encodeFrames(good)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(f []Frame){
		"first not behind the header": func(f []Frame) { f[0].Offset = 136 },
		"first with a past":           func(f []Frame) { f[0].MaxTimestamp = 1 },
		"offset that turns back":      func(f []Frame) { f[2].Offset = 4096 },
		"offset not aligned":          func(f []Frame) { f[2].Offset = 8196 },
		"sequence that turns back":    func(f []Frame) { f[2].FirstSeq = 8 },
		"time that turns back":        func(f []Frame) { f[2].MaxTimestamp = 6 },
	} {
		frames := slices.Clone(good)
		change(frames)
		if _, err := decodeFrames(encodeFrames(frames)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := encodeFrames(good)
	littleEndian.PutUint32(b[framesCountAt:], math.MaxUint32)
	if _, err := decodeFrames(b); !errors.Is(err, ErrShort) {
		t.Errorf("more entries than bytes: %v", err)
	}
	littleEndian.PutUint32(b[framesEntryBytesAt:], 0)
	if _, err := decodeFrames(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("entries of no bytes: %v", err)
	}
}

func TestIndexMayGrow(t *testing.T) {
	b, h := subjectsSegment(random(11), 300<<10, 4, 1000)
	x := indexOf(t, b, h)
	sections, err := splitSections(x.block[indexHeadBytes:])
	if err != nil {
		t.Fatal(err)
	}
	// Longer frame entries, an unknown section before and behind.
	old := sections[sectionFrames]
	frames := littleEndian.AppendUint32(nil, littleEndian.Uint32(old))
	frames = littleEndian.AppendUint32(frames, frameEntryBytes+8)
	for e := old[framesHeadBytes:]; len(e) > 0; e = e[frameEntryBytes:] {
		frames = append(append(frames, e[:frameEntryBytes]...), "newfield"...)
	}
	block := cloneBytes(x.block[:indexHeadBytes])
	block = appendSection(block, 77, []byte("unknown"))
	block = appendSection(block, sectionFrames, frames)
	block = appendSection(block, sectionDictionary, append(cloneBytes(sections[sectionDictionary]), "more"...))
	block = appendSection(block, 78, nil)
	grown, err := DecodeIndex(block)
	if err != nil || !slices.Equal(grown.Frames(), x.index.Frames()) {
		t.Errorf("%v", err)
	}
}

func TestIndexWithAnyByteFlippedOrTruncatedDecodesInBoundedMemory(t *testing.T) {
	for _, subjects := range []int{20, 3000} {
		b, h := subjectsSegment(random(12), 150<<10, subjects, 200)
		block := indexOf(t, b, h).block
		step := 1 + len(block)/3000
		for i := 0; i < len(block); i += step {
			useIndex(block[:i])
			for bit := range 8 {
				c := cloneBytes(block)
				c[i] ^= 1 << bit
				useIndex(c)
			}
		}
		var huge [8]byte
		for i := 0; i+8 <= len(block) && i < 4096; i++ {
			for j := range huge {
				huge[j] = 0xff
			}
			c := cloneBytes(block)
			copy(c[i:], huge[:])
			if n := testing.AllocsPerRun(1, func() { useIndex(c) }); n > float64(len(block)) {
				t.Fatalf("%v allocations", n)
			}
		}
	}
}

// useIndex decodes and asks everything: nothing may panic. It returns whether
// the bytes decode.
func useIndex(b []byte) bool {
	x, err := DecodeIndex(b)
	if err != nil {
		return false
	}
	x.SeekSeq(1002)
	x.SeekTime(1700000000000001000)
	x.Lookup("subject.7")
	x.FramesMatching(func(s []byte) bool { return len(s)%2 == 0 }, nil)
	subjects, _ := x.Subjects()
	for s := range subjects {
		for _, frame := range s.Frames {
			_ = x.Frames()[frame]
		}
	}
	if x.MemoryBytes() > 64*int64(len(b))+1024 {
		panic("index keeps too much memory")
	}
	return true
}

// The seal mark is a record of the index: alone, it has a frame to itself.
func TestTheIndexOfASegmentWithoutDataRecordsHasOneFrame(t *testing.T) {
	h := Header{LogID: 1, ID: 1, BaseSeq: 5, Salt: 9}
	file := AppendSealMark(make([]byte, HeaderBytes), h.Salt, 4, 0, 1)
	block, _ := BuildIndex(file, h, []Extent{{Offset: HeaderBytes, End: int64(len(file)), FirstSeq: 5, LastSeq: 4}})
	index, err := DecodeIndex(block)
	if err != nil {
		t.Fatal(err)
	}
	if frames := index.Frames(); len(frames) != 1 || frames[0] != (Frame{FirstSeq: 5, MaxTimestamp: math.MinInt64, Offset: HeaderBytes}) {
		t.Errorf("frames %+v", frames)
	}
}
