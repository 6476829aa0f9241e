package engine

import (
	"os"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// cutEviction carries out an eviction of segment 1 as if a crash had come before
// its file was removed.
func (r *tieredRoot) cutEviction(t *testing.T, kind planner.Kind, in manifest.Tier) {
	t.Helper()
	path := r.copyPath(in)
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r.mustDo(t, 1, kind)
	r.close(t)
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The file of an eviction that was recorded and not carried out is the last copy,
// if the one that it was dropped for is lost.
func TestAnEvictionThatACrashCutOffDropsNothingThatIsLostElsewhere(t *testing.T) {
	for name, c := range evictionsCut {
		for how, lose := range losses {
			t.Run(name+", "+how, func(t *testing.T) {
				r := newTieredRoot(t).stepped()
				r.open(t)
				r.fill(t, 1, 30)
				r.mustDo(t, 1, c.before...)
				lost := r.copyPath(c.because)
				r.cutEviction(t, c.kind, c.in)
				lose(t, lost)
				r.open(t)
				wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
				r.open(t)
				wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
				wantHotBytesCounted(t, r)
			})
		}
	}
}

// Where the other copy is there, nothing is lost and nothing stays behind for good.
func TestAnEvictionThatACrashCutOffIsCarriedOutInTheEnd(t *testing.T) {
	for name, c := range evictionsCut {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 1, c.before...)
			path := r.copyPath(c.in)
			r.cutEviction(t, c.kind, c.in)
			before := requests(r.driver)
			r.open(t)
			if n := requests(r.driver) - before; n != 0 || r.log.recovery.Eventful() {
				t.Errorf("the open asks the bucket %d times and reports %+v", n, r.log.recovery)
			}
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
			wantHotBytesCounted(t, r)
			if r.entry(1).Resident.Has(c.in) {
				r.mustDo(t, 1, c.kind)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the file is there: %v", err)
			}
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
		})
	}
}

var evictionsCut = map[string]struct {
	before  []planner.Kind
	kind    planner.Kind
	in      manifest.Tier
	because manifest.Tier
}{
	"hot because of warm":  {[]planner.Kind{planner.Compress}, planner.EvictHot, manifest.TierHot, manifest.TierWarm},
	"hot because of cold":  {[]planner.Kind{planner.Compress, planner.Upload, planner.EvictWarm}, planner.EvictHot, manifest.TierHot, manifest.TierCold},
	"warm because of cold": {[]planner.Kind{planner.Compress, planner.Upload, planner.EvictHot}, planner.EvictWarm, manifest.TierWarm, manifest.TierCold},
}

// wantHotBytesCounted checks that the budget counts what is there.
func wantHotBytesCounted(t *testing.T, r *tieredRoot) {
	t.Helper()
	var bytes int64
	for _, s := range *r.log.segments.Load() {
		bytes += s.bytes.Load()
	}
	if used := r.engine.Stats().Hot.UsedBytes; used != bytes {
		t.Errorf("%d bytes of the hot budget are taken, the files have %d", used, bytes)
	}
}

// losses are what can happen to a copy behind the back of the program.
var losses = map[string]func(t *testing.T, path string){
	"gone": func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	},
	"shorter": func(t *testing.T, path string) { changeFile(t, path, func(b []byte) []byte { return b[:len(b)-1] }) },
	"flipped": func(t *testing.T, path string) {
		changeFile(t, path, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	},
}

// A hot file is dropped for a warm one that is there, whole.
func TestAHotFileStaysWhenTheWarmOneIsLost(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.open(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 1, planner.Compress)
			lose(t, r.copyPath(manifest.TierWarm))
			if err := r.do(planner.EvictHot, 1); err == nil {
				t.Fatal("it was evicted")
			}
			if entry := r.entry(1); !entry.Resident.Has(manifest.TierHot) || entry.GoodCopies() != tierSet(manifest.TierHot) {
				t.Errorf("copies are %v, good ones %v", entry.Resident, entry.GoodCopies())
			}
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
			r.mustDo(t, 1, planner.Compress, planner.EvictHot)
			wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 30)
		})
	}
}
