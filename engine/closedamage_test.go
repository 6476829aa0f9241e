package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// Of a log that was closed cleanly the manifest proves the end: what is gone in
// front of it is damage, for every reader, and never a torn tail.

// closeMark is the mark that a specimen's last segment was closed with.
func (s *specimen) closeMark() placedRecord {
	records := s.files[3].records
	return records[len(records)-1]
}

func TestZeroedTailOfACleanCloseIsDamageForEveryReader(t *testing.T) {
	s := newSpecimen(t, true)
	data := s.files[3].data()
	last := data[len(data)-1]
	sector := last.at &^ (segment.SectorBytes - 1)
	for name, from := range map[string]int64{
		"last record":       last.at,
		"its sector":        sector,
		"its second half":   last.at + segment.RecordHeaderBytes/2,
		"many records":      data[3].at,
		"all of the file":   segment.HeaderBytes,
		"a record's middle": data[len(data)-4].at + 50,
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			want := toll{last: uint64(s.count), beyond: true}
			for _, p := range data {
				if p.end > from {
					want.first = p.Seq
					break
				}
			}
			root := s.change(t, 3, zeroed(from, s.files[3].bytes))
			s.wantCheckToll(t, root, want)
			s.wantShown(t, root, want)
			s.wantTollForGood(t, root, want)
		})
	}
}

// wantShown checks that a read-only open shows the damage, and not an end of the
// log in front of it.
func (s *specimen) wantShown(t *testing.T, root string, want toll) {
	t.Helper()
	e, err := OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	s.wantToll(t, openLogTest(t, e, LogOptions{}), want)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantCheckToll checks that a check of the root finds the same as readers do.
func (s *specimen) wantCheckToll(t *testing.T, root string, want toll) {
	t.Helper()
	report := checkPlace(t, root, CheckOptions{}, root)
	found := wantFinding(t, report, s.path(root, 3), "hot")
	if found.FirstSeq != want.first || found.LastSeq < want.last || found.Cost != CostLost || report.Logs[0].LastSeq != found.LastSeq {
		t.Errorf("%v, last %d, want %+v", found, report.Logs[0].LastSeq, want)
	}
}

func TestSegmentOfACleanCloseThatWasCutOffIsDamage(t *testing.T) {
	s := newSpecimen(t, true)
	data := s.files[3].data()
	for _, p := range []placedRecord{data[5], data[len(data)-1]} {
		for _, length := range []int64{p.at, p.at + 20, p.end - 8} {
			want := toll{first: p.Seq, last: uint64(s.count), beyond: true}
			root := s.change(t, 3, func(b []byte) []byte { return b[:length] })
			s.wantShown(t, root, want)
			s.wantTollForGood(t, root, want)
		}
	}
}

// The mark is no record: without it the segment is not continued, and that is all.
func TestZeroedCloseMarkCostsNothing(t *testing.T) {
	s := newSpecimen(t, true)
	mark := s.closeMark()
	root := s.change(t, 3, zeroed(mark.at, mark.at+segment.SectorBytes))
	s.wantShown(t, root, noToll)
	l := openLogTest(t, openOnDisk(t, root, Options{}), smallSegments())
	report := l.State().Recovery
	if len(report.Damaged)+len(report.Cut) > 0 || report.SealedSegments != 1 || l.Watermarks().Durable != uint64(s.count) {
		t.Errorf("%d of %d, %+v", l.Watermarks().Durable, s.count, report)
	}
	s.wantToll(t, l, noToll)
}

// Records of the manifest that follow the close, without an append, take nothing
// away from what it proves.
func TestACleanCloseProvesItsEndForGood(t *testing.T) {
	s := newSpecimen(t, true)
	p := s.files[3].data()[30]
	root := s.change(t, 3, zeroed(p.at, s.files[3].bytes))
	w, err := manifest.Open(vfs.OS(), newLogLayout(root, "orders").manifest, manifest.Options{LogID: s.files[3].header.LogID})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Append(manifest.Record{Payload: &manifest.CustomEvent{SchemaID: 1}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if w.State().Log().Closed {
		t.Fatal("the manifest says that nothing came after the close")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := toll{first: p.Seq, last: uint64(s.count), beyond: true}
	s.wantCheckToll(t, root, want)
	s.wantShown(t, root, want)
	s.wantTollForGood(t, root, want)
}

// closedOnMemory is a log with 40 records that was closed cleanly, on a disk in
// memory.
func closedOnMemory(t *testing.T) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 40)
	commitManual(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	disk.PowerCut()
	return disk
}

// zeroOnMemory clears a segment file from an offset on, on the disk itself.
func zeroOnMemory(t *testing.T, disk *vfs.Mem, path string, from int64) {
	t.Helper()
	size := int64(len(disk.Durable(path)))
	for at := from; at < size; at = at&^(segment.SectorBytes-1) + segment.SectorBytes {
		first := at % segment.SectorBytes
		if err := disk.Corrupt(path, at, func(sector []byte) { clear(sector[first:]) }); err != nil {
			t.Fatal(err)
		}
	}
}

// recordsOnMemory is the data records of a segment file.
func recordsOnMemory(t *testing.T, disk *vfs.Mem, path string) []placedRecord {
	t.Helper()
	copied := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(copied, disk.Durable(path), 0o600); err != nil {
		t.Fatal(err)
	}
	f := dissect(t, copied)
	return f.data()
}

func TestOnlyWhatCameBehindACleanCloseIsCut(t *testing.T) {
	disk := closedOnMemory(t)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 41, 10)
	commitManual(t, l)
	disk.PowerCut()
	path := segmentFiles(t, disk, simRoot)[0]
	torn := recordsOnMemory(t, disk, path)[44]
	zeroOnMemory(t, disk, path, torn.at)

	l = openManual(t, disk, smallSegments())
	report := l.State().Recovery
	if l.Watermarks().Durable != torn.Seq-1 || len(report.Damaged) > 0 {
		t.Fatalf("%d durable, want %d: %+v", l.Watermarks().Durable, torn.Seq-1, report)
	}
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, int(torn.Seq-1))
}

// The close of an older owner, behind which everything is gone, and a segment
// after it: the next segment says where the older one ends, and what is appended
// stays above all that was ever given out.
func TestACloseInAnOlderSegment(t *testing.T) {
	for _, behind := range []bool{false, true} {
		disk := closedOnMemory(t)
		if behind {
			l := openManual(t, disk, smallSegments())
			appendNumbered(t, l, 41, 3)
			commitManual(t, l)
			l.retireTail()
			appendNumbered(t, l, 44, 5)
			commitManual(t, l)
			disk.PowerCut()
		}
		path := segmentFiles(t, disk, simRoot)[0]
		p := recordsOnMemory(t, disk, path)[20]
		zeroOnMemory(t, disk, path, p.at)
		l := openManual(t, disk, smallSegments())
		last, report := l.Watermarks().Durable, l.State().Recovery
		if behind && last != 48 || !behind && last < 40 || len(report.Cut) > 0 {
			t.Fatalf("behind %v: %d durable, %+v", behind, last, report)
		}
		var damage []*DamageError
		records := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { damage = append(damage, d) }})
		wantRecords(t, records[:20], 1, 20)
		if len(damage) != 1 || damage[0].FirstSeq != p.Seq || damage[0].LastSeq < 40 || behind && damage[0].LastSeq != 43 {
			t.Errorf("behind %v: %v", behind, damage)
		}
		if seq, err := l.Append(numbered(1)); err != nil || seq != last+1 {
			t.Errorf("behind %v: %d, %v", behind, seq, err)
		}
		disk.ProcessCrash()
	}
}
