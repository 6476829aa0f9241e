package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file holds what the tests need that run on a disk of their own: one in
// memory, one with faults, one that is stepped by hand.

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// smallSegments is a log whose segments are as small as they may be.
func smallSegments() LogOptions {
	return LogOptions{SegmentBytesMin: segmentBytesFloor, SegmentBytesMax: segmentBytesFloor}
}

// openOnDisk opens an engine, and at the end of the test closes it and checks
// that nothing stays open on its disk.
func openOnDisk(t *testing.T, dir string, opts Options) *Engine {
	t.Helper()
	if opts.FS == nil {
		opts.FS = vfs.OS()
	}
	if opts.reserveBytes == 0 {
		opts.reserveBytes = 4096
	}
	e, err := Open(dir, opts)
	if err != nil {
		t.Fatalf("open engine: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil && !errors.Is(err, ErrPoisoned) && !errors.Is(err, ErrClosed) {
			t.Errorf("close engine: %v", err)
		}
		wantNothingOpen(t, opts.FS)
	})
	return e
}

// openManual opens a log without goroutines: the test steps it. What it holds
// open ends with the disk's process.
func openManual(t *testing.T, disk vfs.FS, opts LogOptions) *Log {
	t.Helper()
	l, err := openManualLog(disk, opts)
	if err != nil {
		t.Fatalf("open log: %v", err)
	}
	return l
}

func openManualLog(disk vfs.FS, opts LogOptions) (*Log, error) {
	return openManualAt(disk, opts, time.Now)
}

// openManualAt opens a log whose clock the test turns.
func openManualAt(disk vfs.FS, opts LogOptions, now func() time.Time) (*Log, error) {
	e, err := Open(simRoot, Options{FS: disk, Now: now, manual: true, reserveBytes: 4096})
	if err != nil {
		return nil, err
	}
	opts.ensureDefaults()
	return e.openLog("orders", opts)
}

// commitManual steps a log until everything that was appended is durable and
// what is full is sealed.
func commitManual(t *testing.T, l *Log) {
	t.Helper()
	if err := appendAndCommit(l, 0); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// appendNumbered appends records as appendMany does, without waiting.
func appendNumbered(t *testing.T, l *Log, first, count int) {
	t.Helper()
	for n := first; n < first+count; n++ {
		seq, err := l.Append(numbered(n))
		if err != nil {
			t.Fatalf("append %d: %v", n, err)
		}
		if seq != uint64(n) {
			t.Fatalf("append %d got sequence %d", n, seq)
		}
	}
}

// numbered is the record that wantRecords expects at sequence n.
func numbered(n int) *Record {
	return &Record{Subject: []byte("orders." + string(rune('0'+n%7))), Payload: payloadOf(n)}
}

// eventually waits until a condition holds that another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("it never came that %s", what)
		}
	}
}

// ends waits for a channel to be closed or to give a value.
func ends[T any](t *testing.T, what string, channel <-chan T) T {
	t.Helper()
	select {
	case value := <-channel:
		return value
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
		panic("unreachable")
	}
}

// inBackground runs what may block and gives its result.
func inBackground[T any](do func() T) <-chan T {
	result := make(chan T, 1)
	go func() { result <- do() }()
	return result
}

// shortly is a context that ends a wait which must have ended before.
func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventLog collects events.
type eventLog struct {
	mu struct {
		sync.Mutex
		events []Event
	}
}

func (l *eventLog) note(event Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.events = append(l.mu.events, event)
}

// of returns the events of some kinds, in order.
func (l *eventLog) of(kinds ...EventKind) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Event
	for _, event := range l.mu.events {
		if len(kinds) == 0 || slices.Contains(kinds, event.Kind) {
			out = append(out, event)
		}
	}
	return out
}

// gate holds operations back until it is opened.
type gate struct {
	arrived chan struct{} // gets a value for each operation that is held
	opened  chan struct{}
}

func newGate(disk *vfs.Faulty) *gate {
	g := &gate{arrived: make(chan struct{}, 1000), opened: make(chan struct{})}
	disk.SetWait(func(vfs.Operation, time.Duration) {
		select {
		case g.arrived <- struct{}{}:
		default:
		}
		<-g.opened
	})
	return g
}

func (g *gate) open() { close(g.opened) }
