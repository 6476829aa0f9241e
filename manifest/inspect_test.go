package manifest

// This file is inspection and checking of manifests that have something wrong.

import (
	"errors"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestInspectShowsDamageAndTheTornTailInTheirPlace(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1), sealed(1), opened(2))
	appendAndCommit(t, w, sealed(2))
	must(t, w.Close())
	plantTornTail(disk, 1)
	b := disk.Live(chunkPath(testDir, 1))
	b[extents(t, disk, 1)[2][0]+60] ^= 4
	replaceFile(t, disk, ChunkName(1), b)
	var kinds []string
	before := disk.Operations()
	must(t, Inspect(disk, testDir, func(e Entry) error {
		kinds = append(kinds, e.Kind.String())
		var damage *DamageError
		if e.Kind == EntryDamage && (!errors.As(e.Err, &damage) || damage.Chunk != 1 || damage.Offset != e.Offset ||
			damage.FirstOrdinal != 2 || damage.LostRecords() != 1 || !errors.Is(e.Err, ErrCorrupt) || !strings.Contains(damage.Hint(), "check")) {
			t.Errorf("damage is %+v", e.Err)
		}
		return nil
	}))
	if got := strings.Join(kinds, ", "); got != "chunk header, record, damage, record, record, torn tail" {
		t.Errorf("entries are %s", got)
	}
	if disk.Operations() != before {
		t.Error("inspection changes the disk")
	}
}

func TestInspectGoesByTheContentWhereTheNameSaysNothing(t *testing.T) {
	disk := exampleDirectory(t)
	for name, from := range map[string]string{"a.copy": chunkPath(testDir, 1), "b.copy": snapshotPath(testDir, 2)} {
		content := disk.Live(from)
		replaceFile(t, disk, name, content)
		count := 0
		must(t, Inspect(disk, testDir+"/"+name, func(e Entry) error { count++; return e.Err }))
		if count < 8 {
			t.Errorf("%s has %d entries", name, count)
		}
	}
	replaceFile(t, disk, "c.copy", []byte("something else"))
	if err := Inspect(disk, testDir+"/c.copy", func(Entry) error { return nil }); !errors.Is(err, ErrNotOurs) {
		t.Errorf("inspect: %v", err)
	}
	stop := errors.New("enough")
	if err := Inspect(disk, testDir, func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("inspect: %v", err)
	}
	if err := Inspect(disk, testDir+"/none", func(Entry) error { return nil }); err == nil {
		t.Error("a file that is not there")
	}
}

func TestInspectShowsADamagedSnapshot(t *testing.T) {
	disk := exampleDirectory(t)
	b := disk.Live(snapshotPath(testDir, 1))
	b[300] ^= 1
	replaceFile(t, disk, SnapshotName(1), b)
	var entries []Entry
	must(t, Inspect(disk, snapshotPath(testDir, 1), func(e Entry) error { entries = append(entries, e); return nil }))
	if len(entries) != 1 || !errors.Is(entries[0].Err, ErrCorrupt) {
		t.Errorf("entries are %+v", entries)
	}
}

func TestCheckFindsASnapshotThatDisagreesWithItsRecords(t *testing.T) {
	changes := map[string]func(*builder){
		"segments":     func(b *builder) { b.segments.remove(b.edit, 2) },
		"segment":      func(b *builder) { s, _ := b.change(1); s.Cold.Generation = 9; b.put(s) },
		"uploads":      func(b *builder) { b.uploads = pageMap[string, *Upload]{} },
		"deletes":      func(b *builder) { b.deletes = pageMap[string, *Delete]{} },
		"dictionaries": func(b *builder) { b.dictionaries = pageMap[uint32, *Dictionary]{} },
		"next seq":     func(b *builder) { b.log.NextSeq = 1 },
		"epoch":        func(b *builder) { b.log.Epoch = 0 },
		"chunks":       func(b *builder) { b.log.UploadedChunks = nil },
	}
	for name, change := range changes {
		disk := exampleDirectory(t)
		s, err := DecodeSnapshot(disk.Live(snapshotPath(testDir, 2)))
		must(t, err)
		builder := edit(s.State)
		change(builder)
		s.State = builder.publish()
		b, err := EncodeSnapshot(s)
		must(t, err)
		replaceFile(t, disk, SnapshotName(2), b)
		report, err := Check(disk, testDir)
		must(t, err)
		if len(report.Damage) != 1 || !errors.Is(report.Err(), ErrConflict) || !strings.Contains(report.Damage[0].Path, SnapshotName(2)) {
			t.Errorf("%s: %v", name, report.Err())
		}
	}
}

func TestCheckFindsASnapshotBehindTheEndAndABrokenChain(t *testing.T) {
	disk := exampleDirectory(t)
	s, err := DecodeSnapshot(disk.Live(snapshotPath(testDir, 2)))
	must(t, err)
	s.Ordinal, s.SnapshotID = 99, 3
	b, err := EncodeSnapshot(s)
	must(t, err)
	replaceFile(t, disk, SnapshotName(3), b)
	header := disk.Live(chunkPath(testDir, 2))
	header[50] ^= 1
	reseal(header)
	replaceFile(t, disk, ChunkName(2), header)
	report, err := Check(disk, testDir)
	must(t, err)
	if len(report.Damage) != 2 || !errors.Is(report.Err(), ErrMissing) || !errors.Is(report.Err(), ErrCorrupt) {
		t.Errorf("damage is %v", report.Damage)
	}
}

func TestCheckCountsWhatIsThere(t *testing.T) {
	disk := exampleDirectory(t)
	replaceFile(t, disk, "left.tmp", nil)
	before := disk.Operations()
	report, err := Check(disk, testDir)
	must(t, err)
	must(t, report.Err())
	if report.LogID != testLogID || report.Chunks != 2 || report.Sealed != 1 || report.FirstOrdinal != 1 || report.NextOrdinal != 31 ||
		report.SnapshotsGood != 2 || report.SnapshotsCompared != 2 || !report.ClosedCleanly || len(report.Temporary) != 1 ||
		report.Records[TypeLogClosed] != 2 || report.Records[TypeSegmentOpened] != 3 || report.State.SegmentCount() != 3 {
		t.Errorf("report is %+v", report)
	}
	if disk.Operations() != before {
		t.Error("the check changes the disk")
	}
	empty := vfs.NewMem(1)
	must(t, empty.MkdirAll(testDir))
	if report, err = Check(empty, testDir); err != nil || report.Err() != nil || report.NextOrdinal != 1 {
		t.Errorf("an empty directory: %+v, %v", report, err)
	}
}

// Nothing behind it proves that a LogClosed is durable, and what it says holds all
// the same, also when something else is recorded later.
func TestLoadBelievesACleanClose(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	must(t, w.CloseLog(1, 1024))
	state, recovery, err := Load(disk, testDir, 0)
	must(t, err)
	if log := state.Log(); !log.Closed || log.ClosedSegmentID != 1 || log.ClosedMarkOffset != 1024 || recovery.Err() != nil {
		t.Errorf("%+v", log)
	}
	w = openWriter(t, disk)
	appendAndCommit(t, w, sealed(1))
	appendAndCommit(t, w, opened(2))
	state, _, err = Load(disk, testDir, 0)
	must(t, err)
	if log := state.Log(); log.Closed || log.ClosedSegmentID != 1 || log.ClosedMarkOffset != 1024 {
		t.Errorf("%+v", log)
	}
	must(t, w.Close())
}

func TestLoadIsAViewThatIsProvenAndChangesNothing(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	appendAndCommit(t, w, sealed(1))
	state, recovery, err := Load(disk, testDir, 0)
	must(t, err)
	if state.Segment(1) == nil || state.Segment(1).Sealed || state.NextOrdinal() != 2 || recovery.Err() != nil {
		t.Errorf("segment 1 is %+v, next %d", state.Segment(1), state.NextOrdinal())
	}
	appendAndCommit(t, w, opened(2)) // proves the one before
	state, _, err = Load(disk, testDir, 0)
	must(t, err)
	if !state.Segment(1).Sealed || state.Segment(2) != nil {
		t.Error("what a later record proves is left out")
	}
	must(t, w.Close())
	plantTornTail(disk, 1)
	before := disk.Operations()
	_, recovery, err = Load(disk, testDir, 0)
	must(t, err)
	if recovery.Cut == nil || recovery.Cut.FirstOrdinal != 4 || recovery.Cut.QuarantinePath != "" || disk.Operations() != before {
		t.Errorf("cut is %+v", recovery.Cut)
	}
	if _, _, err := Load(disk, "nowhere", 0); err == nil {
		t.Error("a directory that is not there")
	}
	checkNothingOpen(t, disk)
}
