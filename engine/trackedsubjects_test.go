package engine

import "testing"

// The tracked subjects are compared with a list of all appends.
func TestTrackedSubjectsAgreeWithAList(t *testing.T) {
	random := &simRandom{state: 3}
	for range 200 {
		tracked, first := newTrackedSubjects(), 1+random.below(20)
		subjects := []string{""}
		for range random.below(60) {
			subjects = append(subjects, randomTokens(random, false))
		}
		for seq := first; seq < len(subjects); seq++ {
			tracked.note([]byte(subjects[seq]), uint64(seq))
		}
		oldest := random.below(first)
		for seq := min(first, len(subjects)) - 1; seq > oldest; seq-- {
			tracked.noteOld([]byte(subjects[seq]), uint64(seq))
		}
		dropped := random.below(len(subjects) + 1)
		tracked.dropUpTo(uint64(dropped))
		after := max(oldest, dropped)
		for range 50 {
			filter := randomTokens(random, random.below(2) == 0)
			want := after
			for seq := after + 1; seq < len(subjects); seq++ {
				if naiveMatch(filter, subjects[seq]) {
					want = seq
				}
			}
			var last uint64
			if isLiteral([]byte(filter)) {
				last = tracked.last([]byte(filter))
			} else {
				last, _ = tracked.lastMatching([]byte(filter), uint64(after))
			}
			if max(last, uint64(after)) != uint64(want) {
				t.Fatalf("%q above %d: %d, want %d of %q", filter, after, last, want, subjects)
			}
		}
		if tracked.len() == 0 && len(tracked.begins) != 0 {
			t.Fatalf("%d beginnings of nothing", len(tracked.begins))
		}
	}
}

// A filter that matches nothing costs a look at what was appended since it was
// asked for last.
func TestAFilterThatMatchesNothingIsRemembered(t *testing.T) {
	l, _ := newManySegments(t, 1)
	rec := Record{Payload: []byte("x")}
	ask := func() int {
		t.Helper()
		if _, err := l.AppendIf(&Record{Subject: []byte("a.end"), Payload: []byte("x")}, lastOfSubject("*.none", 0)); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		history := l.subjects.fetched["*.none"]
		_, looked := l.subjects.recent.lastMatching([]byte("*.none"), max(history.last, history.upTo))
		return looked
	}
	ask()
	for n := range 3 * looksRemembered {
		rec.Subject = append(rec.Subject[:0], "a."...)
		rec.Subject = append(rec.Subject, byte('a'+n%26), byte('a'+n/26))
		if _, err := l.Append(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if looked := ask(); looked != 1 {
		t.Errorf("%d subjects are looked at again", looked)
	}
	if _, err := l.Append(&Record{Subject: []byte("a.none"), Payload: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	last := l.appended.Load()
	if _, err := l.AppendIf(&rec, lastOfSubject("*.none", last)); err != nil {
		t.Errorf("it matches now: %v", err)
	}
}
