package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// overtaken makes a bucket in which an owner has put two segments, of so many
// records each behind sequence 30, after a copy of it took the log over: the puts
// were made, and then the owner learned it. The successor has sequences 31 to 90
// in its segments 2 to 4, of which only 4 is uploaded yet.
func overtaken(t *testing.T, records int) (successor *tieredRoot) {
	t.Helper()
	owner := newTieredRoot(t).stepped()
	owner.open(t)
	owner.fill(t, 1, 30)
	owner.mustDo(t, 1, planner.Compress, planner.Upload)
	successor = owner.another(t)
	successor.open(t)
	successor.fill(t, 3, 20)
	for id := uint64(2); id <= 4; id++ {
		successor.mustDo(t, id, planner.Compress)
	}
	successor.mustDo(t, 4, planner.Upload)
	for id := uint64(2); id <= 3; id++ {
		for range records {
			rec := Record{Subject: []byte("stale"), Payload: fmt.Appendf(nil, "never acknowledged as cold, %d", owner.log.appended.Load())}
			if _, err := owner.log.Append(&rec); err != nil {
				t.Fatal(err)
			}
		}
		owner.seal(t)
		owner.mustDo(t, id, planner.Compress)
		wantFenced(t, owner, owner.do(planner.Upload, id))
	}
	owner.close(t)
	return successor
}

// Where two objects of a bucket hold the same sequences, the one of the higher
// epoch is the log, and the other is told.
func TestTheHigherEpochIsTheLogWhereABucketHoldsTwo(t *testing.T) {
	for _, records := range []int{5, 15, 40} { // keys that are listed before and behind those of the successor
		t.Run(fmt.Sprint(records), func(t *testing.T) {
			successor := overtaken(t, records)
			e, err := OpenReadOnly(successor.opts.Bucket)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = e.Close() }()
			early := openLogTest(t, e, LogOptions{}) // a reader that has seen the other's objects
			successor.mustDo(t, 2, planner.Upload)
			successor.mustDo(t, 3, planner.Upload)
			successor.close(t)
			if err := e.Refresh(); err != nil {
				t.Fatal(err)
			}
			wantTiered(t, readAll(t, early, ReadOptions{}), 1, 1, 90)

			later, err := OpenReadOnly(successor.opts.Bucket)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = later.Close() }()
			wantTiered(t, readAll(t, openLogTest(t, later, LogOptions{}), ReadOptions{}), 1, 1, 90)

			report, err := Check(t.Context(), successor.opts.Bucket, CheckOptions{Deep: true})
			if err != nil || !report.OK() {
				t.Fatalf("%v, damage %v", err, report.Logs[0].Damage)
			}
			told := 0
			for _, note := range report.Logs[0].Notes {
				if strings.Contains(note.Reason, "of epoch 1") && strings.Contains(note.Reason, "of epoch 2 holds the same sequences") {
					told++
				}
			}
			if found := report.Logs[0]; told != 2 || found.FirstSeq != 1 || found.LastSeq != 90 || found.Records != 90 {
				t.Errorf("%d told, %d records from %d to %d, notes %v", told, found.Records, found.FirstSeq, found.LastSeq, found.Notes)
			}
		})
	}
}

// What disputes what, and who wins, whatever the order.
func TestSpansOfALogDoNotDispute(t *testing.T) {
	span := func(id, first, last uint64) objectSpan { return objectSpan{id, first, last} }
	for _, c := range []struct {
		a, b    objectSpan
		dispute bool
	}{
		{span(1, 1, 30), span(2, 31, 60), false},
		{span(1, 1, 30), span(2, 41, 60), false},
		{span(1, 31, 30), span(2, 31, 60), false}, // one without records
		{span(2, 31, 30), span(3, 31, 30), false},
		{span(1, 1, 30), span(2, 30, 60), true},
		{span(2, 1, 30), span(1, 31, 60), true},
		{span(2, 31, 60), span(2, 31, 50), true},
		{span(2, 31, 60), span(2, 61, 70), true},
	} {
		if c.a.disputes(c.b) != c.dispute || c.b.disputes(c.a) != c.dispute {
			t.Errorf("%v and %v: want %t", c.a, c.b, c.dispute)
		}
	}
}
