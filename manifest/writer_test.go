package manifest

// This file is what a Writer promises while it works.

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestAppendIsInStateOnlyAfterTheCommit(t *testing.T) {
	w := openWriter(t, vfs.NewMem(1))
	before := w.State()
	ordinal, err := w.Append(opened(1), sealed(1))
	must(t, err)
	if ordinal != 2 || w.State() != before || w.State().Segment(1) != nil {
		t.Errorf("ordinal %d, state %v", ordinal, w.State().Segment(1))
	}
	must(t, w.Commit())
	if s := w.State(); s.Segment(1) == nil || !s.Segment(1).Sealed || s.NextOrdinal() != 3 || before.SegmentCount() != 0 {
		t.Errorf("state is %+v", s.Segment(1))
	}
	must(t, w.Close())
}

func TestAppendTakesAllRecordsOrNone(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAll(t, w, opened(1))
	var contradiction *ContradictionError
	_, err := w.Append(sealed(1), opened(2), sealed(3))
	if !errors.As(err, &contradiction) || !errors.Is(err, ErrUnknownSegment) || contradiction.SegmentID != 3 || contradiction.Type != TypeSealSegment {
		t.Errorf("append: %v", err)
	}
	if w.NextOrdinal() != 2 {
		t.Errorf("next is %d", w.NextOrdinal())
	}
	appendAndCommit(t, w, sealed(1))
	must(t, w.Close())
	found := readContents(t, disk)
	if len(found.records) != 2 || found.records[1].Type() != TypeSealSegment || found.records[1].Ordinal != 2 {
		t.Errorf("records are %v", found.records)
	}
}

func TestAppendRefusesWhatIsNotForIt(t *testing.T) {
	w := openWriter(t, vfs.NewMem(1))
	for name, r := range map[string]Record{
		"no payload":                {},
		"LogClosed":                 {Payload: &LogClosed{}},
		"SnapshotMarker":            {Payload: &SnapshotMarker{SnapshotID: 1}},
		"raw of a type":             {Payload: &Raw{Type: TypeLogTrimmed}},
		"raw of the future":         {Payload: &Raw{Type: 600}},
		"flag":                      {Flags: 1, Payload: &CustomEvent{}},
		"segment id":                {SegmentID: 1 << 32, Payload: &CustomEvent{}},
		"log record with a segment": {SegmentID: 1, Payload: &LogTrimmed{FirstSeqKept: 2}},
		"segment record without":    {Payload: &SegmentOpened{BaseSeq: 1}},
	} {
		if _, err := w.Append(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string]Payload{
		"blob": &CustomEvent{Blob: make([]byte, ChunkBytesMax)},
		"key":  &UploadStarted{Key: strings.Repeat("k", 1<<16)},
	} {
		if _, err := w.Append(Record{Payload: p}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.NextOrdinal() != 1 || len(w.buffer) != 0 {
		t.Errorf("next %d, %d bytes buffered", w.NextOrdinal(), len(w.buffer))
	}
	must(t, w.Close())
}

func TestTheLargestRecordFits(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	largest := custom(recordBytesMax - recordHeaderBytes - 8)
	appendAndCommit(t, w, opened(1), largest, sealed(1))
	must(t, w.CloseLog(1, 0))
	found := readContents(t, disk)
	if len(found.records) != 5 || len(found.wrong) != 0 || signature(&found.records[1]) != signature(&largest) {
		t.Errorf("%d records, %v", len(found.records), found.wrong)
	}
	if info, err := disk.Stat(chunkPath(testDir, 2)); err != nil || info.Size() != ChunkBytesMax {
		t.Errorf("the large chunk: %v, %v", info, err)
	}
}

func TestAFailedSyncPoisonsAndIsNotRetried(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	appendAll(t, w, sealed(1))
	disk.FailSync(1)
	if err := w.Commit(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("commit: %v", err)
	}
	before := disk.Operations()
	for name, call := range map[string]func() error{
		"append":   func() error { _, err := w.Append(opened(2)); return err },
		"commit":   w.Commit,
		"rotate":   w.Rotate,
		"snapshot": func() error { _, err := w.WriteSnapshot(LogState{}); return err },
		"prune":    func() error { _, err := w.Prune(nil); return err },
		"chunks":   func() error { _, err := w.Chunks(); return err },
		"err":      w.Err,
	} {
		if err := call(); !errors.Is(err, ErrPoisoned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if disk.Operations() != before {
		t.Error("a poisoned writer touches the disk")
	}
	if s := w.State(); s.Segment(1).Sealed || s.NextOrdinal() != 2 {
		t.Error("what was not committed is in the state")
	}
	if err := w.CloseLog(0, 0); !errors.Is(err, ErrPoisoned) {
		t.Errorf("close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	checkNothingOpen(t, disk)
}

func TestEveryFailingWriteAndSyncPoisons(t *testing.T) {
	for n := range 60 {
		disk := vfs.NewMem(1)
		faulty := vfs.NewFaulty(disk)
		w, err := Open(faulty, testDir, testOptions())
		must(t, err)
		rule := faulty.Add(vfs.Rule{Op: vfs.OpWrite | vfs.OpAnySync | vfs.OpRename | vfs.OpTruncate, After: n, Times: 1, Err: syscall.EIO})
		promised := workUntilError(w)
		if rule.Applied() == 0 {
			if n < 20 {
				t.Fatalf("only %d operations", n)
			}
			must(t, w.Close())
			return
		}
		if err := w.Err(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("operation %d: %v", n, err)
		}
		_ = w.Close() // its own errors are not of interest
		disk.PowerCut()
		w = openWriter(t, disk)
		if w.Recovery().Err() != nil || w.NextOrdinal() < promised {
			t.Fatalf("operation %d: %d of %d, %v", n, w.NextOrdinal(), promised, w.Recovery().Err())
		}
		must(t, w.Close())
		checkNothingOpen(t, disk)
	}
}

// workUntilError returns the ordinal up to which everything was promised.
func workUntilError(w *Writer) (promised uint64) {
	promised = w.NextOrdinal()
	for id := uint64(1); id <= 3; id++ {
		steps := []func() error{
			func() error { _, err := w.Append(opened(id), sealed(id)); return err }, w.Commit, w.Rotate,
			func() error { _, err := w.WriteSnapshot(LogState{}); return err },
			func() error { _, err := w.Prune(func(Prunable) bool { return true }); return err },
		}
		for i, step := range steps {
			if step() != nil {
				return promised
			}
			if i > 0 {
				promised = w.NextOrdinal()
			}
		}
	}
	return promised
}

func TestAFullDiskLosesNothingAndIsNotFinal(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	disk.SetCapacity(2 * ChunkBytesMin) // the current and the next chunk are there
	for range 10 {
		appendAndCommit(t, w, custom(10_000)) // goes on into the second
	}
	var err error
	for err == nil {
		appendAll(t, w, custom(10_000))
		err = w.Commit()
	}
	if !errors.Is(err, syscall.ENOSPC) || w.Err() != nil {
		t.Fatalf("commit: %v; writer: %v", err, w.Err())
	}
	if _, err := w.WriteSnapshot(LogState{}); !errors.Is(err, syscall.ENOSPC) || w.Err() != nil {
		t.Fatalf("snapshot: %v; writer: %v", err, w.Err())
	}
	disk.SetCapacity(0)
	must(t, w.Commit())
	next := w.NextOrdinal()
	must(t, w.Close())
	w = openWriter(t, disk)
	if w.NextOrdinal() != next || w.Recovery().Err() != nil {
		t.Errorf("next %d, not %d; %v", w.NextOrdinal(), next, w.Recovery().Err())
	}
	must(t, w.Close())
}

// A quota that is used up is a full disk to whoever writes.
func TestASnapshotThatPassesAQuotaLosesNothing(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		disk := vfs.NewFaulty(vfs.NewMem(1))
		w := openWriter(t, disk)
		appendAndCommit(t, w, opened(1), sealed(1))
		rule := disk.Add(vfs.Rule{Op: vfs.OpWrite, PathPattern: "snapshot_*", Err: full})
		if _, err := w.WriteSnapshot(LogState{}); !errors.Is(err, full) || w.Err() != nil {
			t.Errorf("snapshot: %v; writer: %v", err, w.Err())
		}
		rule.Remove()
		_, err := w.WriteSnapshot(LogState{})
		must(t, err)
		must(t, w.Close())
	}
}

func TestOpeningNeedsNoSpace(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	must(t, w.Close())
	disk.SetCapacity(4096)
	w = openWriter(t, disk)
	if w.State().Segment(1) == nil {
		t.Error("segment 1 is not known")
	}
	must(t, w.Close())
}

func TestStateMayBeReadWhileTheWriterWorks(t *testing.T) {
	w := openWriter(t, vfs.NewMem(1))
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				s := w.State()
				count := 0
				for segment := range s.Segments() {
					count++
					if segment.ID != uint64(count) || !segment.Sealed {
						t.Errorf("segment %d at place %d, sealed %v", segment.ID, count, segment.Sealed)
					}
				}
				if count != s.SegmentCount() || s.NextOrdinal() != uint64(2*count+1) {
					t.Errorf("%d segments, next ordinal %d", count, s.NextOrdinal())
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for id := uint64(1); id <= 600; id++ {
		appendAndCommit(t, w, opened(id), sealed(id))
	}
	close(done)
	readers.Wait()
	must(t, w.Close())
}

func TestNewChunksCarryTheEpochAndTheChain(t *testing.T) {
	disk := vfs.NewMem(1)
	options := testOptions()
	options.Epoch = 4
	w, err := Open(disk, testDir, options)
	must(t, err)
	appendAndCommit(t, w, custom(10))
	must(t, w.Rotate())
	appendAndCommit(t, w, Record{Payload: &OwnerChanged{Epoch: 9, Owner: "beta"}})
	must(t, w.Rotate())
	appendAndCommit(t, w, custom(10))
	must(t, w.Close())
	var before ChunkHeader
	for index, epoch := range map[uint64]uint64{1: 4, 2: 4, 3: 9} {
		h, err := DecodeChunkHeader(disk.Live(chunkPath(testDir, index)))
		must(t, err)
		if h.Epoch != epoch || h.ChunkIndex != index || h.LogID != testLogID || h.Sealed() != (index < 3) {
			t.Errorf("chunk %d: %+v", index, h)
		}
	}
	for index := uint64(1); index <= 3; index++ {
		h, err := DecodeChunkHeader(disk.Live(chunkPath(testDir, index)))
		must(t, err)
		if h.PreviousCRC64 != before.RecordsCRC64 || h.BaseRecord != max(1, before.BaseRecord+before.RecordCount) {
			t.Errorf("chunk %d does not follow: %+v, %+v", index, before, h)
		}
		before = h
	}
}

func TestPruneKeepsTheTwoNewestSnapshotsAndTheirChunks(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	for id := uint64(1); id <= 4; id++ {
		appendAndCommit(t, w, opened(id), sealed(id))
		must(t, w.Rotate())
		if _, err := w.WriteSnapshot(LogState{}); err != nil {
			t.Fatal(err)
		}
	}
	var asked []string
	removed, err := w.Prune(func(p Prunable) bool {
		asked = append(asked, filepath.Base(p.Path))
		return p.ChunkIndex != 2
	})
	must(t, err)
	if want := []string{ChunkName(1), ChunkName(2), SnapshotName(1), SnapshotName(2)}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v", asked)
	}
	if len(removed) != 3 || filepath.Base(removed[0]) != ChunkName(1) {
		t.Errorf("removed %v", removed)
	}
	removed, err = w.Prune(func(Prunable) bool { return true })
	must(t, err)
	if len(removed) != 2 || filepath.Base(removed[0]) != ChunkName(2) || filepath.Base(removed[1]) != ChunkName(3) {
		t.Errorf("removed %v", removed)
	}
	report, err := Check(disk, testDir)
	must(t, err)
	must(t, report.Err())
	if report.SnapshotsGood != 2 || report.SnapshotsCompared != 1 || report.Chunks != 2 {
		t.Errorf("report is %+v", report)
	}
	if w.SinceSnapshot() != 1 {
		t.Errorf("%d records since the snapshot", w.SinceSnapshot())
	}
	must(t, w.Close())
}

func TestASnapshotKeepsWhatNoRecordSays(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1), sealed(1))
	w.NoteVerified(1, TierHot, 12345)
	w.NoteVerified(9, TierHot, 1) // not known
	info, err := w.WriteSnapshot(LogState{NextSeq: 40, LastNs: 77, MaxNs: 88, LastExtID: 99, DedupWindowNs: 5, DedupMaxIDs: 6, Epoch: 0})
	must(t, err)
	if info.ID != 1 || info.Ordinal != 3 || info.ChunkIndex != 1 || info.Bytes == 0 {
		t.Errorf("info is %+v", info)
	}
	must(t, w.Close())
	w = openWriter(t, disk)
	log := w.State().Log()
	if log.NextSeq != 40 || log.LastNs != 77 || log.MaxNs != 1099 || log.LastExtID != 99 || log.DedupWindowNs != 5 || log.DedupMaxIDs != 6 || log.LastSnapshotID != 1 {
		t.Errorf("log is %+v", log)
	}
	if got := w.State().Segment(1).VerifiedNs[TierHot]; got != 12345 {
		t.Errorf("verified at %d", got)
	}
	// Nothing is ever set back.
	if _, err := w.WriteSnapshot(LogState{NextSeq: 2, LastNs: 1, MaxNs: 1, LastExtID: 1}); err != nil {
		t.Fatal(err)
	}
	if log := w.State().Log(); log.NextSeq != 40 || log.LastNs != 77 || log.MaxNs != 1099 || log.LastExtID != 99 || log.LastSnapshotID != 2 {
		t.Errorf("log is %+v", log)
	}
	must(t, w.Close())
}

func TestSnapshotIDsAreNeverUsedTwice(t *testing.T) {
	disk := exampleDirectory(t)
	must(t, disk.Remove(snapshotPath(testDir, 2))) // its marker is still there
	w := openWriter(t, disk)
	info, err := w.WriteSnapshot(LogState{})
	must(t, err)
	if info.ID != 3 {
		t.Errorf("id is %d", info.ID)
	}
	replaceFile(t, disk, SnapshotName(7), []byte("no marker, no content"))
	if info, err = w.WriteSnapshot(LogState{}); err != nil || info.ID != 8 {
		t.Errorf("id is %d, %v", info.ID, err)
	}
	must(t, w.Close())
}

func TestSectionsOfALaterVersionAreKept(t *testing.T) {
	state := NewState()
	state.skipped = []section{{kind: 40, flags: 0x0100, count: 1, items: []byte{2, 0, 0, 0, 'h', 'i'}}}
	b, err := EncodeSnapshot(&Snapshot{SnapshotHeader: SnapshotHeader{LogID: 1, SnapshotID: 1, Ordinal: 1}, State: state})
	must(t, err)
	again, err := DecodeSnapshot(b)
	must(t, err)
	twice, err := EncodeSnapshot(again)
	must(t, err)
	if !slices.Equal(b, twice) || len(again.State.skipped) != 1 {
		t.Error("the section is lost")
	}
}

func TestAClosedWriterSaysSo(t *testing.T) {
	w := openWriter(t, vfs.NewMem(1))
	must(t, w.Close())
	must(t, w.Close())
	if _, err := w.Append(opened(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := w.Commit(); !errors.Is(err, ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if err := w.CloseLog(0, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("close: %v", err)
	}
}
