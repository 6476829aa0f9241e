package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// appendUntilRefused appends until a record is refused, and returns the refusal
// and the last sequence that was given out.
func appendUntilRefused(t *testing.T, l *Log, bytes int) (*BackpressureError, uint64) {
	t.Helper()
	for range 100_000 {
		_, err := l.Append(&Record{Payload: make([]byte, bytes)})
		if err == nil {
			continue
		}
		var full *BackpressureError
		if !errors.As(err, &full) || !errors.Is(err, ErrBackpressure) {
			t.Fatalf("refused with %v", err)
		}
		if full.Log != "orders" || full.RetryAfter <= 0 || full.Full == "" {
			t.Fatalf("a refusal that says little: %+v", full)
		}
		return full, l.Watermarks().Appended
	}
	t.Fatal("nothing is ever refused")
	return nil, 0
}

// fillUp appends, each record when the one before is durable, until there is no
// room for the next segment and an append is refused.
func fillUp(t *testing.T, l *Log) *BackpressureError {
	t.Helper()
	for {
		seq, err := l.Append(&Record{Payload: make([]byte, 400)})
		var full *BackpressureError
		if errors.As(err, &full) {
			return full
		}
		if err != nil {
			t.Fatal(err)
		}
		l.Request(seq, Durable)
		eventually(t, "the record is durable or there is no room", func() bool {
			return l.Watermarks().Durable >= seq || l.roomError() != nil
		})
	}
}

// goesOn waits until an append is accepted again, and makes it durable.
func goesOn(t *testing.T, l *Log, bytes int) uint64 {
	t.Helper()
	var seq uint64
	eventually(t, "an append is accepted again", func() (accepted bool) {
		got, err := l.Append(&Record{Payload: make([]byte, bytes)})
		if err != nil && !errors.Is(err, ErrBackpressure) {
			t.Fatal(err)
		}
		seq = got
		return err == nil
	})
	if err := l.Wait(shortly(t), seq, Durable); err != nil {
		t.Fatal(err)
	}
	return seq
}

// wantPressureEvents checks that each change of state was told once, with what
// was refused in between, and that all is clear now.
func wantPressureEvents(t *testing.T, l *Log, events *eventLog, kind BackpressureKind) {
	t.Helper()
	state := l.State()
	if state.Backpressure != 0 || state.Refused[kind] == 0 {
		t.Errorf("State says %s is on, %v refused", state.Backpressure, state.Refused)
	}
	var refused uint64
	var told []Event
	eventually(t, "all that was refused is told", func() bool {
		refused, told = 0, events.of(EventBackpressureEntered, EventBackpressureCleared)
		for _, event := range told {
			refused += event.Refused
		}
		return refused >= state.Refused[kind]
	})
	if refused != state.Refused[kind] {
		t.Errorf("%d refusals were told, State counts %d", refused, state.Refused[kind])
	}
	for i, event := range told {
		want := [2]EventKind{EventBackpressureEntered, EventBackpressureCleared}[i%2]
		if event.Kind != want || event.Backpressure != kind || event.Log != "orders" || (event.Refused > 0) != (i%2 == 1) {
			t.Errorf("event %d is %+v, want %s", i, event, want)
		}
	}
	if len(told)%2 != 0 {
		t.Errorf("%d changes were told", len(told))
	}
}

func TestFullDiskRefusesAppendsAndGoesOnWhenThereIsRoom(t *testing.T) {
	disk, events := vfs.NewMem(1), &eventLog{}
	opts := Options{FS: disk, OnEvent: events.note}
	e := openOnDisk(t, simRoot, opts)
	l := openLogTest(t, e, smallSegments())
	if _, err := l.AppendSync(t.Context(), &Record{Payload: make([]byte, 400)}); err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(300 << 10)
	full := fillUp(t, l)
	if full.Kind != Admission || !isNoSpace(full) {
		t.Fatalf("a full disk refuses with %v because of %v", full, full.Cause)
	}
	acked, accepted := l.Watermarks().Durable, l.Watermarks().Appended
	if state := l.State(); state.Backpressure != Admission || state.Refused[Admission] == 0 {
		t.Errorf("State says %s, %v refused", state.Backpressure, state.Refused)
	}
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) < acked {
		t.Errorf("%d of %d records are readable on a full disk", len(records), acked)
	}
	disk.SetCapacity(0)
	last := goesOn(t, l, 400)
	if last != accepted+1 {
		t.Errorf("sequence %d behind %d", last, accepted)
	}
	wantPressureEvents(t, l, events, Admission)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	disk.PowerCut()
	l = openLogTest(t, openOnDisk(t, simRoot, Options{FS: disk}), smallSegments())
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != last {
		t.Errorf("%d of %d records are there after a power cut", len(records), last)
	}
}

// A segment is sealed where its file has blocks already, so a full disk stops
// no seal.
func TestFullDiskStopsNoSeal(t *testing.T) {
	disk := vfs.NewMem(1)
	e := openOnDisk(t, simRoot, Options{FS: disk})
	l := openLogTest(t, e, smallSegments())
	appendMany(t, l, 1, 50)
	usage, err := disk.Usage(simRoot)
	if err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(usage.TotalBytes - usage.FreeBytes)
	if err := l.Seal(shortly(t)); err != nil {
		t.Fatalf("seal on a full disk: %v", err)
	}
	disk.SetCapacity(0)
	goesOn(t, l, 10)
}

func TestHotBudgetRefusesAppendsAndGoesOnWhenAnotherLogGivesBytesBack(t *testing.T) {
	disk, events := vfs.NewMem(1), &eventLog{}
	e := openOnDisk(t, simRoot, Options{FS: disk, HotBytesMax: 6 * segmentBytesFloor, WarmBytesMax: NoWarm, OnEvent: events.note})
	other, err := e.OpenLog("other", smallSegments())
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := other.AppendSync(t.Context(), &Record{Payload: make([]byte, 400)}); err != nil {
			t.Fatal(err)
		}
	}
	l := openLogTest(t, e, smallSegments())
	if full := fillUp(t, l); full.Kind != Admission {
		t.Fatalf("a full hot budget refuses with %v", full)
	}
	if used := e.hot.used.Load(); used > 6*segmentBytesFloor {
		t.Errorf("%d bytes are in use, more than the budget", used)
	}
	accepted := l.Watermarks().Appended
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if last := goesOn(t, l, 400); last != accepted+1 {
		t.Errorf("sequence %d behind %d", last, accepted)
	}
	wantPressureEvents(t, l, events, Admission)
}

// Two unsealed segments are the most there may be: with the seal of the first
// held up, the second fills, and what a third would take waits in memory up to
// the limit.
func TestSlowSealRefusesAppendsWithRollover(t *testing.T) {
	disk, events := vfs.NewFaulty(vfs.NewMem(1)), &eventLog{}
	held := newGate(disk)
	e := openOnDisk(t, simRoot, Options{FS: disk, OnEvent: events.note})
	opts := smallSegments()
	opts.UnflushedBytesMax = segmentBytesFloor
	l := openLogTest(t, e, opts)
	slow := disk.Add(vfs.Rule{Op: vfs.OpTruncate, PathPattern: successorFileName, Delay: time.Second})
	var full *BackpressureError
	eventually(t, "appends are refused because segments do not roll over", func() bool {
		_, err := l.Append(&Record{Payload: make([]byte, 400)})
		return errors.As(err, &full) && full.Kind == Rollover
	})
	if list := *l.segments.Load(); len(list) != 2 || list[0].ended() || list[1].ended() {
		t.Errorf("%d segments while the seal of the first is held up", len(list))
	}
	blocked := inBackground(func() error {
		_, err := l.AppendSync(shortly(t), &Record{Payload: make([]byte, 400)})
		return err
	})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.AppendSync(cancelled, &Record{Payload: make([]byte, 400)}); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrBackpressure) {
		t.Errorf("a wait for room that is cancelled: %v", err)
	}
	slow.Remove()
	held.open()
	if err := ends(t, "AppendSync", blocked); err != nil {
		t.Errorf("AppendSync over a rollover: %v", err)
	}
	last := goesOn(t, l, 400)
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != last {
		t.Errorf("%d of %d records are readable", len(records), last)
	}
	for _, event := range events.of(EventBackpressureEntered) {
		if event.Backpressure != Rollover && event.Backpressure != Flush {
			t.Errorf("entered %s", event.Backpressure)
		}
	}
}

func TestSlowDiskRefusesAppendsWithFlush(t *testing.T) {
	disk, events := vfs.NewFaulty(vfs.NewMem(1)), &eventLog{}
	held := newGate(disk)
	e := openOnDisk(t, simRoot, Options{FS: disk, OnEvent: events.note})
	l := openLogTest(t, e, LogOptions{SegmentBytesMin: 8 << 20, SegmentBytesMax: 8 << 20, UnflushedBytesMax: 1 << 20})
	appendMany(t, l, 1, 1)
	slow := disk.Add(vfs.Rule{Op: vfs.OpSyncData, Delay: time.Second})
	full, last := appendUntilRefused(t, l, 10_000)
	if full.Kind != Flush {
		t.Fatalf("a slow disk refuses with %s", full.Kind)
	}
	ends(t, "the sync", held.arrived)
	var waiting []<-chan error
	for range 8 {
		waiting = append(waiting, inBackground(func() error {
			_, err := l.AppendSync(shortly(t), &Record{Payload: make([]byte, 10_000)})
			return err
		}))
	}
	if durable := l.Watermarks().Durable; durable != 1 {
		t.Errorf("durable is %d while the first sync is held up", durable)
	}
	slow.Remove()
	held.open()
	for _, result := range waiting {
		if err := ends(t, "AppendSync", result); err != nil {
			t.Errorf("AppendSync on a slow disk: %v", err)
		}
	}
	last += uint64(len(waiting))
	if marks := l.Watermarks(); marks.Durable != last {
		t.Errorf("watermarks %+v, want %d", marks, last)
	}
	wantPressureEvents(t, l, events, Flush)
}

// What is counted as unflushed may be marks alone, which move no watermark.
func TestAppendSyncWaitsForRoomThatAMarkTakes(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, LogOptions{UnflushedBytesMax: segmentBytesFloor})
	appendNumbered(t, l, 1, 1)
	commitManual(t, l)
	if !l.committer.takeMark(1) {
		t.Fatal("no mark was encoded")
	}
	waiting := inBackground(func() error {
		_, err := l.AppendSync(shortly(t), &Record{Payload: make([]byte, segmentBytesFloor-100)})
		return err
	})
	eventually(t, "the record is refused", func() bool { return l.State().Refused[Flush] > 0 })
	eventually(t, "the record is durable", func() bool {
		l.Request(1, Durable)
		l.committer.tick()
		for l.committer.step() {
		}
		return l.Watermarks().Durable == 2
	})
	if err := ends(t, "AppendSync", waiting); err != nil {
		t.Fatal(err)
	}
	disk.ProcessCrash()
}

// AppendSync looks at the watermark and at the room at different times: however
// they fall, it does not sleep on room that is there.
func TestAppendSyncNeverSleepsOnRoomThatIsThere(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), LogOptions{UnflushedBytesMax: segmentBytesFloor})
	for range 200 {
		var waiting []<-chan error
		for range 3 {
			waiting = append(waiting, inBackground(func() error {
				_, err := l.AppendSync(shortly(t), &Record{Payload: make([]byte, 40_000)})
				return err
			}))
		}
		for _, result := range waiting {
			if err := ends(t, "AppendSync", result); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Who waits for a record that is durable is told so, also while what was
// appended behind it waits for the next segment.
func TestStalledRolloverHoldsNoAckBack(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 1)
	commitManual(t, l)
	appendNumbered(t, l, 2, 800)
	waiting := inBackground(func() error { return l.Wait(shortly(t), 2, Durable) })
	eventually(t, "somebody waits", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.mu.open.durable != nil
	})
	for l.committer.step() {
	}
	if marks := l.Watermarks(); !l.committer.stalled || marks.Durable < 2 || marks.Durable >= 801 {
		t.Fatalf("stalled %v at %+v", l.committer.stalled, marks)
	}
	if err := ends(t, "a wait for a durable record", waiting); err != nil {
		t.Fatal(err)
	}
	late := inBackground(func() error { return l.Wait(shortly(t), 801, Durable) })
	commitManual(t, l)
	if err := ends(t, "a wait for the last record", late); err != nil {
		t.Fatal(err)
	}
	disk.ProcessCrash()
}

// A stalled committer is woken when the segment that it waits for is ready,
// whatever was appended meanwhile.
func TestStalledCommitterIsWokenByItsSegment(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 1)
	for l.committer.step() {
	}
	if !l.committer.stalled {
		t.Fatal("not stalled")
	}
	appendNumbered(t, l, 2, 1)
	<-l.wake
	for l.committer.step() {
	}
	for l.keeper.step() {
	}
	select {
	case <-l.wake:
	default:
		t.Error("the segment is ready and nobody wakes the committer")
	}
	disk.ProcessCrash()
}

func TestCloseOnAFullDiskGivesUpWhatWasNeverAcked(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem(1))
	e := openOnDisk(t, simRoot, Options{FS: disk})
	opts := smallSegments()
	l := openLogTest(t, e, opts)
	appendMany(t, l, 1, 1)
	eventually(t, "the first segment is in place", func() bool { return len(*l.segments.Load()) == 1 })
	noSpace := disk.Add(vfs.Rule{Op: vfs.OpAllocate, Err: errNoSpace})
	batch := make([]Record, 900)
	for i := range batch {
		batch[i] = *numbered(2 + i)
	}
	if _, err := l.AppendBatch(batch, BatchOptions{}); err != nil { // in one step, before the disk is found full
		t.Fatal(err)
	}
	waiting := inBackground(func() error { return l.Wait(shortly(t), 901, Durable) })
	eventually(t, "the committer has no room", func() bool { return l.roomError() != nil && l.Watermarks().Durable > 1 })
	durable := l.Watermarks().Durable
	if err := ends(t, "Close", inBackground(e.Close)); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrUnwritten) {
		t.Errorf("Close says %v of records that found no room", err)
	}
	if err := ends(t, "a wait", waiting); !errors.Is(err, ErrClosed) {
		t.Errorf("a wait ended with %v", err)
	}
	noSpace.Remove()
	l = openLogTest(t, openOnDisk(t, simRoot, Options{FS: disk}), opts)
	if l.Watermarks().Durable < durable {
		t.Errorf("%d records are left of %d that were durable", l.Watermarks().Durable, durable)
	}
	if l.recovery.Eventful() || l.recovery.RewrittenBytes > 0 {
		t.Errorf("it was not closed cleanly: %+v", l.recovery)
	}
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, int(l.Watermarks().Durable))
}

// A segment that is ready is not opened as the third one without a footer.
func TestAtMostTwoSegmentsAreUnsealed(t *testing.T) {
	l := openManual(t, vfs.NewMem(1), smallSegments())
	for n := 1; n <= 3; n++ {
		appendNumbered(t, l, n, 1)
		l.Request(uint64(n), Durable)
		for l.committer.step() { // asks for a segment
		}
		if bytes := l.keeper.successorDue(); bytes > 0 && !l.keeper.prepare(bytes) {
			t.Fatal("no segment could be made ready")
		}
		for l.committer.step() {
		}
		l.retireTail()
	}
	if list := *l.segments.Load(); len(list) != 2 || list[0].ended() || list[1].ended() {
		t.Errorf("%d segments while nothing is sealed", len(list))
	}
	if durable := l.Watermarks().Durable; durable != 2 {
		t.Errorf("durable up to %d", durable)
	}
	commitManual(t, l)
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
