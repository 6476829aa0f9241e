package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// olderRoot is a root of which a copy was put aside behind sequence 30, and which has
// gone on since: segments 2 and 3, to sequence 90, are in the bucket too.
func olderRoot(t *testing.T) (r, older *tieredRoot) {
	t.Helper()
	r = newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 30)
	r.mustDo(t, 1, planner.Compress, planner.Upload)
	older = r.another(t)
	r.fill(t, 2, 30)
	r.mustDo(t, 2, planner.Compress, planner.Upload)
	r.mustDo(t, 3, planner.Compress, planner.Upload)
	return r, older
}

// wantTakenOver checks that a root has the records to sequence 90, of which so many
// segments came from the bucket, and that it goes on behind them and owns the log.
func wantTakenOver(t *testing.T, r *tieredRoot, adopted int) {
	t.Helper()
	const count = 90
	if got := r.log.State().Recovery; got.AdoptedCold != adopted || len(got.NotAdopted)+len(got.Damaged)+len(got.Quarantined) > 0 {
		t.Errorf("%+v", got)
	}
	if cold := r.log.cold.Load(); cold != count {
		t.Errorf("cold up to %d", cold)
	}
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, count)
	id := r.log.mu.nextSegmentID
	r.fill(t, 1, 30)
	r.mustDo(t, id, planner.Compress, planner.Upload)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, count+30)
	r.close(t)
	if report := checkPlace(t, r.dir, CheckOptions{Deep: true}); !report.OK() || report.Logs[0].Records != count+30 {
		t.Errorf("%d records, damage %v", report.Logs[0].Records, report.Logs[0].Damage)
	}
	e, err := OpenReadOnly(r.opts.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	wantTiered(t, readAll(t, openLogTest(t, e, LogOptions{}), ReadOptions{}), 1, 1, count+30)
}

// A root that was restored from an older copy goes on behind what its bucket has.
func TestARestoredRootGoesOnBehindItsBucket(t *testing.T) {
	r, older := olderRoot(t)
	older.open(t)
	wantTakenOver(t, older, 2)
	r.fill(t, 1, 30)
	r.mustDo(t, 4, planner.Compress)
	wantFenced(t, r, r.do(planner.Upload, 4))
	if records := readAll(t, r.log, ReadOptions{}); len(records) != 120 {
		t.Errorf("the root that was overtaken reads %d records", len(records))
	}
	older.open(t)
	before := requests(older.driver)
	older.open(t)
	if n := requests(older.driver) - before; n != 0 {
		t.Errorf("%d requests at an ordinary open", n)
	}
}

// A copy of a running root takes the segment that it was copied in from the bucket,
// whether it was opened in between or not.
func TestACopyInTheMiddleOfASegmentTakesTheWholeOne(t *testing.T) {
	for _, closed := range []bool{false, true} {
		r := newTieredRoot(t).stepped()
		r.open(t)
		r.fill(t, 1, 30)
		r.mustDo(t, 1, planner.Compress, planner.Upload)
		for n := 31; n <= 40; n++ {
			appendTieredManual(t, r.log, n)
		}
		if closed {
			r.close(t)
		}
		older := r.another(t)
		if closed {
			r.open(t)
		}
		for n := 41; n <= 60; n++ {
			appendTieredManual(t, r.log, n)
		}
		r.seal(t)
		r.fill(t, 1, 30)
		r.mustDo(t, 2, planner.Compress, planner.Upload)
		r.mustDo(t, 3, planner.Compress, planner.Upload)
		if closed { // a later claim than the copy has
			older.open(t)
			if older.log.appended.Load() != 40 || older.log.recovery.AdoptedCold != 0 {
				t.Errorf("%d records, %+v", older.log.appended.Load(), older.log.recovery)
			}
			older.fill(t, 1, 30)
			older.mustDo(t, 2, planner.Compress)
			wantFenced(t, older, older.do(planner.Upload, 2))
			continue
		}
		older.open(t)
		if hot := older.entry(2).Resident; hot != tierSet(manifest.TierCold) {
			t.Errorf("segment 2 is in %s", hot)
		}
		wantTakenOver(t, older, 2)
	}
}

// appendToFile writes a record behind those of a segment file that nobody has open.
func appendToFile(t *testing.T, path string, rec *segment.Record) {
	t.Helper()
	changeFile(t, path, func(contents []byte) []byte {
		header, err := segment.DecodeHeader(contents)
		if err != nil {
			t.Fatal(err)
		}
		scan := segment.Scan(contents, header, segment.Known{})
		rec.Seq = scan.LastSeq + 1
		copy(contents[scan.RecordsEnd:], segment.AppendRecord(nil, header.Salt, rec))
		return contents
	})
}

// Records that only this root has keep it from taking anything: both histories stay
// where they are.
func TestATailThatWentItsOwnWayIsNotTakenOver(t *testing.T) {
	for name, copied := range map[string]int{"other records": 40, "more records": 60} {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 1, planner.Compress, planner.Upload)
			older := r
			for n := 31; n <= 60; n++ {
				appendTieredManual(t, r.log, n)
				if n == copied {
					older = r.another(t)
				}
			}
			r.seal(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 2, planner.Compress, planner.Upload)
			r.mustDo(t, 3, planner.Compress, planner.Upload)
			files, err := filepath.Glob(filepath.Join(newLogLayout(older.dir, "orders").segments, "*.seg"))
			if err != nil || len(files) != 2 {
				t.Fatal(files, err)
			}
			appendToFile(t, files[1], &segment.Record{Subject: []byte("stale"), Payload: []byte("appended to a copy")})
			older.open(t)
			if older.log.appended.Load() != uint64(copied)+1 || older.log.recovery.AdoptedCold != 0 {
				t.Errorf("%d records, %+v", older.log.appended.Load(), older.log.recovery)
			}
			older.mustDo(t, 2, planner.Compress)
			wantDiverged(t, older, older.do(planner.Upload, 2), "_31-60_g0.zst of epoch 1")
			records := readAll(t, older.log, ReadOptions{})
			if len(records) != copied+1 || string(records[copied].Subject) != "stale" {
				t.Errorf("%d records", len(records))
			}
			wantClaimsDense(t, r, 1, 1)
		})
	}
}

// An older state in its own place learns at its first claim that the bucket goes on.
// It gives out no sequence then, and takes over when it is opened again.
func TestARootThatEndsBeforeItsBucketGivesOutNoSequence(t *testing.T) {
	for _, appends := range []bool{false, true} {
		r := newTieredRoot(t).stepped()
		r.open(t)
		r.fill(t, 2, 30)
		r.mustDo(t, 1, planner.Compress, planner.Upload)
		older := r.another(t)
		older.opts.Owner = r.engine.place()
		r.mustDo(t, 2, planner.Compress, planner.Upload)
		r.fill(t, 1, 30)
		r.mustDo(t, 3, planner.Compress, planner.Upload)
		older.open(t)
		if n := requests(older.driver); n != 0 {
			t.Errorf("%d requests at an ordinary open", n)
		}
		older.mustDo(t, 2, planner.Compress)
		if appends {
			appendTieredManual(t, older.log, 61)
			wantDiverged(t, older, older.do(planner.Upload, 2), "_61-90_g0.zst of epoch 1")
			appendTieredManual(t, older.log, 62)
			wantClaimsDense(t, r, 1, 1)
			continue
		}
		err := older.do(planner.Upload, 2)
		if !errors.Is(err, ErrUploadsStopped) || !errors.Is(err, errRecordsBehind) || len(older.events.of(EventLogUploadsStopped)) != 1 {
			t.Fatalf("got %v", err)
		}
		rec := tieredRecord(61)
		if _, err := older.log.Append(&rec); !errors.Is(err, ErrNextSeqUnknown) || !errors.Is(older.log.State().AppendStop, ErrNextSeqUnknown) {
			t.Errorf("append: %v", err)
		}
		wantTiered(t, readAll(t, older.log, ReadOptions{}), 1, 1, 60)
		wantClaimsDense(t, r, 1, 1)
		older.open(t)
		if older.log.appended.Load() != 90 {
			t.Errorf("%d records", older.log.appended.Load())
		}
		older.mustDo(t, 2, planner.Upload)
		wantTakenOver(t, older, 1)
	}
}

// While the bucket does not answer a root that was moved opens as it is, and looks
// when it is opened again.
func TestAMovedRootOpensWithoutItsBucket(t *testing.T) {
	_, older := olderRoot(t)
	older.driver.Add(buckettest.Rule{Op: buckettest.OpReads, Err: buckettest.ErrTimeout})
	older.open(t)
	if older.log.appended.Load() != 30 {
		t.Errorf("%d records", older.log.appended.Load())
	}
	older.driver.Clear()
	older.open(t)
	wantTakenOver(t, older, 2)
}

// An object in the middle that is lost, or does not open, ends what is taken over.
func TestOnlyWhatContinuesTheLogIsTakenOver(t *testing.T) {
	for name, harm := range map[string]func(*testing.T, string){
		"lost": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"damaged": func(t *testing.T, path string) { changeFile(t, path, func(b []byte) []byte { return b[:len(b)/2] }) },
	} {
		t.Run(name, func(t *testing.T) {
			r, older := olderRoot(t)
			harm(t, r.objectPath(2))
			older.open(t)
			if older.log.appended.Load() != 30 || older.log.recovery.AdoptedCold != 0 {
				t.Errorf("%d records, %+v", older.log.appended.Load(), older.log.recovery)
			}
		})
	}
}

// What an owner put that this root had overtaken is not taken over: it was never
// counted.
func TestALateObjectIsNotTakenOver(t *testing.T) {
	owner, successor := overtakenAtAKey(t)
	successor.mustDo(t, 2, planner.Upload)
	owner.appendStale(t, 30)
	owner.seal(t)
	owner.appendStale(t, 10)
	owner.seal(t)
	owner.mustDo(t, 4, planner.Compress)
	wantFenced(t, owner, owner.do(planner.Upload, 4)) // 91 to 100
	copied := successor.another(t)
	copied.open(t)
	if copied.log.appended.Load() != 90 || copied.log.recovery.AdoptedCold != 0 {
		t.Errorf("%d records, %+v", copied.log.appended.Load(), copied.log.recovery)
	}
	wantTakenOver(t, copied, 0)
}

// A root whose log has another owner by now takes nothing over.
func TestAnOvertakenRootTakesNothingOver(t *testing.T) {
	r, older := olderRoot(t)
	if err := r.log.folder.Claim(t.Context(), 2, bucket.Owner{Name: "other", Token: "other"}); err != nil {
		t.Fatal(err)
	}
	older.open(t)
	if older.log.appended.Load() != 30 {
		t.Errorf("%d records", older.log.appended.Load())
	}
	older.fill(t, 1, 30)
	older.mustDo(t, 2, planner.Compress)
	wantFenced(t, older, older.do(planner.Upload, 2))
}
