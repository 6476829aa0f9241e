package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A check of a root whose manifest lost records finds what every open finds, and
// calls nothing lost that a copy holds.
func TestCheckCallsNothingLostThatAnUnknownCopyHolds(t *testing.T) {
	r := newLosableRoot(t, true)
	lose := map[string]func(dir string){
		"the manifest": func(dir string) { must(t, os.RemoveAll(dir)) },
	}
	for i, place := range manifestPlaces(t, r.log.paths.manifest) {
		if i%5 == 0 {
			lose[place.what] = func(dir string) {
				changeFile(t, filepath.Join(dir, filepath.Base(place.path)), flipAt(place.offset+place.bytes/2))
			}
		}
	}
	for what, lose := range lose {
		damaged := r.another(t)
		lose(damaged.manifestDir())
		log := checkPlace(t, damaged.dir, CheckOptions{}).Logs[0]
		if log.Records != adoptCount || log.LastSeq != adoptCount || len(log.Damage) == 0 {
			t.Errorf("%s: %d records to %d, %v", what, log.Records, log.LastSeq, log.Damage)
		}
		for _, finding := range log.Damage {
			// A copy whose eviction is not known any more is missed, not lost.
			missed := finding.Kind == FoundMissing && finding.Cost == CostRepairable && strings.Contains(what, "LocalEvicted")
			if (finding.Part != PartManifest || finding.Cost != CostNone) && !missed {
				t.Errorf("%s: %v", what, finding)
			}
		}
	}
}

// A segment that the manifest has without any copy is lost, and does not go
// unnoticed.
func TestCheckFindsASegmentOfWhichNoCopyIsLeft(t *testing.T) {
	r := newLosableRoot(t, true)
	must(t, os.Remove(r.objectPath(1)))
	for _, place := range manifestPlaces(t, r.log.paths.manifest) {
		damaged := r.another(t)
		changeFile(t, filepath.Join(damaged.manifestDir(), filepath.Base(place.path)), flipAt(place.offset+place.bytes/2))
		log := checkPlace(t, damaged.dir, CheckOptions{}).Logs[0]
		lost := false
		for _, finding := range log.Damage {
			lost = lost || finding.Cost == CostLost && finding.FirstSeq == 1 && finding.LastSeq == adoptEach
		}
		if !lost {
			t.Errorf("%s: %v", place.what, log.Damage)
		}
	}
}

// A copy of a segment file under another id bounds no segment of the log.
func TestCheckLeavesOutAStrayCopyOfASegmentFile(t *testing.T) {
	r := newAbsentRoot(t)
	for _, id := range []uint64{5, 99} {
		name, _ := parseSegmentName(filepath.Base(r.segmentPath(3)))
		name.id = id
		contents, err := os.ReadFile(r.segmentPath(3))
		must(t, err)
		stray := newLogLayout(r.dir, "orders").segment(name)
		must(t, os.WriteFile(stray, contents, 0o600))
		log := checkPlace(t, r.dir, CheckOptions{}).Logs[0]
		if len(log.Damage) != 1 || log.Damage[0].Path != stray || log.Damage[0].Cost != CostNone || log.Records != 130 {
			t.Errorf("a copy of 3 as %d: %d records, %v", id, log.Records, log.Damage)
		}
		must(t, os.Remove(stray))
	}
}
