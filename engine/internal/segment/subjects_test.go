package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestDictionaryIsExact(t *testing.T) {
	b, h := subjectsSegment(random(4), 1<<20, 60, 3000)
	x := indexOf(t, b, h)
	want := map[string]*Subject{}
	for k := range x.records {
		r := &x.records[k]
		s := want[string(r.Subject)]
		if s == nil {
			s = &Subject{Name: string(r.Subject), FirstSeq: r.Seq}
			want[s.Name] = s
		}
		s.Count++
		s.LastSeq = r.Seq
		if frame := x.frameOf(x.offsets[k]); len(s.Frames) == 0 || s.Frames[len(s.Frames)-1] != frame {
			s.Frames = append(s.Frames, frame)
		}
	}
	subjects, exact := x.index.Subjects()
	if n, ok := x.index.SubjectCount(); !exact || !ok || n != len(want) {
		t.Fatalf("%d subjects, exact %v, want %d", n, exact, len(want))
	}
	before := ""
	for s := range subjects {
		if s.Name <= before {
			t.Errorf("%q behind %q", s.Name, before)
		}
		before = s.Name
		checkSubject(t, s, want[s.Name])
		got, present, exact := x.index.Lookup(s.Name)
		if !present || !exact {
			t.Errorf("%q not found", s.Name)
		}
		checkSubject(t, got, want[s.Name])
	}
	for _, absent := range []string{"", "a", "subject", "subject.", "subject.5x", "zzz"} {
		if _, present, exact := x.index.Lookup(absent); present || !exact {
			t.Errorf("%q: present %v, exact %v", absent, present, exact)
		}
	}
	for range subjects { // an iterator may be left early
		break
	}
}

func TestFramesMatchingWithADictionary(t *testing.T) {
	b, h := subjectsSegment(random(5), 1<<20, 40, 60000)
	x := indexOf(t, b, h)
	match := func(subject []byte) bool { return strings.HasSuffix(string(subject), "7") }
	var want []int
	var literal []string
	for k := range x.records {
		if match(x.records[k].Subject) {
			want = append(want, x.frameOf(x.offsets[k]))
			literal = append(literal, string(x.records[k].Subject))
		}
	}
	want = slices.Compact(want)
	if got := x.index.FramesMatching(match, nil); !slices.Equal(got, want) {
		t.Errorf("by pattern: %v, want %v", got, want)
	}
	if got := x.index.FramesMatching(nil, literal); !slices.Equal(got, want) {
		t.Errorf("by literals: %v, want %v", got, want)
	}
	if len(want) == 0 || len(want) == len(x.index.Frames()) {
		t.Errorf("the test says nothing: %d of %d frames", len(want), len(x.index.Frames()))
	}
	if got := x.index.FramesMatching(nil, []string{"absent"}); len(got) != 0 {
		t.Errorf("absent subject: %v", got)
	}
	if got := x.index.FramesMatching(nil, nil); len(got) != len(x.index.Frames()) {
		t.Errorf("no filter: %v", got)
	}
}

func TestFiltersTakeOverWhenTheDictionaryGrowsTooLong(t *testing.T) {
	b, h := subjectsSegment(random(6), 1<<20, 100000, 100)
	x := indexOf(t, b, h)
	subjects, exact := x.index.Subjects()
	for range subjects {
		t.Fatal("filters list no subjects")
	}
	if _, ok := x.index.SubjectCount(); exact || ok {
		t.Fatal("still a dictionary")
	}
	stands := map[string][]int{}
	for k := range x.records {
		name, frame := string(x.records[k].Subject), x.frameOf(x.offsets[k])
		if n := len(stands[name]); n == 0 || stands[name][n-1] != frame {
			stands[name] = append(stands[name], frame)
		}
	}
	wrong, asked := 0, 0
	for name, frames := range stands {
		got, present, exact := x.index.Lookup(name)
		if !present || exact {
			t.Fatalf("%q: present %v, exact %v", name, present, exact)
		}
		for _, frame := range frames {
			if !slices.Contains(got.Frames, frame) {
				t.Fatalf("%q stands in frame %d, the filter denies it", name, frame)
			}
		}
		wrong += len(got.Frames) - len(frames)
		asked += len(x.index.Frames()) - len(frames)
	}
	if rate := float64(wrong) / float64(asked); rate > 0.01 {
		t.Errorf("%.2f %% of %d answers are wrong", rate*100, asked)
	}
	all := len(x.index.Frames())
	if got := x.index.FramesMatching(func([]byte) bool { return false }, nil); len(got) != all {
		t.Errorf("filters cannot answer a pattern: %d of %d frames", len(got), all)
	}
	if got := x.index.FramesMatching(nil, []string{"absent.1"}); len(got) > all/2 {
		t.Errorf("absent subject: %d of %d frames", len(got), all)
	}
}

func TestFilterIsWrongForAtMostOnePercent(t *testing.T) {
	for _, subjects := range []int{1, 2, 3, 5, 6, 7, 10, 13, 50, 100, 1000, 2341} {
		wrong, asked := 0, 0
		for round := range max(1, 200/subjects) {
			filter := make([]byte, filterBytes(subjects))
			for i := range subjects {
				addToFilter(filter, hashSubject(fmt.Appendf(nil, "in.%d.%d", round, i)))
			}
			for i := range subjects {
				if !filterHolds(filter, hashSubject(fmt.Appendf(nil, "in.%d.%d", round, i))) {
					t.Fatalf("%d subjects: one that was added is denied", subjects)
				}
			}
			for i := range 20000 / max(1, 200/subjects) {
				asked++
				if filterHolds(filter, hashSubject(fmt.Appendf(nil, "out.%d.%d", round, i))) {
					wrong++
				}
			}
		}
		if rate := float64(wrong) / float64(asked); rate > 0.0105 { // 20,000 questions leave some noise
			t.Errorf("%d subjects: %.2f %% of %d answers are wrong", subjects, rate*100, asked)
		}
	}
}

func TestFramesWithDamageAlwaysMatch(t *testing.T) {
	for _, subjects := range []int{4, 100000} { // dictionary, filters
		b, h := subjectsSegment(random(7), 1<<20, subjects, 300)
		b[600<<10] ^= 1
		x := indexOf(t, b, h)
		if len(x.extents) != 3 || !x.index.Damaged() {
			t.Fatalf("extents %+v", x.extents)
		}
		want := []int{x.frameOf(x.extents[1].Offset)}
		if got := x.index.FramesMatching(func([]byte) bool { return false }, []string{"absent"}); !slices.Equal(got, want) {
			t.Errorf("%d subjects: %v, want %v", subjects, got, want)
		}
		if x.sum.LastSeq-x.sum.FirstSeq+1 != x.sum.Count+1 {
			t.Errorf("one record is damaged: %+v", x.sum)
		}
	}
}

func TestDictionaryThatContradictsItselfIsCorrupt(t *testing.T) {
	const most = math.MaxUint64
	for name, numbers := range map[string][]uint64{
		"frame behind the last":        {5, 1, 1, 'a', 1, 0, 0, 1, 3},
		"frames that turn back":        {5, 1, 1, 'a', 1, 0, 0, 2, 2, most},
		"a frame twice":                {5, 1, 1, 'a', 1, 0, 0, 2, 2, 0},
		"no frame":                     {5, 1, 1, 'a', 1, 0, 0, 0},
		"more frames than bytes":       {5, 1, 1, 'a', 1, 0, 0, 9, 0},
		"first sequence overflows":     {5, 1, 1, 'a', 1, most, 0, 1, 0},
		"last sequence overflows":      {5, 1, 1, 'a', 1, 7, most, 1, 0},
		"name longer than the section": {5, 1, most, 'a', 1, 0, 0, 1, 0},
		"names out of order":           {5, 2, 1, 'b', 1, 0, 0, 1, 0, 1, 'a', 1, 0, 0, 1, 0},
		"a name twice":                 {5, 2, 1, 'b', 1, 0, 0, 1, 0, 1, 'b', 1, 0, 0, 1, 0},
		"more entries than bytes":      {5, most, 1, 'a', 1, 0, 0, 1, 0},
		"cut off":                      {5},
	} {
		var body []byte
		for _, v := range numbers {
			body = binary.AppendUvarint(body, v)
		}
		if _, err := decodeDictionary(body, 3); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrShort) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := decodeDictionary([]byte{5, 1, 1, 'a', 1, 0, 0, 2, 0, 2}, 3); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

func checkSubject(t *testing.T, got Subject, want *Subject) {
	t.Helper()
	if want == nil || got.Count != want.Count || got.FirstSeq != want.FirstSeq || got.LastSeq != want.LastSeq || !slices.Equal(got.Frames, want.Frames) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
