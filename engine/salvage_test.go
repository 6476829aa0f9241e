package engine

import (
	"os"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// The last frame and the seek table of an object say where its records are. Damage
// to them costs none, also where the object is the only copy.

// newTornRoot is newDamagedRoot with where the tail of the only copy begins.
func newTornRoot(t *testing.T, in manifest.Tier) (r *tieredRoot, whole []byte, tail int64) {
	t.Helper()
	r = newDamagedRoot(t, tierSet(in))
	whole, err := os.ReadFile(r.copyPath(in))
	if err != nil {
		t.Fatal(err)
	}
	object, err := r.log.openObjectIn(t.Context(), r.log.segmentByID(1), in)
	if err != nil {
		t.Fatal(err)
	}
	return r, whole, object.Bytes() - object.TailBytes()
}

// forgetObjects makes the next reads open the objects of segment 1 anew.
func (r *tieredRoot) forgetObjects(in manifest.Tier) {
	key := r.log.objectKey(r.entry(1), in)
	r.engine.objects.drop(key)
	r.engine.objects.drop(key.ofSalvaged())
}

func TestEveryByteOfTheTailOfAnOnlyCopy(t *testing.T) {
	for _, in := range []manifest.Tier{manifest.TierWarm, manifest.TierCold} {
		t.Run(in.String(), func(t *testing.T) {
			r, whole, tail := newTornRoot(t, in)
			for _, at := range bytesToFlip(len(whole), func(at int) bool { return int64(at) >= tail }) {
				r.forgetObjects(in)
				changeFile(t, r.copyPath(in), func([]byte) []byte { return flipAt(int64(at))(append([]byte(nil), whole...)) })
				var lost []*DamageError
				records := readAll(t, r.log, ReadOptions{SkipDamaged: func(d *DamageError) { lost = append(lost, d) }})
				if len(lost) > 0 {
					t.Fatalf("byte %d of %d: lost %v", at, len(whole), lost)
				}
				wantTiered(t, records, 1, 1, damagedAll)
				n := at%damagedEach + 1
				wantTiered(t, readAll(t, r.log, ReadOptions{FromSeq: uint64(n), ToSeq: uint64(n)}), n, 1, 1)
			}
		})
	}
}

// tornPlaces are places of a tail, by what stands there.
func tornPlaces(whole []byte, tail int64) map[string]int64 {
	end := int64(len(whole))
	return map[string]int64{
		"index frame": tail + 40, "frame header": tail, "block header": tail + 7, "entry's length": end - 9 - 24, "entry's content": end - 9 - 20,
		"entry's checksum": end - 9 - 16, "index frame's content": end - 9 - 8, "count": end - 9, "descriptor": end - 5, "magic": end - 1,
	}
}

func TestATornOnlyCopyIsReadEveryWayAndCountsForNothing(t *testing.T) {
	for _, in := range []manifest.Tier{manifest.TierWarm, manifest.TierCold} {
		r, whole, tail := newTornRoot(t, in)
		for name, at := range tornPlaces(whole, tail) {
			t.Run(in.String()+"/"+name, func(t *testing.T) {
				r.forgetObjects(in)
				changeFile(t, r.copyPath(in), func([]byte) []byte { return flipAt(at)(append([]byte(nil), whole...)) })
				wantReadableEveryWay(t, r.log, damagedAll)
				wantSubjectsOf(t, r.log)
				if entry := r.entry(1); trusted(r.log.segmentByID(1), entry) != 0 {
					t.Errorf("trusted are %v", trusted(r.log.segmentByID(1), entry))
				}
				if err := r.do(planner.EvictWarm, 1); in == manifest.TierWarm && err == nil {
					t.Error("the warm copy is gone")
				}
				wantTornReport(t, r, in, 1, 0)
				wantReadOnly(t, r, in, 1, 0)
			})
		}
	}
}

// wantSubjectsOf looks a subject up whose last record is in segment 1.
func wantSubjectsOf(t *testing.T, l *Log) {
	t.Helper()
	last, err := l.lastInSealed(t.Context(), []byte("orders.1"), farthest())
	if err != nil || last == 0 {
		t.Errorf("last of a subject: %d, %v", last, err)
	}
	s := l.segmentByID(1)
	last, doubt, err := l.lastInSegment(t.Context(), s, []byte("orders.1"), &reach{bucket: true, bytes: 1 << 40})
	if err != nil || doubt != nil || last != 396 {
		t.Errorf("last of a subject in the segment: %d, %v, %v", last, doubt, err)
	}
}

// wantTornReport checks that fsck finds the damage and loses exactly these.
func wantTornReport(t *testing.T, r *tieredRoot, in manifest.Tier, first, last uint64) {
	t.Helper()
	places := []string{r.dir}
	if in == manifest.TierCold && r.entry(2) != nil {
		places = append(places, r.opts.Bucket)
	}
	for _, place := range places {
		report, err := Check(t.Context(), place, CheckOptions{Deep: true})
		if err != nil {
			t.Fatal(err)
		}
		found, lost := 0, [2]uint64{1, 0}
		for _, f := range report.Logs[0].Damage {
			if f.Segment == 1 {
				found++
			}
			if f.Cost == CostLost {
				lost = [2]uint64{f.FirstSeq, f.LastSeq}
			}
		}
		if found == 0 || lost != [2]uint64{first, last} {
			t.Errorf("%s: lost %v, want %d to %d: %+v", place, lost, first, last, report.Logs[0].Damage)
		}
	}
}

// wantReadOnly reads the root beside its owner, and the bucket alone.
func wantReadOnly(t *testing.T, r *tieredRoot, in manifest.Tier, first, last uint64) {
	t.Helper()
	places := map[string]int{r.dir: damagedAll}
	if in == manifest.TierCold {
		places[r.opts.Bucket] = damagedEach
	}
	for place, count := range places {
		e, err := OpenReadOnly(place)
		if err != nil {
			t.Fatal(err)
		}
		l := openLogTest(t, e, LogOptions{})
		var skipped []*DamageError
		records := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { skipped = append(skipped, d) }})
		lost := int(last + 1 - first)
		if len(records) != count-lost || lost == 0 != (len(skipped) == 0) || lost > 0 && (skipped[0].FirstSeq != first || skipped[0].LastSeq != last) {
			t.Errorf("%s: %d records, skipped %v; want %d to %d", place, len(records), skipped, first, last)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// With a frame damaged besides, that frame is lost and no other.
func TestATornCopyWithADamagedFrameLosesThatFrame(t *testing.T) {
	for _, in := range []manifest.Tier{manifest.TierWarm, manifest.TierCold} {
		r, whole, tail := newTornRoot(t, in)
		object, err := r.log.openObjectIn(t.Context(), r.log.segmentByID(1), in)
		if err != nil {
			t.Fatal(err)
		}
		for name, at := range tornPlaces(whole, tail) {
			for _, frame := range []int{1, object.Frames() - 1} {
				offset, length, _ := object.FrameRange(frame)
				first, last := object.FrameSeqs(frame)
				t.Run(in.String()+"/"+name, func(t *testing.T) {
					r.forgetObjects(in)
					changeFile(t, r.copyPath(in), func([]byte) []byte {
						return flipAt(offset + length/2)(flipAt(at)(append([]byte(nil), whole...)))
					})
					wantLost(t, r, first, last)
					wantTornReport(t, r, in, first, last)
					wantReadOnly(t, r, in, first, last)
				})
			}
		}
	}
}

// Two copies with damaged tails and different damaged frames make up the whole.
func TestTornCopiesMakeUpTheWhole(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierWarm, manifest.TierCold))
	for frame, in := range []manifest.Tier{manifest.TierWarm, manifest.TierCold} {
		object, err := r.log.openObjectIn(t.Context(), r.log.segmentByID(1), in)
		if err != nil {
			t.Fatal(err)
		}
		offset, length, _ := object.FrameRange(frame)
		changeFile(t, r.copyPath(in), flipAt(offset+length/2))
		changeFile(t, r.copyPath(in), flipAt(object.Bytes()-object.TailBytes()+40))
		r.forgetObjects(in)
	}
	for range 2 {
		wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, damagedAll)
	}
	wantReadOnly(t, r, manifest.TierWarm, 1, 0)
}
