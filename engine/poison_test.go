package engine

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A file keeps the name that it was opened by: what a log writes goes by
// next.tmp until a reopen.
var failures = []struct {
	name string
	rule vfs.Rule
}{
	{"write of records", vfs.Rule{Op: vfs.OpWrite, PathPattern: successorFileName, After: 5, Times: 1, Err: errIO}},
	{"short write of records", vfs.Rule{Op: vfs.OpWrite, PathPattern: successorFileName, After: 5, Times: 1, ShortWrite: 200, Err: errIO}},
	{"short write that says nothing", vfs.Rule{Op: vfs.OpWrite, PathPattern: successorFileName, After: 5, Times: 1, ShortWrite: 60}},
	{"write that was done all the same", vfs.Rule{Op: vfs.OpWrite, PathPattern: successorFileName, After: 5, Times: 1, Err: errIO, DoFirst: true}},
	{"sync of records", vfs.Rule{Op: vfs.OpSyncData, PathPattern: successorFileName, After: 5, Times: 1, Err: errIO}},
	{"sync of records that was done all the same", vfs.Rule{Op: vfs.OpSyncData, PathPattern: successorFileName, After: 5, Times: 1, Err: errIO, DoFirst: true}},
	{"write of the first header", vfs.Rule{Op: vfs.OpWrite, PathPattern: successorFileName, Times: 1, Err: errIO}},
	{"sync of the first header", vfs.Rule{Op: vfs.OpSyncData, PathPattern: successorFileName, Times: 1, Err: errIO}},
	{"rename of a segment", vfs.Rule{Op: vfs.OpRename, PathPattern: "*" + segmentSuffix, After: 1, Times: 1, Err: errIO}},
	{"sync of the directory", vfs.Rule{Op: vfs.OpSyncDir, PathPattern: segmentsDirName, After: 2, Times: 1, Err: errIO}},
	{"creation of the successor", vfs.Rule{Op: vfs.OpCreate, PathPattern: successorFileName, After: 1, Times: 1, Err: errIO}},
	{"allocation of the successor", vfs.Rule{Op: vfs.OpAllocate, PathPattern: successorFileName, After: 1, Times: 1, Err: errIO}},
	{"sync of the successor", vfs.Rule{Op: vfs.OpSync, PathPattern: successorFileName, After: 1, Times: 1, Err: errIO}},
	{"truncation of a seal", vfs.Rule{Op: vfs.OpTruncate, PathPattern: successorFileName, Times: 1, Err: errIO}},
	{"sync of a footer", vfs.Rule{Op: vfs.OpSync, PathPattern: successorFileName, After: 2, Times: 1, Err: errIO}},
	{"map of a seal", vfs.Rule{Op: vfs.OpMap, PathPattern: "*" + segmentSuffix, Times: 1, Err: errIO}},
}

func TestFailedWriteOrSyncPoisonsTheLogForGood(t *testing.T) {
	for _, failure := range failures {
		t.Run(failure.name, func(t *testing.T) {
			memory, events := vfs.NewMem(1), &eventLog{}
			disk := vfs.NewFaulty(memory)
			e := openOnDisk(t, simRoot, Options{FS: disk, OnEvent: events.note})
			disk.Add(failure.rule)
			l := openLogTest(t, e, smallSegments())
			acked := appendUntilPoisoned(t, l)
			wantPoisoned(t, l, events, acked)
			disk.Clear()
			wantPoisoned(t, l, events, acked)
			if err := ends(t, "Close", inBackground(e.Close)); !errors.Is(err, ErrPoisoned) {
				t.Errorf("Close returns %v", err)
			}
			if err := l.Close(); err != nil {
				t.Errorf("Close again: %v", err)
			}
			memory.ProcessCrash()
			first := reopenAll(t, memory, acked)
			memory.PowerCut()
			if second := reopenAll(t, memory, acked); second < first {
				t.Errorf("%d records were served after the restart, a power cut left %d", first, second)
			}
		})
	}
}

// appendUntilPoisoned appends from several goroutines until each of them is
// told of the failure, and returns the last sequence that was acked.
func appendUntilPoisoned(t *testing.T, l *Log) (acked uint64) {
	t.Helper()
	const writers = 4
	type result struct {
		acked uint64
		err   error
	}
	var results []<-chan result
	for range writers {
		results = append(results, inBackground(func() (r result) {
			for r.err == nil {
				var seq uint64
				if seq, r.err = l.AppendSync(shortly(t), &Record{Payload: make([]byte, 300)}); r.err == nil {
					r.acked = seq
				}
			}
			return r
		}))
	}
	for _, channel := range results {
		r := ends(t, "a writer", channel)
		if !errors.Is(r.err, ErrPoisoned) || !errors.Is(r.err, errIO) && !errors.Is(r.err, io.ErrShortWrite) {
			t.Fatalf("a writer is told %v", r.err)
		}
		acked = max(acked, r.acked)
	}
	return acked
}

// wantPoisoned checks that nothing more is acked and that what was acked is
// readable.
func wantPoisoned(t *testing.T, l *Log, events *eventLog, acked uint64) {
	t.Helper()
	marks := l.Watermarks()
	if marks.Durable < acked {
		t.Errorf("durable is %d, %d were acked", marks.Durable, acked)
	}
	if _, err := l.Append(&Record{Payload: []byte("x")}); !errors.Is(err, ErrPoisoned) {
		t.Errorf("Append: %v", err)
	}
	if _, err := l.AppendIf(&Record{Payload: []byte("x")}, Conditions{MsgID: []byte("id")}); !errors.Is(err, ErrPoisoned) {
		t.Errorf("AppendIf: %v", err)
	}
	if _, err := l.AppendBatch([]Record{{Payload: []byte("x")}}, BatchOptions{}); !errors.Is(err, ErrPoisoned) {
		t.Errorf("AppendBatch: %v", err)
	}
	if err := l.Seal(shortly(t)); !errors.Is(err, ErrPoisoned) {
		t.Errorf("Seal: %v", err)
	}
	if err := l.Wait(shortly(t), marks.Durable, Durable); err != nil {
		t.Errorf("Wait for what is durable: %v", err)
	}
	if marks.Appended > marks.Durable {
		if err := l.Wait(shortly(t), marks.Appended, Durable); !errors.Is(err, ErrPoisoned) {
			t.Errorf("Wait for what is not durable: %v", err)
		}
	}
	if err := l.State().Poisoned; !errors.Is(err, ErrPoisoned) {
		t.Errorf("State says %v", err)
	}
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != marks.Durable {
		t.Errorf("%d of %d durable records are readable", len(records), marks.Durable)
	}
	follower, err := l.NewReader(ReadOptions{FromSeq: marks.Durable + 1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := follower.Next(shortly(t)); !errors.Is(err, ErrPoisoned) {
		t.Errorf("a follower is told %v", err)
	}
	if err := follower.Close(); err != nil {
		t.Error(err)
	}
	if now := l.Watermarks(); now.Durable != marks.Durable {
		t.Errorf("durable went on from %d to %d", marks.Durable, now.Durable)
	}
	eventually(t, "the failure is told", func() bool { return len(events.of(EventLogPoisoned)) > 0 })
	if told := events.of(EventLogPoisoned); len(told) != 1 || !errors.Is(told[0].Err, ErrPoisoned) {
		t.Errorf("told %d times", len(told))
	}
	// Whatever is left to do stays undone: nobody tries it again and again.
	_ = ends(t, "the maintainer", inBackground(func() error { l.keeper.done.Wait(); return nil }))
}

// reopenAll opens the log again, reads all of it and ends the process. It
// returns the last sequence.
func reopenAll(t *testing.T, disk *vfs.Mem, acked uint64) uint64 {
	t.Helper()
	l := openManual(t, disk, smallSegments())
	last := l.Watermarks().Durable
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != last || last < acked {
		t.Errorf("%d records of %d are readable after the restart, %d were acked", len(records), last, acked)
	}
	if len(l.recovery.Damaged) > 0 {
		t.Errorf("the restart calls it damage: %v", l.recovery.Damaged[0])
	}
	disk.ProcessCrash()
	return last
}

// After a failed sync the page cache shows bytes that the disk does not have. A
// log that is opened on them acks and serves none that a power cut takes.
func TestRestartAfterALostSyncServesOnlyWhatSurvivesAPowerCut(t *testing.T) {
	survived := 0
	for seed := uint64(1); seed <= 6; seed++ {
		for failing := 1; ; failing++ {
			disk := vfs.NewMem(seed)
			disk.LoseSizeOnFailedSync(seed%2 == 0)
			l := openManual(t, disk, LogOptions{SegmentBytesMin: segmentBytesFloor, SegmentBytesMax: segmentBytesFloor})
			disk.FailSync(failing)
			var poisoned error
			for n := 0; n < 9 && poisoned == nil; n++ {
				poisoned = appendAndCommit(l, 60)
			}
			if poisoned == nil {
				break
			}
			if !errors.Is(poisoned, ErrPoisoned) {
				t.Fatalf("seed %d, sync %d: %v", seed, failing, poisoned)
			}
			acked := l.Watermarks().Durable
			where := fmt.Sprintf("seed %d, sync %d", seed, failing)
			disk.ProcessCrash()
			served := surviveRestart(t, disk, where, acked)
			disk.DropCleanPages()
			surviveRestart(t, disk, where+", with the page cache dropped", served)
			disk.PowerCut()
			surviveRestart(t, disk, where+", after a power cut", served)
			survived++
		}
	}
	if survived < 60 {
		t.Errorf("only %d failures were tried", survived)
	}
}

// surviveRestart opens the log, reads it, ends the process and returns the last
// sequence.
func surviveRestart(t *testing.T, disk *vfs.Mem, where string, atLeast uint64) uint64 {
	t.Helper()
	l, err := openManualLog(disk, smallSegments())
	if err != nil {
		t.Fatalf("%s: open: %v", where, err)
	}
	last := l.Watermarks().Durable
	if last < atLeast {
		t.Fatalf("%s: %d records are left of %d", where, last, atLeast)
	}
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != last || len(l.recovery.Damaged) > 0 {
		t.Fatalf("%s: %d records of %d, damage %v", where, len(records), last, l.recovery.Damaged)
	}
	disk.ProcessCrash()
	return last
}

// A recovery that meets a failing disk says so and leaves all as it is: the
// next one, on a disk that was mended, finds every record.
func TestRecoveryOnAFailingDiskFailsAndTheNextFindsAll(t *testing.T) {
	for failing := 1; ; failing++ {
		disk := vfs.NewMem(7)
		l := openManual(t, disk, smallSegments())
		if err := appendAndCommit(l, 700); err != nil {
			t.Fatal(err)
		}
		appendNumbered(t, l, 701, 5)
		l.committer.step()
		disk.ProcessCrash()
		disk.FailSync(failing)
		_, err := openManualLog(disk, smallSegments())
		disk.FailSync(0)
		disk.ProcessCrash()
		l = openManual(t, disk, smallSegments())
		if last := l.Watermarks().Durable; last < 700 || len(l.recovery.Damaged) > 0 {
			t.Fatalf("sync %d: %d records of 700, damage %v", failing, last, l.recovery.Damaged)
		}
		served := l.Watermarks().Durable
		disk.ProcessCrash()
		disk.PowerCut()
		surviveRestart(t, disk, fmt.Sprintf("sync %d", failing), served)
		if err == nil {
			if failing < 5 {
				t.Errorf("recovery made %d syncs", failing-1)
			}
			return
		}
		if !errors.Is(err, errIO) {
			t.Fatalf("sync %d: %v", failing, err)
		}
	}
}
