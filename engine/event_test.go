package engine

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func kindsOf(events []Event) (kinds []EventKind) {
	for _, event := range events {
		kinds = append(kinds, event.Kind)
	}
	return kinds
}

func TestEventsTellALogsLifeInOrder(t *testing.T) {
	disk, events := vfs.NewMem(1), &eventLog{}
	open := func() (*Engine, *Log) {
		e := openOnDisk(t, simRoot, Options{FS: disk, OnEvent: events.note})
		return e, openLogTest(t, e, smallSegments())
	}
	e, l := open()
	appendMany(t, l, 1, 600)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendMany(t, l, 601, 1)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	told := events.of()
	opened, sealed := events.of(EventSegmentOpened), events.of(EventSegmentSealed)
	if told[0].Kind != EventLogCreated || len(opened) != 3 || len(sealed) != 2 || len(told) != 6 {
		t.Fatalf("told %q", kindsOf(told))
	}
	for i, event := range opened {
		if event.Segment != uint64(i+1) || event.Log != "orders" || event.Time == 0 || event.Bytes != segmentBytesFloor {
			t.Errorf("opened %+v", event)
		}
	}
	for i, event := range sealed {
		if event.Segment != uint64(i+1) || event.FirstSeq != opened[i].FirstSeq || event.LastSeq != opened[i+1].FirstSeq-1 || event.Bytes != l.State().Segments[i].Bytes {
			t.Errorf("sealed %+v", event)
		}
	}
	for i := 1; i < len(told); i++ {
		if told[i].Time < told[i-1].Time {
			t.Errorf("event %d is told before an older one", i)
		}
	}
	_, _ = open()
	if again := events.of()[len(told):]; len(again) != 0 {
		t.Errorf("a clean reopen tells %q", kindsOf(again))
	}
}

func TestRecoveryIsToldWithItsReport(t *testing.T) {
	disk, events := vfs.NewMem(4), &eventLog{}
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 5)
	commitManual(t, l)
	disk.ProcessCrash()
	e := openOnDisk(t, simRoot, Options{FS: disk, OnEvent: events.note})
	l = openLogTest(t, e, smallSegments())
	if got := kindsOf(events.of()); !slices.Equal(got, []EventKind{EventSegmentSealed, EventLogRecovered}) {
		t.Fatalf("told %q", got)
	}
	report := events.of(EventLogRecovered)[0].Recovery
	if report == nil || report.SealedSegments != 1 || report.RewrittenBytes == 0 || len(report.Cut)+len(report.Damaged) != 0 {
		t.Errorf("the report is %+v", report)
	}
	if state := l.State().Recovery; state.SealedSegments != 1 {
		t.Errorf("State has %+v", state)
	}
	if segments := l.State().Segments; len(segments) != 1 || !segments[0].Sealed || segments[0].LastSeq != 5 {
		t.Errorf("segments %+v", segments)
	}
}

// OnEvent is called by one goroutine at a time, whoever has something to tell.
func TestEventsOfALogComeOneAtATime(t *testing.T) {
	var inside, calls atomic.Int64
	disk := vfs.NewFaulty(vfs.NewMem(1))
	e := openOnDisk(t, simRoot, Options{FS: disk, OnEvent: func(Event) {
		if inside.Add(1) != 1 {
			t.Error("two events at a time")
		}
		calls.Add(1)
		inside.Add(-1)
	}})
	opts := smallSegments()
	opts.UnflushedBytesMax = segmentBytesFloor
	l := openLogTest(t, e, opts)
	for range 3 {
		if full, _ := appendUntilRefused(t, l, 5_000); full.Kind != Flush && full.Kind != Rollover {
			t.Errorf("refused with %s", full.Kind)
		}
		goesOn(t, l, 100)
	}
	disk.Add(vfs.Rule{Op: vfs.OpSync | vfs.OpSyncData, Err: errIO})
	if _, err := l.AppendSync(shortly(t), numbered(1)); !errors.Is(err, ErrPoisoned) {
		t.Errorf("%v", err)
	}
	if err := e.Close(); !errors.Is(err, ErrPoisoned) {
		t.Errorf("Close: %v", err)
	}
	if calls.Load() < 8 {
		t.Errorf("%d events", calls.Load())
	}
}
