package engine

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// appendPast appends and commits, so many records a commit, until the active
// segment is full to its last quarter, and returns what was done to next.tmp.
func appendPast(t *testing.T, l *Log, traced *vfs.Traced, recordsACommit int) (onSuccessor []string) {
	t.Helper()
	if err := appendAndCommit(l, 1); err != nil {
		t.Fatal(err)
	}
	traced.Reset()
	for l.mu.tail.tail.end < l.mu.tail.tail.capacity*3/4 {
		if err := appendAndCommit(l, recordsACommit); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range traced.Lines() {
		if strings.HasPrefix(line, "write logs/orders/segments/next.tmp 0+65536") {
			onSuccessor = append(onSuccessor, line)
		}
	}
	return onSuccessor
}

func TestNextSegmentIsFilledWhileSyncsAreSmall(t *testing.T) {
	traced := vfs.NewTraced(vfs.NewMem(1), simRoot)
	l := openManual(t, traced, smallSegments())
	if fills := appendPast(t, l, traced, 5); len(fills) != 1 {
		t.Errorf("the successor was filled %d times, want once; trace:\n%s", len(fills), strings.Join(traced.Lines(), "\n"))
	}
	lines := traced.Lines()
	filled := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "next.tmp 0+65536") })
	if filled < 0 || filled+1 >= len(lines) || !strings.HasPrefix(lines[filled+1], "sync-data ") {
		t.Error("the zeros were not synced before anything else was done")
	}
	if next := l.keeper.mu.successor; next == nil || next.filled != next.bytes {
		t.Errorf("the successor is %+v", next)
	}
	for range 4 { // into the next segments
		if err := appendAndCommit(l, 200); err != nil {
			t.Fatal(err)
		}
	}
	if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != l.durable.Load() {
		t.Errorf("read %d records of %d", len(records), l.durable.Load())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNextSegmentIsLeftAloneWhileSyncsAreLarge(t *testing.T) {
	traced := vfs.NewTraced(vfs.NewMem(1), simRoot)
	l := openManual(t, traced, LogOptions{SegmentBytesMin: 8 << 20, SegmentBytesMax: 8 << 20})
	record := &Record{Payload: make([]byte, 512<<10)}
	for range 12 {
		if _, err := l.Append(record); err != nil {
			t.Fatal(err)
		}
		commitManual(t, l)
	}
	if next := l.keeper.mu.successor; next == nil || next.filled != 0 {
		t.Errorf("the successor is %+v, want one that is not filled", next)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// failFilling brings a log to where its next segment is to be filled, and lets
// that fail.
func failFilling(t *testing.T, err error) *Log {
	t.Helper()
	faulty := vfs.NewFaulty(vfs.NewMem(1))
	l := openManual(t, faulty, smallSegments())
	if err := appendAndCommit(l, 1); err != nil {
		t.Fatal(err)
	}
	for l.mu.tail.tail.end < l.mu.tail.tail.capacity*3/4 {
		last := appendRecords(t, l, 5)
		l.Request(last, Durable)
		for l.committer.step() {
		}
	}
	rule := faulty.Add(vfs.Rule{Op: vfs.OpWrite, PathPattern: "segments/next.tmp", Err: err})
	for l.keeper.step() {
	}
	rule.Remove()
	return l
}

func appendRecords(t *testing.T, l *Log, count int) (last uint64) {
	t.Helper()
	for range count {
		seq, err := l.Append(&Record{Payload: make([]byte, 100)})
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	return last
}

func TestWhatCannotBeFilledForWantOfRoomIsUsedAsItIs(t *testing.T) {
	l := failFilling(t, syscall.ENOSPC)
	if next := l.keeper.mu.successor; next == nil || next.filled != next.bytes {
		t.Errorf("the successor is %+v, want one that is tried no more", next)
	}
	if err := appendAndCommit(l, 300); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFailedFillingPoisons(t *testing.T) {
	l := failFilling(t, syscall.EIO)
	if err := l.endError(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want a poisoned log", err)
	}
}
