package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

func TestSeqOfLastAgreesWithAScan(t *testing.T) {
	e := openTest(t, t.TempDir())
	l := openLogTest(t, e, smallSegments())
	subjects := make([]string, 0, 2000)
	for i := range 2000 {
		subject := fmt.Sprintf("k.%d", i%7)
		if i%503 == 0 {
			subject = "rare.one"
		}
		subjects = append(subjects, subject)
		if _, err := l.Append(&Record{Subject: []byte(subject), Payload: make([]byte, 200)}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			if err := l.Wait(t.Context(), uint64(i+1), Durable); err != nil {
				t.Fatal(err)
			}
		}
	}
	if sealed := len(l.State().Segments); sealed < 3 {
		t.Fatalf("%d segments: too few to tell", sealed)
	}
	for _, filters := range [][]string{nil, {"k.3"}, {"rare.one"}, {"*.one", "k.0"}, {"k.>"}, {"none"}, {"none.>"}} {
		for _, count := range []uint64{0, 1, 2, 3, 4, 5, 17, 1999, 5000} {
			var want, found uint64
			for i := len(subjects) - 1; i >= 0 && found < count; i-- {
				if matchesAny(filters, subjects[i]) {
					want = uint64(i + 1)
					found++
				}
			}
			seq, n, err := l.SeqOfLast(t.Context(), count, filters)
			if err != nil || seq != want || n != found {
				t.Errorf("%q, %d: got %d of %d, %v; want %d of %d", filters, count, seq, n, err, want, found)
			}
		}
	}
}

func matchesAny(filters []string, subject string) bool {
	for _, filter := range filters {
		if MatchSubject([]byte(filter), []byte(subject)) {
			return true
		}
	}
	return len(filters) == 0
}

func TestSeqOfLastEndsWithItsContext(t *testing.T) {
	e := openTest(t, t.TempDir())
	l := openLogTest(t, e, smallSegments())
	appendMany(t, l, 1, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.SeqOfLast(ctx, 1, []string{"none"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Where a lost segment may hold a later record, "the last" is not the one in front
// of it without a word.
func TestSeqOfLastTellsOfALostSegment(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.opts.Bucket = ""
	r.open(t)
	for i, subject := range []string{"early", "both", "both", "late"} {
		if _, err := r.log.Append(&Record{Subject: []byte(subject)}); err != nil {
			t.Fatal(err)
		}
		if i != 1 {
			r.seal(t) // 1; 2 and 3, which get lost; 4
		}
	}
	path := r.log.segmentByID(2).path
	r.close(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	for _, c := range []struct {
		filter            string
		count, seq, found uint64
		damaged           bool
	}{
		{"late", 1, 4, 1, false},
		{"late", 2, 2, 1, true},
		{"early", 1, 1, 1, true},
		{"both", 1, 2, 0, true},
		{"none", 1, 2, 0, true},
		{"*", 2, 1, 2, true},
	} {
		seq, found, err := r.log.SeqOfLast(t.Context(), c.count, []string{c.filter})
		var damage *DamageError
		if errors.As(err, &damage) != c.damaged || err != nil && !c.damaged || seq != c.seq || found != c.found {
			t.Errorf("%s, %d: got %d of %d, %v; want %+v", c.filter, c.count, seq, found, err, c)
		}
		if c.damaged && (damage == nil || damage.FirstSeq != 2 || damage.LastSeq != 3) {
			t.Errorf("%s: the damage is %v", c.filter, damage)
		}
	}
}
