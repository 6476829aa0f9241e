package engine

import (
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A record of which the source, or a clock that was ahead, says that it is of next
// year was appended before the log was opened: its id leaves the window as the
// others do, and holds back none of those behind it.
func TestIdOfARecordFromTheFutureLeavesTheWindowAfterARestart(t *testing.T) {
	const window = time.Minute
	disk, clock := vfs.NewMem(1), time.Unix(1_000_000, 0)
	opts := smallSegments()
	opts.Dedup.Window = window
	open := func() *Log {
		l, err := openManualAt(disk, opts, func() time.Time { return clock })
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	early := withID(t, "s", "early")
	early.Timestamp = clock.AddDate(1, 0, 0).UnixNano()
	for _, rec := range []*Record{early, withID(t, "s", "other")} {
		if _, err := l.AppendIf(rec, Conditions{MsgID: rec.Payload}); err != nil {
			t.Fatal(err)
		}
	}
	commitManual(t, l)
	disk.ProcessCrash()

	clock = clock.Add(window / 2)
	l = open()
	wantDuplicate(t, l, "early", 1)
	wantDuplicate(t, l, "other", 2)
	clock = clock.Add(window/2 + time.Nanosecond)
	if seq, err := l.AppendIf(withID(t, "s", "other"), Conditions{MsgID: []byte("other")}); err != nil || seq != 3 {
		t.Errorf("behind its window: %d, %v", seq, err)
	}
	clock = clock.Add(window)
	if seq, err := l.AppendIf(withID(t, "s", "early"), Conditions{MsgID: []byte("early")}); err != nil || seq != 4 {
		t.Errorf("of the future, behind its window: %d, %v", seq, err)
	}
	disk.ProcessCrash()
}

// One such record does not make every later open read all segments from there on.
func TestARecordFromTheFutureDoesNotMakeOpensReadOldSegments(t *testing.T) {
	disk, clock := vfs.NewMem(1), time.Unix(1_000_000, 0)
	open := func() *Log {
		l, err := openManualAt(disk, smallSegments(), func() time.Time { return clock })
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	if _, err := l.Append(&Record{Payload: []byte("x"), Timestamp: clock.AddDate(1, 0, 0).UnixNano()}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		appendNumbered(t, l, int(l.Watermarks().Appended)+1, 10)
		commitManual(t, l)
		l.retireTail()
		commitManual(t, l)
	}
	disk.ProcessCrash()
	clock = clock.Add(time.Hour)
	l = open()
	from := clock.Add(-time.Minute).UnixNano()
	if start, last := l.dedupStart(from, clock.UnixNano()), l.durable.Load(); start <= last {
		t.Errorf("it reads from sequence %d of %d on", start, last)
	}
	disk.ProcessCrash()
}
