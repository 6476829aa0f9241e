package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// Damage to one copy of a segment costs nothing while another copy has what it
// took, and its own records alone when none has.

const (
	damagedEach = 400 // records of the segment that is damaged, in several frames
	damagedAll  = damagedEach + 20
)

// newDamagedRoot has two sealed segments, the first with copies in these tiers.
func newDamagedRoot(t *testing.T, copies manifest.TierSet) *tieredRoot {
	t.Helper()
	r := newTieredRoot(t).stepped()
	r.logs = LogOptions{SegmentBytesMin: mib, SegmentBytesMax: mib}
	r.opts.HotBytesMax, r.opts.WarmBytesMax = 16*mib, 16*mib
	r.open(t)
	r.fill(t, 1, damagedEach)
	r.fill(t, 1, damagedAll-damagedEach)
	if copies.Has(manifest.TierWarm) || copies.Has(manifest.TierCold) {
		r.mustDo(t, 1, planner.Compress)
	}
	if copies.Has(manifest.TierCold) {
		r.mustDo(t, 1, planner.Upload)
	}
	if !copies.Has(manifest.TierHot) {
		r.mustDo(t, 1, planner.EvictHot)
	}
	if copies.Has(manifest.TierCold) && !copies.Has(manifest.TierWarm) {
		r.mustDo(t, 1, planner.EvictWarm)
	}
	if got := r.entry(1).Resident; got != copies {
		t.Fatalf("copies in %v, want %v", got, copies)
	}
	return r
}

// part is where a copy is damaged, and what of it that takes.
type part struct {
	name   string
	change func(t *testing.T, r *tieredRoot, in manifest.Tier)
	// first and last are the sequences that the copy has no more, 1 and 0 if it has
	// all.
	first, last uint64
}

// partsOf are the places to damage in a copy.
func partsOf(t *testing.T, r *tieredRoot, in manifest.Tier) []part {
	t.Helper()
	flip := func(at int64) func(*testing.T, *tieredRoot, manifest.Tier) {
		return func(t *testing.T, r *tieredRoot, in manifest.Tier) { changeFile(t, r.copyPath(in), flipAt(at)) }
	}
	missing := part{"missing", func(t *testing.T, r *tieredRoot, in manifest.Tier) {
		if err := os.Remove(r.copyPath(in)); err != nil {
			t.Fatal(err)
		}
	}, 1, damagedEach}
	if in == manifest.TierHot {
		record := placedAt(t, r, 300)
		return []part{missing, {"record", flip(record + 60), 300, 300}, {"record header", flip(record + 8), 300, 300}}
	}
	object, err := r.log.openObjectIn(t.Context(), r.log.segmentByID(1), in)
	if err != nil {
		t.Fatal(err)
	}
	if object.Frames() < 3 {
		t.Fatalf("%d frames", object.Frames())
	}
	truncated := part{"truncated", func(t *testing.T, r *tieredRoot, in manifest.Tier) {
		changeFile(t, r.copyPath(in), func(b []byte) []byte { return b[:len(b)/2] })
	}, 1, damagedEach}
	for frame := range object.Frames() {
		if offset, length, _ := object.FrameRange(frame); offset+length <= object.Bytes()/2 {
			_, last := object.FrameSeqs(frame)
			truncated.first = last + 1
		}
	}
	parts := []part{missing, truncated}
	for _, frame := range []int{0, 1, object.Frames() - 1} {
		offset, length, _ := object.FrameRange(frame)
		first, last := object.FrameSeqs(frame)
		parts = append(parts, part{fmt.Sprintf("frame %d", frame), flip(offset + length/2), first, last})
	}
	r.engine.objects.drop(r.log.objectKey(r.entry(1), in))
	tail := object.Bytes() - object.TailBytes()
	return append(parts, part{"index frame", flip(tail + 20), 1, 0}, part{"seek table", flip(object.Bytes() - 30), 1, 0},
		part{"seek table's end", flip(object.Bytes() - 1), 1, 0})
}

// placedAt is the offset of a record in segment 1.
func placedAt(t *testing.T, r *tieredRoot, seq uint64) int64 {
	t.Helper()
	reader, err := r.log.NewReader(ReadOptions{FromSeq: seq})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := reader.RecordID().Offset()
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	return at
}

var tiersNearestFirst = []manifest.Tier{manifest.TierHot, manifest.TierWarm, manifest.TierCold}

// nearest is the tier that is read first, and the rest.
func nearest(copies manifest.TierSet) (manifest.Tier, manifest.TierSet) {
	for _, t := range tiersNearestFirst {
		if copies.Has(t) {
			return t, copies.Without(t)
		}
	}
	panic("no copy")
}

func copiesName(copies manifest.TierSet) string {
	var names []string
	for _, t := range tiersNearestFirst {
		if copies.Has(t) {
			names = append(names, t.String())
		}
	}
	return strings.Join(names, "+")
}

func TestDamageToACopyIsReadAroundOrNamed(t *testing.T) {
	h, w, c := manifest.TierHot, manifest.TierWarm, manifest.TierCold
	for _, copies := range []manifest.TierSet{tierSet(h), tierSet(w), tierSet(c), tierSet(h, w), tierSet(h, c), tierSet(w, c), tierSet(h, w, c)} {
		in, others := nearest(copies)
		probe := newDamagedRoot(t, copies)
		for i, p := range partsOf(t, probe, in) {
			reopened := (i+len(copiesName(copies)))%2 == 0 // each part comes up both ways, not in each combination
			t.Run(fmt.Sprintf("%s/%s/reopened %v", copiesName(copies), p.name, reopened), func(t *testing.T) {
				r := newDamagedRoot(t, copies)
				p := partsOf(t, r, in)[i] // no two roots have objects of the same length
				p.change(t, r, in)
				if reopened {
					r.open(t)
				}
				if others != 0 {
					wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, damagedAll)
				} else {
					wantLost(t, r, p.first, p.last)
				}
				wantToldBad(t, r, in, others)
				wantNotCounted(t, r, in, others)
			})
		}
	}
}

// wantLost reads around the lost sequences and into them.
func wantLost(t *testing.T, r *tieredRoot, first, last uint64) {
	t.Helper()
	var skipped []*DamageError
	records := readAll(t, r.log, ReadOptions{SkipDamaged: func(d *DamageError) { skipped = append(skipped, d) }})
	lost := int(last - first + 1)
	if lost == 0 {
		if len(skipped) > 0 {
			t.Fatalf("skipped %v", skipped)
		}
		wantTiered(t, records, 1, 1, damagedAll)
		return
	}
	if len(records) != damagedAll-lost || len(skipped) != 1 || skipped[0].FirstSeq != first || skipped[0].LastSeq != last {
		t.Fatalf("%d records, skipped %v; want sequences %d to %d lost", len(records), skipped, first, last)
	}
	wantTiered(t, records[:first-1], 1, 1, int(first-1))
	wantTiered(t, records[first-1:], int(last+1), 1, damagedAll-int(last))
	for _, seq := range []uint64{first, (first + last) / 2, last} {
		reader, err := r.log.NewReader(ReadOptions{FromSeq: seq})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // it does not move on
			_, err = reader.Next(t.Context())
			var damage *DamageError
			if !errors.As(err, &damage) || damage.Segment != 1 || damage.FirstSeq != first && damage.FirstSeq != seq || damage.LastSeq != last {
				t.Fatalf("read sequence %d: %v", seq, err)
			}
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantToldBad checks that the damage is told, once, and that the manifest has it
// where another copy is good, and only there.
func wantToldBad(t *testing.T, r *tieredRoot, in manifest.Tier, others manifest.TierSet) {
	t.Helper()
	kind := EventSegmentQuarantined
	if others == 0 {
		kind = EventSegmentSuspected
	}
	if entry := r.entry(1); entry.Quarantined.Has(in) != (others != 0) || trusted(r.log.segmentByID(1), entry).Has(in) {
		t.Errorf("quarantined are %v, in doubt %v", entry.Quarantined, r.log.segmentByID(1).doubt.copies())
	}
	told := 0
	for _, event := range r.events.of(EventSegmentQuarantined, EventSegmentSuspected) {
		if event.Kind != kind {
			t.Errorf("told %+v", event)
		}
		if event.Segment == 1 && event.Tier == in.String() && event.Err != nil && event.Reason != manifest.ReasonTransient {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times: %+v", told, r.events.of(kind))
	}
}

// wantNotCounted checks that nothing is dropped on the strength of a bad copy,
// and that it is made anew where there is a better one nearby.
func wantNotCounted(t *testing.T, r *tieredRoot, bad manifest.Tier, others manifest.TierSet) {
	t.Helper()
	for _, kind := range []planner.Kind{planner.EvictHot, planner.EvictWarm} {
		in := map[planner.Kind]manifest.Tier{planner.EvictHot: manifest.TierHot, planner.EvictWarm: manifest.TierWarm}[kind]
		if !r.entry(1).Resident.Has(in) || others.Without(in) != 0 {
			continue
		}
		if err := r.do(kind, 1); err == nil {
			t.Errorf("%s: the last good copy is gone: %v are left", kind, r.entry(1).GoodCopies())
		}
	}
	for range 20 {
		if !r.engine.coordinator.step() {
			break
		}
	}
	after := r.entry(1)
	if others != 0 {
		wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, damagedAll)
	}
	if others.Has(manifest.TierHot) && !after.GoodCopies().Has(manifest.TierCold) && !after.GoodCopies().Has(manifest.TierWarm) {
		t.Errorf("good copies are %v", after.GoodCopies())
	}
	if others == 0 && (trusted(r.log.segmentByID(1), after) != 0 || after.Resident != tierSet(bad)) {
		t.Errorf("a damaged %s copy was made into %v", bad, after.GoodCopies())
	}
}

// Copies that are all damaged, each elsewhere, still make up the whole.
func TestCopiesThatAreDamagedElsewhereMakeUpTheWhole(t *testing.T) {
	r := newDamagedRoot(t, tierSet(tiersNearestFirst...))
	changeFile(t, r.copyPath(manifest.TierHot), flipAt(placedAt(t, r, 300)+60))
	for frame, in := range map[int]manifest.Tier{0: manifest.TierWarm, 2: manifest.TierCold} {
		object, err := r.log.openObjectIn(t.Context(), r.log.segmentByID(1), in)
		if err != nil {
			t.Fatal(err)
		}
		if first, last := object.FrameSeqs(frame); first <= 300 && 300 <= last {
			t.Fatalf("frame %d holds the record that is damaged in the hot copy", frame)
		}
		offset, length, _ := object.FrameRange(frame)
		changeFile(t, r.copyPath(in), flipAt(offset+length/2))
	}
	for range 3 {
		wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, damagedAll)
	}
	for n := 1; n <= damagedEach; n += 7 {
		wantTiered(t, readAll(t, r.log, ReadOptions{FromSeq: uint64(n), ToSeq: uint64(n)}), n, 1, 1)
	}
	r.open(t)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, damagedAll)
}

// A copy that a reader finds gone because it was evicted is not damaged.
func TestACopyThatWasEvictedMeanwhileIsNotDamage(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierWarm, manifest.TierCold))
	reader, err := r.log.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := reader.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	records := []Record{rec.Clone()}
	r.mustDo(t, 1, planner.EvictWarm)
	for {
		rec, err := reader.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec.Clone())
	}
	wantTiered(t, records, 1, 1, damagedAll)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	s := r.log.segmentByID(1)
	if r.log.noteBadCopy(s, manifest.TierWarm, &tier.CorruptError{Where: "frame", Err: errIO}) || s.doubt.copies() != 0 || len(r.events.of(EventSegmentQuarantined)) != 0 {
		t.Errorf("suspects %v, events %+v", s.doubt.copies(), r.events.of(EventSegmentQuarantined))
	}
}

// A hot file that is damaged is not made into an object that looks good.
func TestADamagedHotFileIsNotCompressed(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierHot))
	changeFile(t, r.copyPath(manifest.TierHot), flipAt(placedAt(t, r, 300)+60))
	if err := r.do(planner.Compress, 1); !errors.Is(err, tier.ErrCorrupt) {
		t.Fatalf("compress: %v", err)
	}
	wantToldBad(t, r, manifest.TierHot, 0)
	if failed := r.events.of(EventSegmentWarmFailed); len(failed) != 1 || failed[0].Reason != manifest.ReasonCodec {
		t.Errorf("told %+v", failed)
	}
	if actions := r.engine.coordinator.plan(r.engine.opts.Now()); slices.ContainsFunc(actions, func(a planner.Action) bool { return a.Segment == 1 && a.Kind != moveVerify }) {
		t.Errorf("planned %+v", actions)
	}
	wantLost(t, r, 300, 300)
}

// A warm file that does not read back says nothing about the hot one.
func TestAWarmFileThatDoesNotReadBackLeavesTheHotOneTrusted(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 1, 60)
	entry := r.entry(1)
	info, err := r.log.writeWarm(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	path := r.log.paths.warmFile(entry)
	changeFile(t, path, flipAt(info.Bytes/2))
	err = r.log.verifyWarm(t.Context(), path, entry, info)
	if !errors.Is(err, tier.ErrCorrupt) {
		t.Fatalf("verify: %v", err)
	}
	if err := r.log.compressionFailed(1, 1, err); err == nil || r.entry(1).Quarantined != 0 {
		t.Errorf("%v; quarantined %v", err, r.entry(1).Quarantined)
	}
	r.mustDo(t, 1, planner.Compress)
}
