package engine

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// newColdRoot has segments of 60 records each that are only in the bucket.
func newColdRoot(t *testing.T, segments int) *tieredRoot {
	t.Helper()
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, segments, 60)
	for id := range segments {
		r.mustDo(t, uint64(id+1), planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
	}
	return r
}

// isHydration reports whether an append was refused while something is looked up.
func isHydration(err error) bool {
	var full *BackpressureError
	return errors.As(err, &full) && full.Kind == Hydration
}

func lastOfSubject(subject string, last uint64) Conditions {
	return Conditions{ExpectLastSubjectSeq: true, LastSubjectSeq: last, LastSubjectFilter: []byte(subject)}
}

// An append whose condition only the bucket can judge is refused at once, while
// the answer is fetched beside it; other appends go on.
func TestAppendDoesNotWaitForTheBucketToKnowASubject(t *testing.T) {
	r := newColdRoot(t, 2)
	l := r.open(t)
	hang := r.driver.Add(buckettest.Rule{Op: buckettest.OpReads, Fault: buckettest.Hang})
	rec := tieredRecord(121)
	for _, filter := range []string{"orders.2", "orders.2", "orders.3", "*.4"} {
		_, err := l.AppendIf(&rec, lastOfSubject(filter, 117))
		var full *BackpressureError
		if !errors.As(err, &full) || full.Kind != Hydration || full.RetryAfter <= 0 {
			t.Fatalf("%s: %v", filter, err)
		}
	}
	if _, err := l.Append(&rec); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bucket is asked, once a filter", func() bool { return hang.Applied() == 3 })
	r.close(t) // it ends with the log
	r.driver.Clear()

	l = r.open(t)
	var conflict *ConflictError
	for filter, want := range map[string]uint64{"orders.2": 117, "orders.3": 118, "*.4": 119, "orders.none": 0, "none.>": 0} {
		if want != 0 && filter != "*.4" && filter[7] == tieredRecord(121).Subject[7] {
			t.Fatal("the record in between has this subject")
		}
		var err error
		eventually(t, "the answer is there", func() bool {
			_, err = l.AppendIf(&rec, lastOfSubject(filter, want+1))
			return !errors.Is(err, ErrBackpressure)
		})
		if !errors.As(err, &conflict) || conflict.ActualSeq != want {
			t.Errorf("%s: %v", filter, err)
		}
	}
	seq, err := l.AppendIf(&rec, lastOfSubject("orders.2", 117))
	if err != nil {
		t.Fatal(err)
	}
	// What was appended since counts, whatever was fetched before.
	if _, err := l.AppendIf(&rec, lastOfSubject(string(rec.Subject), seq-1)); !errors.As(err, &conflict) || conflict.ActualSeq != seq {
		t.Errorf("got %v, the last is %d", err, seq)
	}
}

func TestAppendDoesNotWaitForTheBucketToKnowTheLastID(t *testing.T) {
	r := newColdRoot(t, 1)
	before := requests(r.driver)
	l := r.open(t)
	if n := requests(r.driver) - before; n != 0 {
		t.Errorf("opening a log that is only cold made %d requests", n)
	}
	rec := tieredRecord(61)
	expected := Conditions{ExpectLastMsgID: true, LastMsgID: []byte("other")}
	if _, err := l.AppendIf(&rec, expected); !errors.Is(err, ErrBackpressure) {
		t.Fatal(err)
	}
	var err error
	eventually(t, "it is known", func() bool {
		_, err = l.AppendIf(&rec, expected)
		return !errors.Is(err, ErrBackpressure)
	})
	var conflict *ConflictError
	if !errors.As(err, &conflict) || conflict.Kind != ConflictLastMsgID || conflict.ActualMsgID != "" {
		t.Errorf("got %v", err)
	}
}

func TestLookUpsInTheBucketAreBounded(t *testing.T) {
	r := newColdRoot(t, 1)
	l := r.open(t)
	r.driver.Add(buckettest.Rule{Op: buckettest.OpReads, Fault: buckettest.Hang})
	rec := tieredRecord(61)
	for n := range 10 * fetchesMax {
		_, err := l.AppendIf(&rec, lastOfSubject("*."+string(rune('a'+n)), 0))
		if !errors.Is(err, ErrBackpressure) {
			t.Fatal(err)
		}
	}
	l.mu.Lock()
	fetching := len(l.subjects.fetching)
	l.mu.Unlock()
	if fetching != fetchesMax {
		t.Errorf("%d look-ups at a time", fetching)
	}
}

// fillWithIDs appends records with message ids that the window covers and moves
// them to the bucket alone. It returns the ids by sequence.
func (r *tieredRoot) fillWithIDs(t *testing.T, count int) map[uint64]string {
	t.Helper()
	l := r.open(t)
	ids := make(map[uint64]string)
	for n := 1; n <= count; n++ {
		rec := tieredRecord(n)
		rec.Timestamp = 0 // now: inside the window
		id := string(rune('A'+n)) + "-id"
		headers, err := EncodeHeaders(map[string][]string{"Nats-Msg-Id": {id}})
		if err != nil {
			t.Fatal(err)
		}
		rec.Headers = headers
		seq, err := l.AppendIf(&rec, Conditions{MsgID: []byte(id)})
		if err != nil {
			t.Fatal(err)
		}
		ids[seq] = id
	}
	r.seal(t)
	r.mustDo(t, 1, planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
	return ids
}

// The ids of records that are only in the bucket are remembered after a reopen.
func TestDedupWindowIsRebuiltFromColdSegments(t *testing.T) {
	r := newTieredRoot(t).stepped()
	ids := r.fillWithIDs(t, 40)
	l := r.open(t)
	for seq, id := range ids {
		rec := tieredRecord(int(seq))
		if got, err := l.AppendIf(&rec, Conditions{MsgID: []byte(id)}); !errors.Is(err, ErrDuplicate) || got != seq {
			t.Errorf("id of %d: %d, %v", seq, got, err)
		}
	}
}

// A bucket that hangs holds an open up for openTimeout and no longer. Whether an id
// is a duplicate is not known then: who has one is refused until the bucket is back.
func TestAnOpenWaitsForTheIDsOfTheDedupWindowOnlySoLong(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.fillWithIDs(t, 5)
	r.close(t)
	r.driver.Add(buckettest.Rule{Op: buckettest.OpReads, Fault: buckettest.Hang})
	// Nothing is compressed or decompressed in here: pooled encoders and decoders
	// that are made in a bubble cannot be used outside.
	synctest.Test(t, func(t *testing.T) {
		e := openOnDisk(t, r.dir, r.opts)
		began := time.Now()
		l, err := e.OpenLog("orders", smallSegments())
		if took := time.Since(began); err != nil || took != openTimeout {
			t.Fatalf("opened after %s: %v", took, err)
		}
		rec := tieredRecord(3)
		if _, err := l.AppendIf(&rec, Conditions{MsgID: []byte("D-id")}); !isHydration(err) {
			t.Errorf("a record with an id: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	r.driver.Clear()
	l := r.open(t)
	rec := tieredRecord(3)
	if seq, err := l.AppendIf(&rec, Conditions{MsgID: []byte("D-id")}); !errors.Is(err, ErrDuplicate) || seq != 3 {
		t.Errorf("the id of 3: %d, %v", seq, err)
	}
}

// A log whose dedup window only the bucket has opens while that is away, and takes
// what has no id. What has one is decided once the bucket is back, by all ids.
func TestALogOpensWithoutTheIDsThatABucketHasWhichIsAway(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.fillWithIDs(t, 5)
	r.close(t)
	r.driver.Add(buckettest.Rule{Op: buckettest.OpReads})
	l := r.open(t)
	appended := l.appended.Load()
	plain := tieredRecord(100)
	if _, err := l.Append(&plain); err != nil {
		t.Errorf("a record without an id: %v", err)
	}
	known, fresh := tieredRecord(3), tieredRecord(101)
	for _, rec := range []*Record{&known, &fresh} {
		if _, err := l.AppendIf(rec, Conditions{MsgID: []byte("D-id")}); !isHydration(err) {
			t.Errorf("a record with an id: %v", err)
		}
	}
	r.driver.Clear()
	for {
		seq, err := l.AppendIf(&known, Conditions{MsgID: []byte("D-id")})
		if isHydration(err) {
			l.moves.Wait() // it is being looked up
			continue
		}
		if !errors.Is(err, ErrDuplicate) || seq != 3 {
			t.Errorf("the id of 3: %d, %v", seq, err)
		}
		break
	}
	if seq, err := l.AppendIf(&fresh, Conditions{MsgID: []byte("new")}); err != nil || seq != appended+2 {
		t.Errorf("a new id: %d, %v", seq, err)
	}
}

// Where indexes do not know a subject, segments are read: an append does not wait
// for many of them. Whoever has appended may have other logs to serve.
func TestAppendDoesNotReadManySegmentsForItsCondition(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), smallSegments())
	l.subjects.besideBytes = 0
	const count = 5000 // subjects: more than an index names in 2 % of its segment
	for n := range count {
		if _, err := l.AppendSync(shortly(t), &Record{Subject: fmt.Appendf(nil, "subject.%d", n), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Seal(shortly(t)); err != nil {
		t.Fatal(err)
	}
	rec := Record{Subject: []byte("more"), Payload: []byte("x")}
	for _, ask := range []struct {
		filter string
		want   uint64
	}{{"none.*", 0}, {"*.7", 8}, {"subject.9", 10}} {
		filter, want := ask.filter, ask.want
		_, err := l.AppendIf(&rec, lastOfSubject(filter, want+1))
		var full *BackpressureError
		if !errors.As(err, &full) || full.Kind != Hydration || full.RetryAfter <= 0 {
			t.Errorf("%s: %v, want a refusal at once", filter, err)
		}
		if _, err := l.Append(&rec); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the answer is there", func() bool {
			_, err = l.AppendIf(&rec, lastOfSubject(filter, want+1))
			return !errors.Is(err, ErrBackpressure)
		})
		var conflict *ConflictError
		if !errors.As(err, &conflict) || conflict.ActualSeq != want {
			t.Errorf("%s: %v, want the last to be %d", filter, err, want)
		}
		if _, err := l.AppendIf(&rec, lastOfSubject(filter, want)); err != nil {
			t.Errorf("%s: %v", filter, err)
		}
	}
}
