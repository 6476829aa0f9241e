package manifest

// This file is what the simulation demands after every open, and the damage that
// it plants.

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// loadReadOnly checks the view of a reader that changes nothing.
func (s *simulation) loadReadOnly() {
	if s.percent(60) || s.damage != nil {
		return
	}
	if _, err := s.disk.Stat(testDir); err != nil {
		return
	}
	before := s.disk.Operations()
	state, recovery, err := Load(s.disk, testDir, testLogID)
	if err != nil {
		s.problem("load: %v", err)
		return
	}
	if s.disk.Operations() != before {
		s.problem("load changes the disk")
	}
	records := int(state.NextOrdinal()) - 1
	if err := recovery.Err(); err != nil || records > len(s.signatures) {
		s.problem("load finds %d of %d records: %v", records, len(s.signatures), err)
		return
	}
	if err := compareStates(s.states[records], state); err != nil {
		s.problem("loaded state after %d records: %v", records, err)
	}
	if records < s.promised {
		s.meet("read-only load leaves out the last commit")
	}
}

// checkOpen holds what was recovered against the model.
func (s *simulation) checkOpen() {
	w := s.w
	s.tracef("  recovered to %d: %+v", w.NextOrdinal(), *w.Recovery())
	s.noteRecovery(w.Recovery())
	found := readContents(simulationT{s}, s.disk)
	records, wrong := found.records, found.wrong
	if s.damage != nil {
		s.checkDamaged(&found)
		return
	}
	recovered := int(w.NextOrdinal()) - 1
	switch {
	case w.Recovery().Err() != nil:
		s.problem("damage reported without damage: %v", w.Recovery().Err())
	case w.Recovery().SealedEnd:
		s.problem("the last chunk is sealed, and nothing was lost")
	case len(wrong) > 0:
		s.problem("still wrong after the open: %v", wrong[0].Err)
	case recovered < s.promised:
		s.problem("promised records lost: %d of %d", recovered, s.promised)
	case recovered > len(s.signatures):
		s.problem("invented records: %d of %d", recovered, len(s.signatures))
	case s.closed && !w.Recovery().Continued && recovered > 0 && w.Recovery().Chunks > 0:
		s.problem("not continued after a clean close")
	}
	if len(s.problems) > 0 {
		return
	}
	s.checkVisible(records, recovered)
	if err := compareStates(s.states[recovered], w.State()); err != nil {
		s.problem("state after %d records: %v", recovered, err)
	}
	if recovered < len(s.signatures) {
		s.meet("unpromised records dropped")
	}
	if recovered > s.promised {
		s.meet("unpromised records kept")
	}
	s.forget(recovered)
	s.promised = recovered
	if s.percent(25) {
		s.checkWhole()
	}
}

// checkVisible: ordinals are dense up to the end, contents are those of the
// model.
func (s *simulation) checkVisible(records []Record, recovered int) {
	for i := range records {
		r := &records[i]
		if i > 0 && r.Ordinal != records[i-1].Ordinal+1 && r.Ordinal > s.pruned {
			s.problem("record %d follows %d", r.Ordinal, records[i-1].Ordinal)
			return
		}
		if got := signature(r); got != s.signatures[r.Ordinal-1] {
			s.problem("record %d is %.200s, not %.200s", r.Ordinal, got, s.signatures[r.Ordinal-1])
			return
		}
	}
	if n := len(records); n > 0 && records[n-1].Ordinal != uint64(recovered) {
		s.problem("the last record is %d, not %d", records[n-1].Ordinal, recovered)
	}
}

func (s *simulation) checkWhole() {
	report, err := Check(s.disk, testDir)
	if err != nil {
		s.problem("check: %v", err)
		return
	}
	if err := report.Err(); err != nil {
		s.problem("check: %v", err)
	}
	if report.SnapshotsCompared > 0 {
		s.meet("snapshot compared with replay")
	}
}

func (s *simulation) noteRecovery(r *Recovery) {
	note := func(met bool, situation string) {
		if met {
			s.meet(situation)
		}
	}
	note(r.Cut != nil, "torn tail cut")
	note(r.RewrittenBytes > 0, "unproven records written again")
	note(r.RewrittenBytes > 0 && s.failed, "records of a failed sync written again")
	note(r.Continued && s.w.edit.log.Closed, "chunk continued after a clean close")
	note(s.w.ended != nil, "no room to follow the last chunk of a crash")
	note(r.Chunks > 1, "several chunks replayed")
	note(r.SnapshotID > 0, "opened from a snapshot")
	note(len(r.Swept) > 0, "temporary files swept")
	if r.Cut != nil {
		bytes := s.disk.Live(r.Cut.QuarantinePath)
		reason := s.disk.Live(r.Cut.QuarantinePath + ".reason.json")
		if int64(len(bytes)) != r.Cut.LengthBytes || len(reason) == 0 {
			s.problem("cut of %d bytes is not in quarantine", r.Cut.LengthBytes)
		}
	}
}

// plantedDamage is what was done to the disk, and what it may cost.
type plantedDamage struct {
	what     string
	zeros    bool            // a sector was zeroed, or hit a record that has zeros of its own
	ordinals map[uint64]bool // records that share a byte with it
	promised int
	reported bool
}

// plant damages one file.
func (s *simulation) plant() {
	var files []string
	entries, err := s.disk.ReadDir(testDir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), chunkNameSuffix) || strings.HasPrefix(entry.Name(), snapshotNamePrefix) {
			files = append(files, filepath.Join(testDir, entry.Name()))
		}
	}
	if len(files) == 0 {
		return
	}
	path := files[s.random.IntN(len(files))]
	durable := s.disk.Durable(path)
	if len(durable) == 0 || usedBytes(durable) == 0 {
		return
	}
	offset := s.random.IntN(min(usedBytes(durable)+600, len(durable)))
	if s.percent(10) {
		offset = s.random.IntN(min(chunkHeaderBytes, len(durable)))
	}
	from, to, change := s.chooseDamage(offset, len(durable))
	damage := &plantedDamage{what: fmt.Sprintf("%s at %d to %d", filepath.Base(path), from, to), ordinals: map[uint64]bool{}, promised: s.promised}
	damage.zeros = s.touch(damage, path, durable, from, to)
	if err := s.disk.Corrupt(path, int64(offset), change); err != nil {
		s.problem("corrupt: %v", err)
		return
	}
	damage.zeros = damage.zeros || isZero(s.disk.Durable(path)[from:to])
	s.damage = damage
	s.tracef("  planted %s zeros %v ordinals %v", damage.what, damage.zeros, damage.ordinals)
	s.meet("damage planted: " + map[bool]string{true: "chunk", false: "snapshot"}[strings.HasSuffix(path, chunkNameSuffix)])
}

func (s *simulation) chooseDamage(offset, length int) (from, to int, change func([]byte)) {
	sector := offset / sectorBytes * sectorBytes
	switch s.random.IntN(10) {
	case 0, 1, 2:
		return sector, min(sector+sectorBytes, length), func(b []byte) { clear(b) }
	case 3:
		return sector, min(sector+sectorBytes, length), func(b []byte) {
			for i := range b {
				b[i] = byte(s.random.Uint32()) | 1
			}
		}
	default:
		bit := byte(1) << s.random.IntN(8)
		return offset, offset + 1, func(b []byte) { b[offset%sectorBytes] ^= bit }
	}
}

// touch finds the records that damage hits, and whether the torn rule may take
// one of them for a lost write.
func (s *simulation) touch(damage *plantedDamage, path string, image []byte, from, to int) (ownZeros bool) {
	if !strings.HasSuffix(path, chunkNameSuffix) {
		return false
	}
	for p := chunkHeaderBytes; p+recordHeaderBytes <= len(image); {
		end, ordinal, ok := recordAt(image, p, 0, 0)
		if !ok {
			p += recordAlignment
			continue
		}
		if from < end && p < to {
			damage.ordinals[ordinal] = true
			ownZeros = ownZeros || isTorn(image, p)
		}
		p = end
	}
	return ownZeros
}

// checkDamaged: what was promised is there, or is reported, or is the one case
// that cannot be decided; damage costs no record that it does not touch.
func (s *simulation) checkDamaged(found *contents) {
	records := found.records
	r := s.w.Recovery()
	visible := map[uint64]bool{}
	for i := range records {
		visible[records[i].Ordinal] = true
		if records[i].Ordinal > uint64(len(s.signatures)) {
			s.problem("[%s] invented record %d", s.damage.what, records[i].Ordinal)
		} else if got := signature(&records[i]); got != s.signatures[records[i].Ordinal-1] {
			s.problem("[%s] record %d is %.200s, not %.200s", s.damage.what, records[i].Ordinal, got, s.signatures[records[i].Ordinal-1])
		}
	}
	s.damage.reported = s.damage.reported || len(r.Damage) > 0
	if len(r.Damage) > 0 {
		s.meet("damage reported")
	}
	recovered := int(s.w.NextOrdinal()) - 1
	if recovered < s.damage.promised {
		if !s.damage.zeros {
			s.problem("[%s] %d records of %d promised, silently", s.damage.what, recovered, s.damage.promised)
		}
		s.meet("undecidable: zeroed sector in the last commit")
	}
	s.checkCost(found, visible, recovered)
	for ordinal := uint64(1); ordinal <= uint64(recovered); ordinal++ {
		s.damage.ordinals[ordinal] = s.damage.ordinals[ordinal] || !visible[ordinal]
	}
	s.afterDamage(recovered)
}

// checkCost: every promised record that was not to be pruned can be read, unless
// damage touches it.
func (s *simulation) checkCost(found *contents, visible map[uint64]bool, recovered int) {
	if len(found.records) == 0 {
		return
	}
	for ordinal := max(found.records[0].Ordinal, s.pruned); ordinal <= uint64(min(s.damage.promised, recovered)); ordinal++ {
		if !visible[ordinal] && !s.damage.ordinals[ordinal] {
			s.problem("[%s] record %d is lost, damage does not touch it", s.damage.what, ordinal)
			return
		}
	}
	if recovered > s.damage.promised {
		s.meet("ordinals skipped or unpromised records kept behind damage")
	}
}

// afterDamage makes the model follow: ordinals go on where the Writer says, lost
// ones are never seen again.
func (s *simulation) afterDamage(recovered int) {
	if recovered < len(s.signatures) {
		s.forget(recovered)
	}
	for len(s.signatures) < recovered {
		s.signatures = append(s.signatures, "lost")
		s.states = append(s.states, s.w.State())
	}
	s.states[recovered] = s.w.State()
	s.promised = recovered
	s.damage.promised = recovered
}

// simulationT lets helpers for tests report into a simulation.
type simulationT struct{ s *simulation }

func (simulationT) Helper() {}

func (t simulationT) Fatal(values ...any) { t.s.problem("%s", fmt.Sprint(values...)) }

var _ interface {
	Helper()
	Fatal(values ...any)
} = (*testing.T)(nil)
