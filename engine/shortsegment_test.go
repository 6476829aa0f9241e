package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Here the file of a segment that is not sealed lost its header, or all that is
// behind a few bytes of it.

// killedOnMemory is a log with 40 records that was killed, on a disk in memory.
func killedOnMemory(t *testing.T) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 40)
	commitManual(t, l)
	disk.PowerCut()
	return disk
}

func truncateOnMemory(t *testing.T, disk *vfs.Mem, path string, length int64) {
	t.Helper()
	file, err := disk.OpenReadWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(length); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file that ends inside its header, or just behind it, is no reason not to start.
func TestUnsealedSegmentOfAnyLengthOpens(t *testing.T) {
	for name, leave := range map[string]func(*testing.T) *vfs.Mem{"closed": closedOnMemory, "killed": killedOnMemory} {
		for length := range int64(segment.HeaderBytes + 73) {
			t.Run(fmt.Sprintf("%s/%d bytes", name, length), func(t *testing.T) {
				disk := leave(t)
				truncateOnMemory(t, disk, segmentFiles(t, disk, simRoot)[0], length)
				for range 2 {
					l := openManual(t, disk, smallSegments())
					last := l.Watermarks().Durable
					if last < 40 {
						t.Fatalf("%d records of 40", last)
					}
					if seq, err := l.Append(numbered(1)); err != nil || seq != last+1 {
						t.Fatalf("append behind %d: %d, %v", last, seq, err)
					}
					commitManual(t, l)
					disk.PowerCut()
				}
			})
		}
	}
}

// The header that SegmentOpened names was durable: a file in which neither it nor
// a record verifies is damage, whatever it looks like, and never an empty segment.
func TestUnsealedSegmentThatLostHeaderAndRecordsIsDamageForEveryReader(t *testing.T) {
	for _, closed := range []bool{true, false} {
		s := newSpecimen(t, closed)
		f := s.files[3]
		for name, change := range map[string]func([]byte) []byte{
			"zeroed":                    zeroed(0, f.bytes),
			"zeroed behind the magic":   zeroed(8, f.bytes),
			"zeroed, and a word is not": func(b []byte) []byte { return flipAt(5000)(zeroed(0, f.bytes)(b)) },
			"one byte everywhere":       func(b []byte) []byte { return bytes.Repeat([]byte{0x41}, len(b)) },
			"shorter and zeroed":        func(b []byte) []byte { return zeroed(0, f.end)(b[:f.end]) },
		} {
			t.Run(fmt.Sprintf("closed %v/%s", closed, strings.ReplaceAll(name, " ", "-")), func(t *testing.T) {
				root := s.change(t, 3, change)
				want := toll{first: f.firstSeq(), last: f.lastSeq(), beyond: true}
				s.wantHeaderLost(t, root, want)
				s.wantShown(t, root, want)
				s.wantTollForGood(t, root, want)
				s.wantToll(t, openLogTest(t, openOnDisk(t, root, Options{}), smallSegments()), want)
			})
		}
	}
}

// wantHeaderLost checks that a check of the root tells of the header, and of what
// it costs.
func (s *specimen) wantHeaderLost(t *testing.T, root string, want toll) {
	t.Helper()
	found := checkPlace(t, root, CheckOptions{}, root).Logs[0]
	lost := func(f Finding) bool {
		return f.Kind == FoundDamaged && f.FirstSeq == want.first && f.LastSeq >= want.last && f.Cost == CostLost && f.LastSeq == found.LastSeq
	}
	header := func(f Finding) bool { return f.Kind == FoundDamaged && f.Offset == 0 && f.Bytes == segment.HeaderBytes }
	if !slices.ContainsFunc(found.Damage, lost) || !slices.ContainsFunc(found.Damage, header) {
		t.Errorf("last %d, want %+v: %v", found.LastSeq, want, found.Damage)
	}
}

// Records behind a lost header that verify are read, and only what lies between is
// lost: it is no torn write, though nothing else proves that it was durable.
func TestRecordsBehindALostHeaderAreRead(t *testing.T) {
	s := newSpecimen(t, false)
	data := s.files[3].data()
	for _, p := range []placedRecord{data[0], data[1], data[30]} {
		root := s.change(t, 3, zeroed(0, p.at))
		want := toll{first: s.files[3].firstSeq(), last: p.Seq - 1}
		s.wantTollForGood(t, root, want)
	}
	disk := killedOnMemory(t) // all of its records are one batch
	path := segmentFiles(t, disk, simRoot)[0]
	p := recordsOnMemory(t, disk, path)[10]
	for at := int64(0); at < p.at; at += segment.SectorBytes {
		if err := disk.Corrupt(path, at, func(sector []byte) { clear(sector[:min(p.at-at, segment.SectorBytes)]) }); err != nil {
			t.Fatal(err)
		}
	}
	l := openManual(t, disk, smallSegments())
	var damage []*DamageError
	records := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { damage = append(damage, d) }})
	if len(records) != 30 || records[0].Seq != p.Seq || len(damage) != 1 || damage[0].FirstSeq != 1 || damage[0].LastSeq != p.Seq-1 {
		t.Errorf("%d records, %v", len(records), damage)
	}
}

// A crash while a segment without header and records is sealed is found as what it
// is, and costs no number twice.
func TestACrashWhileASegmentWithoutHeaderIsSealed(t *testing.T) {
	for crashAt := 1; ; crashAt++ {
		disk := killedOnMemory(t)
		zeroOnMemory(t, disk, segmentFiles(t, disk, simRoot)[0], 0)
		crashed := crashesOpening(disk, crashAt)
		disk.PowerCut()
		l := openManual(t, disk, smallSegments())
		if last := l.Watermarks().Durable; last < 40 {
			t.Fatalf("crash at %d: %d of 40", crashAt, last)
		}
		var damage []*DamageError
		records := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { damage = append(damage, d) }})
		if len(records) > 0 || len(damage) != 1 || damage[0].FirstSeq != 1 || damage[0].LastSeq != l.Watermarks().Durable {
			t.Fatalf("crash at %d: %d records, %v", crashAt, len(records), damage)
		}
		if !crashed {
			return
		}
	}
}

// Of the first segment of a log that was killed nothing proves to a reader without
// the right to write that SegmentOpened was durable: the file itself is enough.
func TestReadOnlyOpenShowsTheLossOfTheOnlySegment(t *testing.T) {
	live, root := filepath.Join(t.TempDir(), "live"), filepath.Join(t.TempDir(), "copy")
	l := openLogTest(t, openOnDisk(t, live, Options{}), smallSegments())
	appendNumbered(t, l, 1, 40)
	if err := l.Wait(t.Context(), 40, Durable); err != nil {
		t.Fatal(err)
	}
	copyTree(t, live, root)
	path := segmentFiles(t, vfs.OS(), root)[0]
	size := int64(len(flipped(t, path, 0)))
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	found := checkPlace(t, root, CheckOptions{}, root).Logs[0]
	e, err := OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	var damage *DamageError
	_, err = newReader(t, openLogTest(t, e, LogOptions{}), ReadOptions{}).Next(t.Context())
	if !errors.As(err, &damage) || damage.FirstSeq != 1 || damage.LastSeq != uint64(size/segment.RecordBytesMin) || damage.LastSeq != found.LastSeq {
		t.Errorf("%v; the check says %d", err, found.LastSeq)
	}
}
