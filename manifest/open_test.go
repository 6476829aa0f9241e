package manifest

// This file is the rules of opening, one by one.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestOptionsAreChecked(t *testing.T) {
	for name, options := range map[string]Options{
		"no log id":       {},
		"chunk too small": {LogID: 1, ChunkBytes: ChunkBytesMin - 4096},
		"chunk too large": {LogID: 1, ChunkBytes: ChunkBytesMax + 4096},
		"odd chunk":       {LogID: 1, ChunkBytes: ChunkBytesMin + 8},
	} {
		disk := vfs.NewMem(1)
		if _, err := Open(disk, testDir, options); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%s: %v", name, err)
		}
		if disk.Operations() != 0 {
			t.Errorf("%s: the disk was changed", name)
		}
	}
}

func TestFilesOfAnotherLogAreRefused(t *testing.T) {
	for _, without := range [][]string{{SnapshotName(1), SnapshotName(2)}, {ChunkName(1), ChunkName(2)}} {
		disk := copyDirectory(t, exampleDirectory(t), without...)
		options := testOptions()
		options.LogID++
		if _, err := Open(disk, testDir, options); !errors.Is(err, ErrWrongLog) {
			t.Errorf("open: %v", err)
		}
		if _, _, err := Load(disk, testDir, options.LogID); !errors.Is(err, ErrWrongLog) {
			t.Errorf("load: %v", err)
		}
		checkNothingOpen(t, disk)
	}
}

// reseal sets the checksum of a header of 128 bytes again.
func reseal(header []byte) {
	binary.LittleEndian.PutUint32(header[124:], crc32.Checksum(header[:124], castagnoli))
}

func TestANewerVersionIsRefusedAndNothingIsChanged(t *testing.T) {
	chunk := func(change func(b []byte)) func(*testing.T, *vfs.Mem) {
		return func(t *testing.T, disk *vfs.Mem) {
			b := disk.Live(chunkPath(testDir, 2))
			change(b)
			reseal(b)
			replaceFile(t, disk, ChunkName(2), b)
		}
	}
	cases := map[string]func(*testing.T, *vfs.Mem){
		"chunk version": chunk(func(b []byte) { b[8]++ }),
		"chunk flag":    chunk(func(b []byte) { b[13] |= 0x80 }),
		"record flag": chunk(func(b []byte) {
			length, err := recordExtent(b[128:])
			must(t, err)
			b[138] |= 1
			finishRecord(b[128:128+length], 0)
		}),
		"snapshot version": func(t *testing.T, disk *vfs.Mem) {
			b := disk.Live(snapshotPath(testDir, 2))
			b[8]++
			reseal(b)
			replaceFile(t, disk, SnapshotName(2), b)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			disk := exampleDirectory(t)
			change(t, disk)
			disk.CrashAt(0)
			before := disk.Live(chunkPath(testDir, 2))
			if _, err := Open(disk, testDir, testOptions()); !errors.Is(err, ErrNewerVersion) {
				t.Errorf("open: %v", err)
			}
			if !slices.Equal(before, disk.Live(chunkPath(testDir, 2))) || disk.Operations() > 2 {
				t.Error("the disk was changed")
			}
			checkNothingOpen(t, disk)
		})
	}
}

func TestUnknownTypesAndFlagsAreSkippedCountedAndKept(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	s, err := scanFile(disk, chunkPath(testDir, 1))
	must(t, err)
	unknown := Record{Flags: 0x4000, Ordinal: 2, SegmentID: 1, Payload: &Raw{Type: 500, Bytes: []byte("later")}}
	b, err := EncodeRecord(nil, &unknown)
	must(t, err)
	must(t, writeAll(w.current.file, b, int64(s.end)))
	must(t, w.Close())
	w = openWriter(t, disk)
	if r := w.Recovery(); r.Err() != nil || r.Skipped[500] != 1 || w.NextOrdinal() != 3 || w.State().Log().UnknownRecords != 1 {
		t.Errorf("skipped %v, next %d, %v", r.Skipped, w.NextOrdinal(), r.Err())
	}
	appendAndCommit(t, w, sealed(1))
	must(t, w.Close())
	found := readContents(t, disk)
	if len(found.records) != 3 || signature(&found.records[1]) != signature(&unknown) || found.records[1].Flags != 0x4000 {
		t.Errorf("records are %v", found.records)
	}
}

func TestACutRecordNeverComesBack(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	must(t, w.Close())
	plantTornTail(disk, 1)
	w = openWriter(t, disk)
	cut := w.Recovery().Cut
	if cut == nil || cut.FirstOrdinal != 2 || cut.Offset != 208 || w.NextOrdinal() != 2 {
		t.Fatalf("cut is %+v", cut)
	}
	if !strings.Contains(string(disk.Live(cut.QuarantinePath+".reason.json")), `"first_ordinal": 2`) {
		t.Error("the reason is not told")
	}
	appendAndCommit(t, w, sealed(1))
	must(t, w.Close())
	// Even if the end of the old file were there again.
	b := append(disk.Live(chunkPath(testDir, 1)), disk.Live(cut.QuarantinePath)...)
	replaceFile(t, disk, ChunkName(1), b)
	w = openWriter(t, disk)
	if w.Recovery().Err() != nil || w.Recovery().Cut != nil || w.NextOrdinal() != 3 || !w.State().Segment(1).Sealed {
		t.Errorf("recovery is %+v", w.Recovery())
	}
	must(t, w.Close())
}

// A zeroed sector is a lost write only where nothing proves it was durable.
func TestZeroedRecordsThatAreProvenDurableAreDamage(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, custom(1500), custom(1500))
	appendAndCommit(t, w, custom(1500), custom(1500))
	must(t, w.Close())
	places := extents(t, disk, 1)
	for ordinal := uint64(1); ordinal <= 4; ordinal++ {
		again := copyDirectory(t, disk)
		b := again.Live(chunkPath(testDir, 1))
		clear(b[places[ordinal][0]:places[ordinal][1]])
		replaceFile(t, again, ChunkName(1), b)
		w := openWriter(t, again)
		lost, isLast := w.Recovery().lost(), ordinal > 2
		if lost[ordinal] == isLast || (w.Recovery().Cut != nil) != isLast && ordinal != 4 {
			t.Errorf("record %d zeroed: lost %v, cut %+v", ordinal, lost, w.Recovery().Cut)
		}
		must(t, w.Close())
	}
	// A clean close proves all of them.
	w = openWriter(t, disk)
	must(t, w.CloseLog(1, 64))
	places = extents(t, disk, 1)
	b := disk.Live(chunkPath(testDir, 1))
	clear(b[places[4][0]:places[4][1]])
	replaceFile(t, disk, ChunkName(1), b)
	w = openWriter(t, disk)
	if !w.Recovery().lost()[4] || w.Recovery().Cut != nil {
		t.Errorf("zeroed behind a clean close: %+v", w.Recovery())
	}
	must(t, w.Close())
}

func TestOneOfTheClosePairProvesTheRecordsBefore(t *testing.T) {
	full := vfs.NewMem(1)
	w := openWriter(t, full)
	appendAndCommit(t, w, custom(1000), custom(1000))
	must(t, w.CloseLog(1, 64))
	places := extents(t, full, 1)
	if places[3][1]%sectorBytes != 0 || places[4][0] != places[3][1] {
		t.Fatalf("the pair is at %v and %v", places[3], places[4])
	}
	for lost := uint64(3); lost <= 4; lost++ {
		disk := copyDirectory(t, full)
		b := disk.Live(chunkPath(testDir, 1))
		sector := (places[lost][1] - 1) / sectorBytes * sectorBytes
		clear(b[sector : sector+sectorBytes]) // and with it, for the first, the end of record 2
		replaceFile(t, disk, ChunkName(1), b)
		w := openWriter(t, disk)
		r := w.Recovery()
		if r.Continued || r.Cut != nil && r.Cut.FirstOrdinal < 3 || lost == 3 && !r.lost()[3] {
			t.Errorf("without %d: %+v", lost, r)
		}
		must(t, w.Close())
	}
}

func TestAChunkIsContinuedOnlyBehindACleanClose(t *testing.T) {
	cases := map[string]struct {
		spoil     func(b []byte, end int)
		continued bool
	}{
		"untouched":              {func([]byte, int) {}, true},
		"a byte far behind":      {func(b []byte, _ int) { b[len(b)-100] = 1 }, false},
		"a byte right behind":    {func(b []byte, end int) { b[end] = 1 }, false},
		"only one of the pair":   {func(b []byte, end int) { clear(b[end-72 : end]) }, false},
		"damage before":          {func(b []byte, _ int) { b[200] ^= 1 }, false},
		"header does not verify": {func(b []byte, _ int) { b[100] ^= 1 }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem(1)
			w := openWriter(t, disk)
			appendAndCommit(t, w, custom(500))
			must(t, w.CloseLog(0, 0))
			b := disk.Live(chunkPath(testDir, 1))
			c.spoil(b, usedBytes(b)) // the second of the pair ends with zeros
			replaceFile(t, disk, ChunkName(1), b)
			w = openWriter(t, disk)
			if w.Recovery().Continued != c.continued {
				t.Errorf("continued: %v; %v", w.Recovery().Continued, w.Recovery().Err())
			}
			must(t, w.Close())
		})
	}
}

// A blob may hold bytes that look like records. Behind damage they must not be
// taken for the log's own.
func TestDamageIsNotResynchronizedAtAnImpossibleOrdinal(t *testing.T) {
	trap := Record{Ordinal: 900, Payload: &LogTrimmed{FirstSeqKept: 1 << 40}}
	image, err := EncodeRecord(nil, &trap)
	must(t, err)
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	blob := slices.Concat(make([]byte, 8), image, bytes.Repeat([]byte{0x55}, 400)) // 8-byte aligned in the file
	appendAndCommit(t, w, opened(1), Record{Payload: &CustomEvent{Blob: blob}}, sealed(1))
	must(t, w.Close())
	b := disk.Live(chunkPath(testDir, 1))
	b[extents(t, disk, 1)[2][0]] ^= 1
	replaceFile(t, disk, ChunkName(1), b)
	w = openWriter(t, disk)
	if lost := w.Recovery().lost(); w.State().Log().TrimmedTo != 0 || w.NextOrdinal() != 4 || len(lost) != 1 || !lost[2] {
		t.Errorf("next %d, trimmed to %d, lost %v", w.NextOrdinal(), w.State().Log().TrimmedTo, lost)
	}
	must(t, w.Close())
}

func TestAHeaderThatDoesNotVerifyIsRebuiltFromTheRecords(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	must(t, w.Rotate())
	appendAndCommit(t, w, sealed(1), opened(2))
	must(t, w.Close())
	b := disk.Live(chunkPath(testDir, 2))
	clear(b[:chunkHeaderBytes])
	replaceFile(t, disk, ChunkName(2), b)
	w = openWriter(t, disk)
	if r := w.Recovery(); len(r.Damage) != 1 || len(r.lost()) != 0 || r.Records != 3 || w.NextOrdinal() != 4 {
		t.Errorf("recovery is %+v", r)
	}
	must(t, w.Close())
	report, err := Check(disk, testDir)
	must(t, err)
	must(t, report.Err())
	if _, err := disk.Stat("log/quarantine/manifest_00000000000000000002_0000000000_1.bin"); err != nil {
		t.Errorf("the old header is not in quarantine: %v", err)
	}
}

// The chunk before tells the chain value of a header that is rebuilt. While it cannot
// be read, none is made up.
func TestAHeaderIsNotRebuiltWhileTheChunkBeforeCannotBeRead(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	must(t, w.Rotate())
	appendAndCommit(t, w, sealed(1), opened(2))
	must(t, w.Close())
	b := disk.Live(chunkPath(testDir, 2))
	clear(b[:chunkHeaderBytes])
	replaceFile(t, disk, ChunkName(2), b)
	faulty := vfs.NewFaulty(disk)
	// Replay reads it too, first.
	faulty.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: ChunkName(1), After: 1, Err: syscall.EIO})
	if w, err := Open(faulty, testDir, testOptions()); !errors.Is(err, syscall.EIO) {
		t.Errorf("opened: %v", err)
		must(t, w.Close())
	}
	must(t, openWriter(t, disk).Close())
	report, err := Check(disk, testDir)
	must(t, err)
	must(t, report.Err())
}

func TestRecoveredRecordsAreWrittenAgainBeforeTheyAreBelieved(t *testing.T) {
	disk := vfs.NewMem(7)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	disk.FailSync(1)
	if _, err := w.Append(sealed(1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("commit after a failed sync: %v", err)
	}
	must(t, w.Close())
	disk.ProcessCrash() // the page cache still has it, and calls it clean
	w = openWriter(t, disk)
	if !w.State().Segment(1).Sealed || w.Recovery().RewrittenBytes == 0 {
		t.Fatalf("recovery is %+v", w.Recovery())
	}
	must(t, w.Close())
	disk.PowerCut()
	w = openWriter(t, disk)
	if w.Recovery().Err() != nil || !w.State().Segment(1).Sealed {
		t.Errorf("after the power cut: %v", w.Recovery().Err())
	}
	must(t, w.Close())
}

// A name whose directory sync failed is there until the power goes.
func TestNamesAreMadeDurableBeforeTheyAreBelieved(t *testing.T) {
	for seed := range uint64(20) {
		disk := vfs.NewMem(seed)
		w := openWriter(t, disk)
		faulty := vfs.NewFaulty(disk)
		w.fsys = faulty
		faulty.Add(vfs.Rule{Op: vfs.OpSyncDir, Err: syscall.EIO})
		appendAll(t, w, opened(1))
		if err := w.Commit(); !errors.Is(err, ErrPoisoned) {
			t.Fatalf("commit: %v", err)
		}
		if err := w.Close(); err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		disk.ProcessCrash()
		w = openWriter(t, disk)
		chunks, err := w.Chunks()
		must(t, err)
		must(t, w.Close())
		disk.PowerCut()
		w = openWriter(t, disk)
		after, err := w.Chunks()
		must(t, err)
		if len(chunks) != 1 || len(after) != 1 {
			t.Fatalf("seed %d: %d chunks, after the power cut %d", seed, len(chunks), len(after))
		}
		must(t, w.Close())
	}
}

func TestUnknownFilesAreLeftAlone(t *testing.T) {
	disk := exampleDirectory(t)
	replaceFile(t, disk, "notes.txt", []byte("mine"))
	replaceFile(t, disk, "0000.mlog", []byte("short name"))
	replaceFile(t, disk, "old.tmp", []byte("leftover"))
	must(t, disk.MkdirAll(filepath.Join(testDir, catalogDirectory)))
	w := openWriter(t, disk)
	if r := w.Recovery(); !slices.Equal(r.UnknownFiles, []string{"0000.mlog", "notes.txt"}) || !slices.Equal(r.Swept, []string{"old.tmp"}) {
		t.Errorf("unknown %v, swept %v", r.UnknownFiles, r.Swept)
	}
	must(t, w.Close())
	if disk.Live(filepath.Join(testDir, "notes.txt")) == nil {
		t.Error("a file that is not ours is gone")
	}
	if disk.Live(filepath.Join(testDir, "old.tmp")) != nil {
		t.Error("a leftover is still there")
	}
}

func TestOpenOnTheOperatingSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "manifest")
	w, err := Open(nil, dir, Options{LogID: 5})
	must(t, err)
	appendAndCommit(t, w, opened(1), sealed(1))
	must(t, w.Rotate())
	appendAndCommit(t, w, opened(2))
	if _, err := w.WriteSnapshot(LogState{}); err != nil {
		t.Fatal(err)
	}
	must(t, w.CloseLog(2, 128))
	report, err := Check(nil, dir)
	must(t, err)
	must(t, report.Err())
	state, recovery, err := Load(nil, dir, 5)
	must(t, err)
	if recovery.Err() != nil || state.SegmentCount() != 2 || report.Chunks != 2 || !report.ClosedCleanly {
		t.Errorf("%d segments, %+v", state.SegmentCount(), report)
	}
	must(t, Inspect(nil, dir, func(e Entry) error { return e.Err }))
}

// However far an open comes before the process is killed or the power goes, the next
// one finds all records, and no sign of a chunk that is lost.
func TestAKillAtAnyPointOfAnOpenIsNoLossToTheNext(t *testing.T) {
	for _, powerCut := range []bool{false, true} {
		for crashAt := 1; ; crashAt++ {
			disk := vfs.NewMem(uint64(crashAt))
			w := openWriter(t, disk)
			appendAndCommit(t, w, opened(1), sealed(1))
			disk.PowerCut()
			disk.CrashAt(crashAt)
			crashed := openIsCutOff(t, disk)
			disk.CrashAt(0)
			if powerCut {
				disk.PowerCut()
			} else {
				disk.ProcessCrash()
			}
			for range 2 {
				w = openWriter(t, disk)
				if r := w.Recovery(); r.SealedEnd || r.Err() != nil || w.NextOrdinal() != 3 {
					t.Fatalf("killed at operation %d, power cut %v: next %d, %+v", crashAt, powerCut, w.NextOrdinal(), r)
				}
				disk.ProcessCrash()
			}
			if !crashed {
				break
			}
		}
	}
}

// openIsCutOff opens a manifest on a disk that is about to fail, and reports whether
// it did.
func openIsCutOff(t *testing.T, disk *vfs.Mem) (crashed bool) {
	t.Helper()
	defer func() {
		if cause := recover(); cause != nil {
			if _, crashed = cause.(vfs.Crashed); !crashed {
				panic(cause)
			}
		}
	}()
	openWriter(t, disk)
	return false
}
