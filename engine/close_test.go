package engine

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

var (
	errNoSpace = error(syscall.ENOSPC)
	errIO      = error(syscall.EIO)
)

// Close writes all that was appended, however many segments that takes and
// whether or not the next one is ready.
func TestCloseWritesWhatIsAppendedOverManySegments(t *testing.T) {
	disk := vfs.NewMem(1)
	e := openOnDisk(t, simRoot, Options{FS: disk})
	l := openLogTest(t, e, smallSegments())
	const count = 5000
	appendNumbered(t, l, 1, count)
	if err := errors.Join(l.Close(), e.Close()); err != nil {
		t.Fatalf("close: %v", err)
	}
	disk.PowerCut()
	l = openLogTest(t, openOnDisk(t, simRoot, Options{FS: disk}), smallSegments())
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, count)
	if l.recovery.Eventful() {
		t.Errorf("a clean close needed recovery: %+v", l.recovery)
	}
}

// Nobody may take a root whose last owner is still writing: whoever closes the
// engine waits for a log that another goroutine closes.
func TestEngineCloseWaitsForALogThatIsBeingClosed(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem(1))
	held := newGate(disk)
	e := openOnDisk(t, simRoot, Options{FS: disk})
	l := openLogTest(t, e, LogOptions{})
	appendMany(t, l, 1, 3)
	slow := disk.Add(vfs.Rule{Op: vfs.OpSyncData, Delay: time.Second})
	first := inBackground(l.Close)
	ends(t, "the sync of the close mark", held.arrived)
	second := inBackground(e.Close)
	for range 50 { // however often it gets the processor
		eventually(t, "the engine is closing", func() bool { return !e.lifecycle.TryLock() || unlock(&e.lifecycle) })
		select {
		case err := <-second:
			t.Fatalf("the engine is closed (%v) and its root free while a log is being written", err)
		case <-time.After(time.Millisecond):
		}
	}
	slow.Remove()
	held.open()
	for _, closing := range []<-chan error{first, second} {
		if err := ends(t, "Close", closing); err != nil {
			t.Error(err)
		}
	}
}

// Whoever opens a log while another goroutine closes it gets it open.
func TestALogThatIsBeingClosedIsOpenedAgainWhenItIs(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem(1))
	held := newGate(disk)
	e := openOnDisk(t, simRoot, Options{FS: disk})
	l := openLogTest(t, e, LogOptions{})
	appendMany(t, l, 1, 3)
	slow := disk.Add(vfs.Rule{Op: vfs.OpSyncData, Delay: time.Second})
	closing := inBackground(l.Close)
	ends(t, "the sync of the close mark", held.arrived)
	opening := inBackground(func() *Log {
		again, err := e.OpenLog("orders", LogOptions{})
		if err != nil {
			t.Errorf("open: %v", err)
		}
		return again
	})
	eventually(t, "the log is being opened", func() bool { return len(opening) > 0 || !e.lifecycle.TryLock() || unlock(&e.lifecycle) })
	slow.Remove()
	held.open()
	if err := ends(t, "Close", closing); err != nil {
		t.Fatal(err)
	}
	again := ends(t, "OpenLog", opening)
	appendMany(t, again, 4, 3)
	wantRecords(t, readAll(t, again, ReadOptions{}), 1, 6)
}

func unlock(m *sync.Mutex) bool {
	m.Unlock()
	return false
}

func TestClosedLogTakesNothingAndOpensAgain(t *testing.T) {
	e := openTest(t, t.TempDir())
	l := openLogTest(t, e, LogOptions{})
	appendMany(t, l, 1, 5)
	for range 3 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(numbered(6)); !errors.Is(err, ErrClosed) {
		t.Errorf("Append: %v", err)
	}
	if _, err := l.AppendSync(t.Context(), numbered(6)); !errors.Is(err, ErrClosed) {
		t.Errorf("AppendSync: %v", err)
	}
	if _, err := l.AppendBatch([]Record{*numbered(6)}, BatchOptions{Atomic: true}); !errors.Is(err, ErrClosed) {
		t.Errorf("AppendBatch: %v", err)
	}
	if _, err := l.AppendIf(numbered(6), Conditions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("AppendIf: %v", err)
	}
	if err := l.Seal(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Seal: %v", err)
	}
	if err := l.Wait(t.Context(), 5, Durable); err != nil {
		t.Errorf("Wait for a durable record: %v", err)
	}
	for _, level := range []Level{Durable, Written} {
		if err := l.Wait(t.Context(), 6, level); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrClosed) {
			t.Errorf("Wait for a record that never was: %v", err)
		}
	}
	l = openLogTest(t, e, LogOptions{})
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 5)
	appendMany(t, l, 6, 5)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if _, err := e.OpenLog("orders", LogOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("OpenLog of a closed engine: %v", err)
	}
}

func TestWaitEndsWithItsContextAndTheRecordIsStillCommitted(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem(1))
	held := newGate(disk)
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: disk}), LogOptions{})
	appendMany(t, l, 1, 1)
	slow := disk.Add(vfs.Rule{Op: vfs.OpSyncData, Delay: time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	waiting := inBackground(func() error {
		_, err := l.AppendSync(ctx, numbered(2))
		return err
	})
	ends(t, "the sync", held.arrived)
	cancel()
	if err := ends(t, "AppendSync", waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled AppendSync: %v", err)
	}
	slow.Remove()
	held.open()
	if err := l.Wait(shortly(t), 2, Durable); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 2)
	if err := l.Wait(t.Context(), 3, Durable); !errors.Is(err, ErrNotFound) {
		t.Errorf("Wait for a number that was not given out: %v", err)
	}
	if err := l.Wait(t.Context(), 1, Cold); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Wait for the cold tier without one: %v", err)
	}
}

// Appends, waits, seals, readers, Close and reopening run into each other as
// they fall. What was acked is there afterwards, dense.
func TestAppendSealAndCloseInAnyOrder(t *testing.T) {
	disk := vfs.NewMem(1)
	var acked uint64
	for round := range 25 {
		e := openOnDisk(t, simRoot, Options{FS: disk})
		l := openLogTest(t, e, smallSegments())
		if last := l.Watermarks().Durable; last < acked {
			t.Fatalf("round %d: %d records are left of %d", round, last, acked)
		}
		acked = max(acked, raceWithClose(t, l, round))
		if err := ends(t, "engine close", inBackground(e.Close)); err != nil {
			t.Fatal(err)
		}
	}
}

// raceWithClose closes a log under everybody's hands and returns the last
// sequence that was acked.
func raceWithClose(t *testing.T, l *Log, round int) uint64 {
	t.Helper()
	var group sync.WaitGroup
	var acked struct {
		sync.Mutex
		seq uint64
	}
	ended := func(err error) bool {
		if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrBackpressure) {
			t.Errorf("round %d: %v", round, err)
		}
		return errors.Is(err, ErrClosed)
	}
	for w := range 3 {
		group.Go(func() {
			for n := 0; ; n++ {
				seq, err := l.AppendSync(shortly(t), &Record{Payload: make([]byte, 100+w*700)})
				if ended(err) || t.Failed() {
					return
				}
				acked.Lock()
				acked.seq = max(acked.seq, seq)
				acked.Unlock()
			}
		})
	}
	group.Go(func() {
		for !ended(l.Seal(shortly(t))) && !t.Failed() {
			l.State()
		}
	})
	group.Go(func() {
		r, err := l.NewReader(ReadOptions{Follow: true})
		if ended(err) || err != nil {
			return
		}
		for _, err := range r.All(shortly(t)) {
			ended(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Wait(shortly(t), l.Watermarks().Appended, Durable); err != nil {
		t.Error(err)
	}
	eventually(t, "some records are durable", func() bool { return l.Watermarks().Durable > uint64(20*round) || t.Failed() })
	group.Go(func() { ended(l.Close()) })
	ended(l.Close())
	_ = ends(t, "everybody", inBackground(func() error { group.Wait(); return nil }))
	return acked.seq
}

// An engine that opens and closes logs again and again ends with the counts
// that it began with.
func TestClosedLogsLeaveNoCountsBehind(t *testing.T) {
	e := openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)})
	for round := range 5 {
		l := openLogTest(t, e, smallSegments())
		appendMany(t, l, 1+round*10, 10)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if used, unsealed := e.hot.used.Load(), e.unsealed.Load(); used != 0 || unsealed != 0 {
			t.Fatalf("round %d: %d hot bytes and %d unsealed segments of no log", round, used, unsealed)
		}
	}
}

// A log that cannot be opened holds nothing: neither files nor bytes of the
// budget.
func TestLogThatCannotBeOpenedHoldsNothing(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem(1))
	first := openManual(t, disk, smallSegments())
	if err := appendAndCommit(first, 600); err != nil {
		t.Fatal(err)
	}
	disk.Clear()
	e := first.engine
	for _, s := range *first.segments.Load() {
		if err := s.closeFile(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(first.keeper.discardSuccessor(), first.journal.close(false, closeMark{}), e.lock.release()); err != nil {
		t.Fatal(err)
	}
	broken := disk.Add(vfs.Rule{Op: vfs.OpSync, PathPattern: "*" + segmentSuffix, Err: errIO})
	e = openOnDisk(t, simRoot, Options{FS: disk})
	files, _ := vfs.OpenHandles(disk)
	for range 3 {
		if _, err := e.OpenLog("orders", smallSegments()); !errors.Is(err, errIO) {
			t.Fatalf("open on a broken disk: %v", err)
		}
		if now, maps := vfs.OpenHandles(disk); now != files || maps != 0 {
			t.Errorf("%d files and %d maps are open, %d were before", now, maps, files)
		}
		if used := e.hot.used.Load(); used != 0 {
			t.Errorf("%d hot bytes of no log", used)
		}
	}
	broken.Remove()
	l := openLogTest(t, e, smallSegments())
	if l.Watermarks().Durable != 600 {
		t.Errorf("%d records of 600", l.Watermarks().Durable)
	}
}
