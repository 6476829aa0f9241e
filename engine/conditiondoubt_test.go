package engine

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// What a condition asks about may have stood where bytes are damaged or gone: then
// it is refused with that damage. "There is no such record" is not said on doubt.

// wantDoubt appends with a condition until it is not refused for the bucket.
func wantDoubt(t *testing.T, l *Log, c Conditions) {
	t.Helper()
	rec := Record{Subject: []byte("orders.x"), Payload: []byte("x")}
	for {
		seq, err := l.AppendIf(&rec, c)
		var full *BackpressureError
		if errors.As(err, &full) && full.Kind == Hydration {
			l.moves.Wait()
			continue
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %d, %v", c, seq, err)
		}
		return
	}
}

func noneOf(subject string) Conditions {
	return Conditions{ExpectLastSubjectSeq: true, LastSubjectFilter: []byte(subject)}
}

func TestConditionsAreRefusedWhereALostSegmentCouldDecide(t *testing.T) {
	for _, in := range tiersNearestFirst {
		r := newDamagedRoot(t, tierSet(in))
		rec := Record{Subject: []byte("late"), Payload: []byte("in the segment behind")}
		if _, err := r.log.Append(&rec); err != nil {
			t.Fatal(err)
		}
		r.seal(t)
		path := r.copyPath(in)
		r.close(t)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		r.open(t)
		wantDoubt(t, r.log, noneOf("orders.*.x"))
		if r.log.segmentByID(1).lost != "" {
			wantDoubt(t, r.log, noneOf("never"))
			wantDoubt(t, r.log, noneOf("nev.*"))
		} else if _, err := r.log.AppendIf(&Record{Subject: []byte("other")}, noneOf("nev.*")); err != nil {
			t.Errorf("%s: the manifest says which subjects it has: %v", in, err)
		}
		var conflict *ConflictError
		if _, err := r.log.AppendIf(&rec, noneOf("late")); !errors.As(err, &conflict) || conflict.ActualSeq != damagedAll+1 {
			t.Errorf("%s: a subject of a later segment: %v", in, err)
		}
		r.close(t)
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		r.open(t)
		for {
			_, err := r.log.AppendIf(&rec, noneOf("never"))
			if errors.Is(err, ErrBackpressure) {
				r.log.moves.Wait()
				continue
			}
			if err != nil {
				t.Errorf("%s: when it is back: %v", in, err)
			}
			break
		}
	}
}

// A damaged record of a segment that was not sealed, found when the log is opened.
func TestConditionsAreRefusedWhereADamagedRecordCouldDecide(t *testing.T) {
	for _, name := range []string{"unsealed", "sealed with damage", "compressed with damage"} {
		r := newTieredRoot(t).stepped()
		now := time.Now()
		r.opts.Now = func() time.Time { return now }
		r.open(t)
		for n := range 9 {
			headers, err := EncodeHeaders(map[string][]string{"Nats-Msg-Id": {string(rune('a' + n))}})
			if err != nil {
				t.Fatal(err)
			}
			rec := Record{Subject: []byte("orders." + string(rune('0'+n))), Headers: headers, Payload: payloadOf(n)}
			if _, err := r.log.AppendIf(&rec, Conditions{MsgID: []byte{byte('a' + n)}}); err != nil {
				t.Fatal(err)
			}
		}
		commitManual(t, r.log)
		at := placedAt(t, r, 5) + 60
		path := (*r.log.segments.Load())[0].path
		r.close(t)
		changeFile(t, path, flipAt(at))
		r.open(t)
		if name != "unsealed" {
			r.seal(t)
			r.open(t)
		}
		if name == "compressed with damage" {
			r.mustDo(t, 1, planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
			r.open(t)
		}
		for range 2 { // what the first look keeps in memory is no answer to the second
			wantDoubt(t, r.log, noneOf("orders.4"))
		}
		wantDoubt(t, r.log, noneOf("orders.1"))
		wantDoubt(t, r.log, noneOf("orders.*.x"))
		wantDoubt(t, r.log, Conditions{MsgID: []byte("e")})
		rec := Record{Subject: []byte("orders.6"), Payload: []byte("x")}
		var conflict *ConflictError
		_, err := r.log.AppendIf(&rec, noneOf("orders.6"))
		for errors.Is(err, ErrBackpressure) {
			r.log.moves.Wait()
			_, err = r.log.AppendIf(&rec, noneOf("orders.6"))
		}
		if !errors.As(err, &conflict) || conflict.ActualSeq != 7 {
			t.Errorf("%s: a record behind the damage: %v", name, err)
		}
		if seq, err := r.log.AppendIf(&rec, Conditions{MsgID: []byte("b")}); !errors.Is(err, ErrDuplicate) || seq != 2 {
			t.Errorf("%s: a duplicate that is known: %d, %v", name, seq, err)
		}
		if _, err := r.log.AppendIf(&rec, Conditions{ExpectLastMsgID: true, LastMsgID: []byte("i")}); err != nil {
			t.Errorf("%s: the last id: %v", name, err)
		}
		now = now.Add(time.Hour) // the window has passed
		if _, err := r.log.AppendIf(&rec, Conditions{MsgID: []byte("e")}); err != nil {
			t.Errorf("%s: behind the window: %v", name, err)
		}
	}
}

// The id of the last record is not known if that record is damaged.
func TestTheLastMessageIDIsRefusedWhereTheLastRecordIsDamaged(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierHot))
	at := placedAt(t, r, damagedAll) + 60
	path := r.log.paths.hotFile(r.entry(2))
	r.close(t)
	changeFile(t, path, flipAt(at))
	r.open(t)
	wantDoubt(t, r.log, Conditions{ExpectLastMsgID: true})
	appendTieredManual(t, r.log, damagedAll+1)
	if _, err := r.log.AppendIf(&Record{Payload: []byte("x")}, Conditions{ExpectLastMsgID: true}); err != nil {
		t.Errorf("behind a record without an id: %v", err)
	}
}

func appendTieredManual(t *testing.T, l *Log, n int) {
	t.Helper()
	rec := tieredRecord(n)
	if seq, err := l.Append(&rec); err != nil || seq != uint64(n) {
		t.Fatalf("append %d: %d, %v", n, seq, err)
	}
	commitManual(t, l)
}
