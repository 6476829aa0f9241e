package engine

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// cutReason opens a damaged copy of a specimen and returns what stands beside the
// bytes that were cut from a segment.
func cutReason(t *testing.T, root string, id uint64) string {
	t.Helper()
	l := openLogTest(t, openOnDisk(t, root, Options{}), smallSegments())
	for _, cut := range l.State().Recovery.Cut {
		if cut.Segment != id {
			continue
		}
		text, err := os.ReadFile(strings.TrimSuffix(cut.QuarantinePath, ".bytes") + ".reason.json")
		must(t, err)
		var reason quarantineReason
		must(t, json.Unmarshal(text, &reason))
		return reason.Reason
	}
	t.Fatalf("nothing of segment %d was cut: %+v", id, l.State().Recovery.Cut)
	return ""
}

// Only what a later segment proves to be no part of the log was never acknowledged.
// A record that was acknowledged and is damaged may look like a torn one.
func TestTheReasonBesideCutBytesClaimsNoMoreThanIsKnown(t *testing.T) {
	s := newSpecimen(t, false)
	f := s.files[3]
	last := f.data()[2*specimenEach-1] // it was acknowledged
	for name, c := range map[string]struct {
		change func([]byte) []byte
		told   string
	}{
		"a sector that became zero":  {zeroed(last.at, last.at+segment.RecordHeaderBytes), "a part of these bytes is zero"},
		"a file cut inside a record": {func(b []byte) []byte { return b[:last.at+60] }, "shorter than it was made"},
	} {
		t.Run(name, func(t *testing.T) {
			reason := cutReason(t, s.change(t, 3, c.change), f.header.ID)
			if !strings.Contains(reason, c.told) || !strings.Contains(reason, "nothing that is left proves") || strings.Contains(reason, "never") {
				t.Errorf("the reason is %q", reason)
			}
		})
	}
}

// Damage to a mark costs no record, and does not name sequences that never existed.
func TestDamageToAMarkNamesNoSequence(t *testing.T) {
	s := newSpecimen(t, true)
	f := s.files[3]
	mark := f.records[len(f.records)-2]
	l := openLogTest(t, openOnDisk(t, s.change(t, 3, flipAt(mark.at+20)), Options{}), smallSegments())
	damaged := l.State().Recovery.Damaged
	if len(damaged) != 1 || damaged[0].CostsRecords() || !strings.Contains(damaged[0].Error(), "(no record, ") {
		t.Errorf("the damage is %v", damaged)
	}
}
