package manifest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func subjects(prefix string, count int) []string {
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprintf("%s.%d.events", prefix, i)
	}
	return list
}

func TestFewSubjectsAreSummarizedExactly(t *testing.T) {
	list := subjects("orders", 4096)
	slices.Reverse(list)
	s := NewSubjectSummary(append(slices.Clone(list), list[0]))
	if s.Kind != SummaryExact || s.Count != 4096 {
		t.Fatalf("kind %d of %d subjects", s.Kind, s.Count)
	}
	slices.Sort(list)
	got, ok := s.Subjects()
	if !ok || !slices.Equal(got, list) {
		t.Errorf("%d subjects", len(got))
	}
	for _, subject := range []string{"orders.0.events", "orders.999.events"} {
		if !s.MayContain(subject) {
			t.Errorf("%s is not there", subject)
		}
	}
	for _, subject := range []string{"", "orders", "orders.4096.events", "orders.999.events.x", "zzz"} {
		if s.MayContain(subject) {
			t.Errorf("%s is there", subject)
		}
	}
}

func TestManySubjectsAreFilteredWithFewFalsePositives(t *testing.T) {
	for _, count := range []int{4097, 100_000} {
		s := NewSubjectSummary(subjects("orders", count))
		if s.Kind != SummaryFilter || int(s.Count) != count {
			t.Fatalf("kind %d of %d subjects", s.Kind, s.Count)
		}
		for _, subject := range subjects("orders", count) {
			if !s.MayContain(subject) {
				t.Fatalf("%s is lost", subject)
			}
		}
		wrong := 0
		others := slices.Concat(subjects("other", 10_000), subjects("orders.eu", 10_000))
		for _, subject := range others {
			if s.MayContain(subject) {
				wrong++
			}
		}
		if wrong*100 > len(others) {
			t.Errorf("%d of %d subjects are taken wrongly", wrong, len(others))
		}
		if _, ok := s.Subjects(); ok {
			t.Error("a filter cannot list subjects")
		}
	}
}

func TestMoreSubjectsThanARecordHoldsAreNotSummarized(t *testing.T) {
	s := NewSubjectSummary(subjects("s", 720_000))
	if s.Kind != SummaryNone || !s.MayContain("anything") {
		t.Errorf("kind is %d", s.Kind)
	}
	if empty := NewSubjectSummary(nil); empty.Kind != SummaryExact || empty.MayContain("a") {
		t.Errorf("a segment without records: %+v", empty)
	}
}

func TestASummaryThatCannotBeMeantIsRefused(t *testing.T) {
	for name, s := range map[string]SubjectSummary{
		"prefix of nothing":  {SummaryExact, 1, []byte{1, 1, 'a'}},
		"length beyond":      {SummaryExact, 1, []byte{0, 9, 'a'}},
		"endless varint":     {SummaryExact, 1, []byte{0x80}},
		"wrong count":        {SummaryExact, 2, []byte{0, 1, 'a'}},
		"empty filter":       {SummaryFilter, 2, nil},
		"filter of odd size": {SummaryFilter, 2, []byte{1}},
	} {
		b, err := encodeStructure(nil, &CompressionDone{Subjects: s})
		must(t, err)
		if err := decodeStructure(b, &CompressionDone{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	later := SubjectSummary{Kind: 9, Count: 4, Data: []byte("?")}
	b, err := encodeStructure(nil, &CompressionDone{Subjects: later})
	must(t, err)
	var p CompressionDone
	must(t, decodeStructure(b, &p))
	if !p.Subjects.MayContain("a") {
		t.Error("a kind that is not known rules out a subject")
	}
}
