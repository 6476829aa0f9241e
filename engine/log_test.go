package engine

import (
	"fmt"
	"testing"
)

func TestRecordsSurviveACleanReopen(t *testing.T) {
	dir := t.TempDir()
	const rounds, each = 4, 200
	for round := range rounds {
		e := openTest(t, dir)
		l := openLogTest(t, e, LogOptions{})
		wantRecords(t, readAll(t, l, ReadOptions{}), 1, round*each)
		if l.recovery.Eventful() {
			t.Fatalf("a clean close needed recovery: %+v", l.recovery)
		}
		appendMany(t, l, round*each+1, each)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	e := openTest(t, dir)
	l := openLogTest(t, e, LogOptions{})
	if n := len(l.State().Segments); n != 1 {
		t.Fatalf("%d segments, want the one that each owner continued", n)
	}
	if epoch := l.State().Epoch; epoch != rounds {
		t.Fatalf("epoch %d after %d owners", epoch, rounds)
	}
}

func TestSegmentsRollOverAndSeal(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	l := openLogTest(t, e, LogOptions{SegmentBytesMin: 64 << 10, SegmentBytesMax: 128 << 10})
	const count = 6000
	appendMany(t, l, 1, count)
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, count)
	if n := len(l.State().Segments); n < 5 {
		t.Fatalf("%d segments, want several", n)
	}
	for _, from := range []int{1, 2, 999, 1000, 3456, count} {
		wantRecords(t, readAll(t, l, ReadOptions{FromSeq: uint64(from)}), from, count-from+1)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openTest(t, dir)
	l = openLogTest(t, e, LogOptions{SegmentBytesMin: 64 << 10, SegmentBytesMax: 128 << 10})
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, count)
	appendMany(t, l, count+1, 10)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	segments := l.State().Segments
	if last := segments[len(segments)-1]; !last.Sealed || last.LastSeq != count+10 {
		t.Fatalf("sealed by command: %+v", last)
	}
	appendMany(t, l, count+11, 10)
	wantRecords(t, readAll(t, l, ReadOptions{FromSeq: count}), count, 21)
	readOnly, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := readOnly.OpenLog("orders", LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	records := readAll(t, seen, ReadOptions{})
	if len(records) < count+10 || len(records) > count+20 {
		t.Fatalf("the read-only open sees %d records", len(records))
	}
	wantRecords(t, records, 1, len(records))
	if err := readOnly.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentAppendersGetDenseSequences(t *testing.T) {
	e := openTest(t, t.TempDir())
	l := openLogTest(t, e, LogOptions{SegmentBytesMin: 64 << 10, SegmentBytesMax: 1 << 20})
	const writers, each = 16, 300
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := range each {
				rec := Record{Payload: []byte(fmt.Sprintf("%d/%d", w, i))}
				if _, err := l.AppendSync(t.Context(), &rec); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	next := make([]int, writers)
	records := readAll(t, l, ReadOptions{})
	if len(records) != writers*each {
		t.Fatalf("%d records", len(records))
	}
	for i, rec := range records {
		var w, n int
		if _, err := fmt.Sscanf(string(rec.Payload), "%d/%d", &w, &n); err != nil {
			t.Fatal(err)
		}
		if rec.Seq != uint64(i+1) || n != next[w] {
			t.Fatalf("record %d has sequence %d; writer %d: %d, want %d", i, rec.Seq, w, n, next[w])
		}
		next[w]++
	}
}
