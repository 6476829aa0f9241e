package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// Damage to the manifest costs no copy: what it said of segments is found again in
// their footers, on the disk and in the bucket.

const (
	adoptEach  = 20
	adoptCount = 8*adoptEach + 5
)

// newLosableRoot has segments in every stage, and a manifest of several chunks: it
// is killed and opened again in between. At the end it is closed, or killed.
func newLosableRoot(t *testing.T, closed bool) *tieredRoot {
	t.Helper()
	r := newTieredRoot(t).stepped()
	r.opts.HotBytesMax, r.opts.WarmBytesMax = 64*mib, 64*mib
	r.open(t)
	c, u, h, w := planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm
	for i, moves := range [][]planner.Kind{{c, u, h, w}, {c, u, h}, {c, u}, {c, u, w}, {c}, {c, h}, {}, {c, u, h, w}} {
		r.fill(t, 1, adoptEach)
		r.mustDo(t, uint64(i+1), moves...)
		if i == 2 || i == 5 {
			r = r.killed(t)
		}
	}
	for n := 8*adoptEach + 1; n <= adoptCount; n++ {
		appendTieredManual(t, r.log, n)
	}
	if !closed {
		r = r.killed(t)
	}
	r.close(t)
	return r
}

// killed is a copy of the root as a kill would leave it, opened.
func (r *tieredRoot) killed(t *testing.T) *tieredRoot {
	t.Helper()
	left := r.another(t)
	left.opts.Owner = r.engine.place() // nobody has moved it
	// What the root that is left behind does to end touches no bucket.
	r.close(t)
	left.open(t)
	return left
}

// goodCopies are the copies that count, by segment.
func goodCopies(l *Log) map[uint64]string {
	copies := make(map[uint64]string)
	for entry := range l.journal.state().Segments() {
		copies[entry.ID] = fmt.Sprintf("%s sealed %t, sequences %d to %d", trusted(l.segmentByID(entry.ID), entry), entry.Sealed, entry.BaseSeq, entry.LastSeq)
	}
	return copies
}

// wantNothingLost opens a root whose manifest was damaged and compares it with what
// it was.
func wantNothingLost(t *testing.T, r *tieredRoot, want map[uint64]string) {
	t.Helper()
	l := r.open(t)
	report := l.State().Recovery
	if len(report.Damaged)+len(report.Quarantined)+len(report.NotAdopted) > 0 || report.BucketUnread != nil {
		t.Errorf("damaged %v, quarantined %v, not adopted %v, bucket unread %v", report.Damaged, report.Quarantined, report.NotAdopted, report.BucketUnread)
	}
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, adoptCount)
	got := goodCopies(l)
	for id, copies := range want {
		if before, _, _ := strings.Cut(got[id], " sealed"); id < 9 && got[id] != copies {
			t.Errorf("segment %d: copies %q, they were %q", id, got[id], copies)
		} else if before == "none" {
			t.Errorf("segment %d has no copy", id)
		}
	}
	appendTieredManual(t, l, adoptCount+1)
	r.close(t)
	check := checkPlace(t, r.dir, CheckOptions{Deep: true})
	for _, finding := range check.Logs[0].Damage {
		if finding.Part != PartManifest {
			t.Errorf("the check finds %v", finding)
		}
	}
	if found := &check.Logs[0]; found.LastSeq != adoptCount+1 || found.Records != adoptCount+1 || len(check.Unchecked) > 0 {
		t.Errorf("the check counts %d records to %d, %v", found.Records, found.LastSeq, check.Unchecked)
	}
	// It is mended: the next open is an ordinary one.
	before := r.driver.Counts()
	l = r.open(t)
	if after := r.driver.Counts(); after.Lists != before.Lists || l.recovery.Manifest.Err() != nil {
		t.Errorf("the next open lists the bucket %d times, manifest: %v", after.Lists-before.Lists, l.recovery.Manifest.Err())
	}
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, adoptCount+1)
	r.close(t)
}

// place is a record of a manifest, and where it lies.
type manifestPlace struct {
	path          string
	offset, bytes int64
	what          string
}

func manifestPlaces(t *testing.T, dir string) (places []manifestPlace) {
	t.Helper()
	err := manifest.Inspect(nil, dir, func(e manifest.Entry) error {
		switch e.Kind {
		case manifest.EntryRecord:
			what := fmt.Sprintf("record %d, %s of segment %d", e.Record.Ordinal, e.Record.Type(), e.Record.SegmentID)
			places = append(places, manifestPlace{e.Path, e.Offset, int64(len(e.Raw)), what})
		case manifest.EntryChunkHeader:
			places = append(places, manifestPlace{e.Path, e.Offset, int64(len(e.Raw)), "header of " + filepath.Base(e.Path)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return places
}

func TestADamagedRecordOfTheManifestCostsNoCopy(t *testing.T) {
	for _, closed := range []bool{true, false} {
		r := newLosableRoot(t, closed)
		want := goodCopies(r.log)
		places := manifestPlaces(t, r.log.paths.manifest)
		for i, place := range places {
			if closed && i%3 != 0 { // the same records: what differs is the end
				continue
			}
			t.Run(fmt.Sprintf("closed %v, %s", closed, place.what), func(t *testing.T) {
				damaged := r.another(t)
				path := filepath.Join(newLogLayout(damaged.dir, "orders").manifest, filepath.Base(place.path))
				changeFile(t, path, flipAt(place.offset+place.bytes/2))
				wantNothingLost(t, damaged, want)
			})
		}
	}
}

func TestALostChunkOfTheManifestCostsNoCopy(t *testing.T) {
	for _, closed := range []bool{true, false} {
		r := newLosableRoot(t, closed)
		want := goodCopies(r.log)
		chunks, err := filepath.Glob(filepath.Join(r.log.paths.manifest, "*.mlog"))
		if err != nil || len(chunks) < 3 {
			t.Fatal(chunks, err)
		}
		lose := map[string]func(dir string) error{
			"all chunks": os.RemoveAll,
		}
		for _, chunk := range chunks {
			name := filepath.Base(chunk)
			lose[name] = func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
			lose["half of "+name] = func(dir string) error {
				changeFile(t, filepath.Join(dir, name), func(b []byte) []byte { return b[:len(b)/2] })
				return nil
			}
			lose["zeros in "+name] = func(dir string) error {
				changeFile(t, filepath.Join(dir, name), func(b []byte) []byte { clear(b[512:1024]); return b })
				return nil
			}
		}
		for name, lose := range lose {
			t.Run(fmt.Sprintf("closed %v, %s", closed, name), func(t *testing.T) {
				damaged := r.another(t)
				if err := lose(newLogLayout(damaged.dir, "orders").manifest); err != nil {
					t.Fatal(err)
				}
				wantNothingLost(t, damaged, want)
			})
		}
	}
}

// Without its bucket a log whose manifest is gone opens with what the disk has. It
// appends if that tells the next sequence, and looks again when it is opened next.
func TestALostManifestWithoutTheBucket(t *testing.T) {
	for _, active := range []bool{true, false} {
		t.Run(fmt.Sprintf("active %v", active), func(t *testing.T) {
			r := newLosableRoot(t, true)
			want, next := goodCopies(r.log), adoptCount+1
			if !active {
				r.open(t)
				r.log.retireTail()
				commitManual(t, r.log)
				r.mustDo(t, 9, planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
				want = goodCopies(r.log)
				r.close(t)
			}
			if err := os.RemoveAll(r.log.paths.manifest); err != nil {
				t.Fatal(err)
			}
			r.driver.Add(buckettest.Rule{Op: buckettest.OpReads, Err: buckettest.ErrTimeout})
			for range 2 {
				l := r.open(t)
				report := l.State().Recovery
				if report.BucketUnread == nil || len(report.Damaged) == 0 || len(report.Quarantined) > 0 {
					t.Errorf("%+v", report)
				}
				var skipped []*DamageError
				records := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { skipped = append(skipped, d) }})
				if len(records) < 5*adoptEach || len(skipped) == 0 || skipped[0].FirstSeq != 1 {
					t.Errorf("%d records, skipped %v", len(records), skipped)
				}
				wantDoubt(t, l, noneOf("never"))
				rec := tieredRecord(next)
				seq, err := l.Append(&rec)
				if active && (err != nil || seq != uint64(next)) || !active && !errors.Is(err, ErrNextSeqUnknown) {
					t.Errorf("append: %d, %v", seq, err)
				}
				if active {
					next++
				}
			}
			r.close(t)
			r.driver.Clear()
			l := r.open(t)
			wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, next-1)
			for id, copies := range want {
				if got := goodCopies(l)[id]; id < 9 && got != copies {
					t.Errorf("segment %d: copies %q, they were %q", id, got, copies)
				}
			}
			appendTieredManual(t, l, next)
		})
	}
}

// A log that is killed again and again is an ordinary one: it asks the bucket
// nothing, and takes appends without it.
func TestALogThatIsKilledAgainAndAgainDoesNotAskTheBucket(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 20)
	r.mustDo(t, 1, planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
	r.log.opts.Dedup.Window = 0
	for range 4 {
		r = r.killed(t)
		if n := requests(r.driver); n != 0 || r.log.recovery.BucketUnread != nil || r.log.recovery.Manifest.SealedEnd {
			t.Errorf("%d requests, %+v", n, r.log.recovery)
		}
	}
	appendTieredManual(t, r.log, 21)
}

// A kill while a log is recovered, at whatever is done to its segments, makes the
// next open no other than the first.
func TestALogThatIsKilledDuringRecoveryIsNotTakenForOneThatLostItsManifest(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 20)
	r.mustDo(t, 1, planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
	appendTieredManual(t, r.log, 21)
	left := r.another(t)
	r.close(t)
	disk := vfs.NewFaulty(vfs.OS())
	left.opts.FS, left.opts.Bucket = disk, ""
	fault := disk.Add(vfs.Rule{Op: vfs.OpSync, PathPattern: "segments/*", Err: syscall.EIO})
	for range 2 {
		e := openOnDisk(t, left.dir, left.opts)
		if _, err := e.OpenLog("orders", left.logs); !errors.Is(err, syscall.EIO) {
			t.Fatalf("recovered: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fault.Remove()
	l := left.open(t)
	if l.recovery.Manifest.SealedEnd || l.recovery.BucketUnread != nil {
		t.Errorf("%+v", l.recovery)
	}
	appendTieredManual(t, l, 22)
	left.close(t)
}
