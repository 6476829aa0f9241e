package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/manifest"
)

// A bucket that is away for a moment, or gives a bad answer once, costs no
// record: what was found there is believed only until the object can be read.
func TestSegmentWhoseOnlyCopyWasNotFoundIsReadWhenItIsBack(t *testing.T) {
	const count = 1500
	root, opts := filepath.Join(t.TempDir(), "root"), tieredOptions(t)
	bucket := strings.TrimPrefix(opts.Bucket, "file://")
	e := openOnDisk(t, root, opts)
	l := openLogTest(t, e, smallSegments())
	appendTiered(t, l, 1, count)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCold(t, l)
	eventually(t, "the first segment is only cold", func() bool {
		return l.journal.state().Segment(1).Resident == manifest.TierSet(0).With(manifest.TierCold)
	})
	key := filepath.Join(bucket, l.folder.Name()+"+", strings.Replace(l.journal.state().Segment(1).Cold.Key, "/", "+/", 1))
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	r, err := l.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("without the object: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	wantTiered(t, readAll(t, l, ReadOptions{ToSeq: count}), 1, 1, count)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{root, opts.Bucket} {
		readOnly, err := OpenReadOnly(place)
		if err != nil {
			t.Fatal(err)
		}
		wantTiered(t, readAll(t, openLogTest(t, readOnly, LogOptions{}), ReadOptions{ToSeq: count}), 1, 1, count)
		if err := readOnly.Close(); err != nil {
			t.Fatal(err)
		}
	}
	e = openOnDisk(t, root, opts)
	l = openLogTest(t, e, smallSegments())
	wantTiered(t, readAll(t, l, ReadOptions{ToSeq: count}), 1, 1, count)
	rec := tieredRecord(count + 1)
	if _, err := l.AppendIf(&rec, Conditions{ExpectLastSubjectSeq: true, LastSubjectSeq: 0}); err == nil {
		t.Error("a condition that does not hold was accepted")
	}
}

// withClock gives a root a clock that the test turns.
func (r *tieredRoot) withClock() (forward func(time.Duration)) {
	start, offset := r.engine.opts.Now(), time.Duration(0)
	r.opts.Now = func() time.Time { return start.Add(offset) }
	return func(d time.Duration) { offset += d }
}

// stepAll lets the coordinator do what is due.
func (r *tieredRoot) stepAll() {
	for range 50 {
		if !r.engine.coordinator.step() {
			return
		}
	}
}

// The only copy is trusted again when what failed of it verifies: by a reader, or
// because the coordinator looks again.
func TestTheOnlyCopyIsTrustedAgainWhenWhatFailedVerifies(t *testing.T) {
	for _, in := range tiersNearestFirst {
		for _, p := range partsOf(t, newDamagedRoot(t, tierSet(in)), in) {
			for _, byReader := range []bool{true, false} {
				if byReader && in == manifest.TierHot {
					continue // a hot file is verified as a whole
				}
				r := newDamagedRoot(t, tierSet(in))
				forward := r.withClock()
				r.open(t)
				path := r.copyPath(in)
				whole, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for _, now := range partsOf(t, r, in) {
					if now.name == p.name {
						now.change(t, r, in)
					}
				}
				s := r.log.segmentByID(1)
				if readAll(t, r.log, ReadOptions{SkipDamaged: func(*DamageError) {}}); !s.doubt.copies().Has(in) {
					t.Fatalf("%s %s is not in doubt", in, p.name)
				}
				r.stepAll()
				if !s.doubt.copies().Has(in) || r.entry(1).Quarantined != 0 {
					t.Errorf("%s %s: in doubt %v, quarantined %v", in, p.name, s.doubt.copies(), r.entry(1).Quarantined)
				}
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
				if byReader {
					wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, damagedAll)
				} else {
					forward(time.Hour)
					r.stepAll()
					if told := r.events.of(EventSegmentVerified); len(told) != 1 || told[0].Tier != in.String() {
						t.Errorf("told %+v", told)
					}
				}
				if s.doubt.copies() != 0 {
					t.Errorf("%s %s: in doubt are %v", in, p.name, s.doubt.copies())
				}
			}
		}
	}
}

// A mark in the manifest on the only copy, as earlier versions made it, goes when
// all of the copy verifies, and the cold watermark goes on.
func TestAMarkedCopyThatVerifiesWholeCountsAgain(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		for _, in := range tiersNearestFirst {
			r := newDamagedRoot(t, tierSet(in))
			mark := manifest.Record{SegmentID: 1, Payload: &manifest.SegmentQuarantined{Tier: in, Reason: manifest.ReasonObjectMissing}}
			if err := r.log.noteMove(mark); err != nil {
				t.Fatal(err)
			}
			if report := checkPlace(t, r.dir, CheckOptions{Deep: true}); !report.OK() || !hasNote(report, FoundPending) {
				t.Errorf("%s: %v, %+v", in, report.Err(), report.Logs[0].Notes)
			}
			if damaged {
				parts := partsOf(t, r, in)
				parts[len(parts)-1].change(t, r, in)
			}
			r.open(t)
			if in == manifest.TierCold && r.log.Watermarks().Cold != 0 {
				t.Error("a marked copy counts")
			}
			r.stepAll()
			entry := r.entry(1)
			if entry.Quarantined.Has(in) != damaged || (entry.VerifiedNs[in] > 0) == damaged && in == manifest.TierCold {
				t.Errorf("damaged %v, %s: %+v", damaged, in, entry)
			}
			if damaged {
				continue
			}
			if cold := r.log.Watermarks().Cold; cold != damagedAll {
				t.Errorf("%s: cold watermark %d", in, cold)
			}
			r.close(t)
			wantHealthy(t, r.dir, CheckOptions{Deep: true})
		}
	}
}

// Damage to the only copy, a hot file, stops what would go on without its
// records: nobody waits for ever, and it goes on when the file is mended.
func TestADamagedOnlyHotFileEndsTheWaitsForCold(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierHot))
	forward := r.withClock()
	r.open(t)
	at := placedAt(t, r, 300) + 60
	changeFile(t, r.copyPath(manifest.TierHot), flipAt(at))
	if found := wantFinding(t, checkPlace(t, r.dir, CheckOptions{}), r.copyPath(manifest.TierHot), "hot"); found.Cost != CostLost || !strings.Contains(found.Reason, "only copy") {
		t.Errorf("%v", found)
	}
	waited := inBackground(func() error { return r.log.Wait(shortly(t), damagedAll, Cold) })
	r.stepAll()
	if err := ends(t, "the wait", waited); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "segment 1") {
		t.Errorf("wait for cold: %v", err)
	}
	if entry := r.entry(1); entry.Resident != tierSet(manifest.TierHot) || r.log.Watermarks().Cold != 0 {
		t.Errorf("%+v", entry)
	}
	wantLost(t, r, 300, 300)
	changeFile(t, r.copyPath(manifest.TierHot), flipAt(at))
	forward(time.Hour)
	r.stepAll()
	if err := r.log.Wait(shortly(t), damagedAll, Cold); err != nil {
		t.Errorf("wait for cold after it was mended: %v", err)
	}
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, damagedAll)
}

// Of two copies one is marked, the other found bad later: neither is lost for
// good.
func TestTheLastOfTwoBadCopiesIsNotMarked(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierWarm, manifest.TierCold))
	for _, in := range []manifest.Tier{manifest.TierWarm, manifest.TierCold} {
		if !r.log.noteBadCopy(r.log.segmentByID(1), in, ErrDamaged) {
			t.Fatal("it is not taken for bad")
		}
	}
	if entry := r.entry(1); entry.Quarantined != tierSet(manifest.TierWarm) {
		t.Errorf("quarantined are %v", entry.Quarantined)
	}
}

// A warm file goes because of the cold copy, not because there is a hot one: that
// is the next to go.
func TestAWarmCopyStaysWhenTheColdOneFallsIntoDoubt(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierHot, manifest.TierWarm, manifest.TierCold))
	if !r.log.noteBadCopy(r.log.segmentByID(1), manifest.TierCold, ErrDamaged) {
		t.Fatal("it is not taken for bad")
	}
	if err := r.log.evictWarm(t.Context(), 1); !errors.Is(err, errNotCold) {
		t.Errorf("evicted: %v", err)
	}
	if entry := r.entry(1); !entry.Resident.Has(manifest.TierWarm) {
		t.Errorf("resident are %v", entry.Resident)
	}
}
