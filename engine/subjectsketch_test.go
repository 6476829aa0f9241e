package engine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// randomTokens is a subject of few different tokens, or a filter if it may have
// wildcards.
func randomTokens(random *simRandom, wildcards bool) string {
	var tokens []string
	for n := 1 + random.below(4); len(tokens) < n; {
		token := string(rune('a' + random.below(3)))
		if wildcards && random.below(3) == 0 {
			token = "*"
		}
		tokens = append(tokens, token)
	}
	if wildcards && random.below(3) == 0 {
		tokens[len(tokens)-1] = ">"
	}
	return strings.Join(tokens, ".")
}

func TestSketchDeniesNothingThatMatches(t *testing.T) {
	random := &simRandom{state: 7}
	denied := 0
	for range 300 {
		var gathered sketcher
		var subjects []string
		for range random.below(12) {
			subjects = append(subjects, randomTokens(random, false))
			gathered.add([]byte(subjects[len(subjects)-1]))
		}
		sketch := gathered.sketch()
		for range 100 {
			filter := randomTokens(random, random.below(2) == 0)
			w := newWanted([]byte(filter))
			if w.any || !sketch.lacks(w.hash) {
				continue
			}
			denied++
			for _, subject := range subjects {
				if naiveMatch(filter, subject) {
					t.Fatalf("%q is denied, there is %q", filter, subject)
				}
			}
		}
	}
	if denied < 1000 {
		t.Errorf("only %d filters are denied", denied)
	}
}

func TestSketchIsSeldomWrong(t *testing.T) {
	for _, count := range []int{1, 10, 1000, 200_000} {
		var gathered sketcher
		for n := range count {
			gathered.add(fmt.Appendf(nil, "in.%d", n))
		}
		sketch := gathered.sketch()
		if limit := int64(count+1)*4 + 64; sketch.memoryBytes() > limit {
			t.Errorf("%d subjects take %d bytes", count, sketch.memoryBytes())
		}
		wrong := 0
		const asked = 500_000
		for n := range asked {
			if !sketch.lacks(sketchHash(fmt.Appendf(nil, "out.%d", n))) {
				wrong++
			}
		}
		if wrong > asked/20_000 {
			t.Errorf("%d subjects: %d of %d answers are wrong", count, wrong, asked)
		}
	}
}

// sealManual seals what a stepped log has.
func sealManual(t *testing.T, l *Log) {
	t.Helper()
	commitManual(t, l)
	l.retireTail()
	for l.keeper.step() {
	}
}

// newManySegments has a record of another subject in each of its segments, and
// counts how often segment files are opened and mapped. What was known of them is
// forgotten.
func newManySegments(t *testing.T, segments int) (*Log, *vfs.ActiveRule) {
	t.Helper()
	disk := vfs.NewFaulty(vfs.NewMem(1))
	l := openManual(t, disk, smallSegments())
	for n := range segments {
		if _, err := l.Append(&Record{Subject: fmt.Appendf(nil, "old.%d", n), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		sealManual(t, l)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, disk.Add(vfs.Rule{Op: vfs.OpOpen | vfs.OpMap, PathPattern: "*.seg"})
}

func wantHydration(t *testing.T, l *Log, subject string) {
	t.Helper()
	var full *BackpressureError
	rec := Record{Subject: []byte("new"), Payload: []byte("x")}
	if _, err := l.AppendIf(&rec, lastOfSubject(subject, 0)); !errors.As(err, &full) || full.Kind != Hydration {
		t.Fatalf("%s: %v", subject, err)
	}
	l.moves.Wait()
}

// Whoever appends may have other logs to serve: that no segment has a subject is
// known without a look into any of them.
func TestAppendReadsNoSegmentForASubjectThatNoneHas(t *testing.T) {
	const segments = 60
	l, reads := newManySegments(t, segments)
	wantHydration(t, l, "new.0") // what one append reads is bounded
	if n := reads.Applied(); n < 2*segments || n > 3*segments {
		t.Errorf("%d opens and maps to learn of %d segments", n, segments)
	}
	create := func(first, count int) {
		t.Helper()
		before := reads.Applied()
		for n := first; n < first+count; n++ {
			rec := Record{Subject: fmt.Appendf(nil, "new.%d", n), Payload: []byte("x")}
			for _, filter := range []string{string(rec.Subject) + ".>", "none.*.x", ""} {
				if _, err := l.AppendIf(&rec, lastOfSubject(filter, 0)); err != nil {
					t.Fatalf("%q: %v", filter, err)
				}
				rec.Subject = append(rec.Subject, 'x')
			}
		}
		if n := reads.Applied() - before; n != 0 {
			t.Errorf("%d opens and maps of segment files", n)
		}
	}
	create(0, 40)
	sealManual(t, l)
	create(100, 40) // the seal has noted what is in it
	var conflict *ConflictError
	if _, err := l.AppendIf(&Record{Subject: []byte("old.3")}, lastOfSubject("", 0)); !errors.As(err, &conflict) || conflict.ActualSeq != 4 {
		t.Errorf("a subject that is there: %v", err)
	}
}

// An index with filters denies a subject, and is not read again for the next.
func TestASegmentWithoutADictionaryIsLearntOnce(t *testing.T) {
	l, reads := newManySegments(t, 40)
	for n := range 2000 {
		if _, err := l.Append(&Record{Subject: fmt.Appendf(nil, "many.%d", n), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if n%100 == 99 {
			commitManual(t, l)
		}
	}
	sealManual(t, l)
	wantHydration(t, l, "new.0")
	before := reads.Applied()
	for n := range 50 {
		if _, err := l.AppendIf(&Record{Subject: fmt.Appendf(nil, "new.%d", n)}, lastOfSubject("", 0)); err != nil {
			t.Fatal(err)
		}
	}
	if n := reads.Applied() - before; n != 0 {
		t.Errorf("%d opens and maps", n)
	}
}

// What one append reads is bounded, whatever the segments are.
func TestAppendReadsFewSegmentsForItsCondition(t *testing.T) {
	l, reads := newManySegments(t, 60)
	l.mu.Lock() // no look-up beside it
	for n := range fetchesMax {
		l.subjects.fetching[fmt.Sprint(n)] = true
	}
	l.mu.Unlock()
	for _, filter := range []string{"*.none", "new", "*.0"} {
		before := reads.Applied()
		wantHydration(t, l, filter)
		if n := reads.Applied() - before; n > 2*besideBytesMax/lookBytes {
			t.Errorf("%s: %d opens and maps", filter, n)
		}
	}
}

func TestSketchesOfTheNewestSegmentsAreKept(t *testing.T) {
	const segments, kept = 20, 7
	l, _ := newManySegments(t, segments)
	var gathered sketcher
	gathered.add([]byte("old.10"))
	l.subjects.sketchBytes = kept * gathered.sketch().memoryBytes()
	count := func() (from, n int) {
		for i, s := range *l.segments.Load() {
			if s.sketch.Load() == nil {
				continue
			}
			if n == 0 {
				from = i
			}
			n++
		}
		return from, n
	}
	wantHydration(t, l, "new.0")
	if from, n := count(); from != segments-kept || n != kept {
		t.Errorf("%d sketches from segment %d on", n, from)
	}
	if _, err := l.AppendIf(&Record{Subject: []byte("new.0")}, lastOfSubject("", 0)); err != nil {
		t.Error(err)
	}
	sealManual(t, l)
	if from, n := count(); from != segments+1-kept || n != kept {
		t.Errorf("%d sketches from segment %d on after a seal", n, from)
	}
}

// The manifest says what segments hold that are only in the bucket.
func TestAppendAsksNoBucketForASubjectThatNoObjectHas(t *testing.T) {
	r := newColdRoot(t, 3)
	l := r.open(t)
	before := requests(r.driver)
	for n, filter := range []string{"orders.none", "none.*", "orders.none.>"} {
		rec := tieredRecord(181 + n)
		if _, err := l.AppendIf(&rec, lastOfSubject(filter, 0)); err != nil {
			t.Errorf("%s: %v", filter, err)
		}
	}
	if n := requests(r.driver) - before; n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A local copy that turns out to be gone leads no append to the bucket.
func TestAppendDoesNotWaitForTheBucketWhereALocalCopyFails(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 60)
	r.mustDo(t, 1, planner.Compress, planner.Upload, planner.EvictWarm)
	l := r.open(t)
	if err := os.Remove(r.copyPath(manifest.TierHot)); err != nil {
		t.Fatal(err)
	}
	hang := r.driver.Add(buckettest.Rule{Op: buckettest.OpReads, Fault: buckettest.Hang})
	rec := tieredRecord(61)
	var full *BackpressureError
	if _, err := l.AppendIf(&rec, lastOfSubject("orders.2", 57)); !errors.As(err, &full) || full.Kind != Hydration {
		t.Fatal(err)
	}
	eventually(t, "the bucket is asked beside it", func() bool { return hang.Applied() == 1 })
	r.close(t)
}
