package command

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// logLinesMax is how many lines of the log of serve wait for who reads them.
	logLinesMax = 4096
	// logPatience is how long the end of serve waits for that.
	logPatience = time.Second
)

// logWriter passes the log of serve on from a goroutine of its own. Whoever reads
// it may be slow, stand still or go away, and nobody who logs waits for that: lines
// that find no place are dropped and counted.
type logWriter struct {
	out     io.Writer
	dropped atomic.Uint64
	// noteDropped writes to out how many lines were dropped since the last time.
	noteDropped func(lines uint64)
	ended       chan struct{}

	mu struct {
		sync.Mutex
		lines  chan []byte
		closed bool
	}
}

func newLogWriter(out io.Writer, noteDropped func(lines uint64)) *logWriter {
	w := &logWriter{out: out, noteDropped: noteDropped, ended: make(chan struct{})}
	lines := make(chan []byte, logLinesMax)
	w.mu.lines = lines
	go w.pass(lines) // ends behind close, unless the last write to out never does
	return w
}

// Write implements io.Writer. It takes one line, and never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.closed {
		w.dropped.Add(1)
		return len(line), nil
	}
	select {
	case w.mu.lines <- bytes.Clone(line):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

func (w *logWriter) pass(lines <-chan []byte) {
	defer close(w.ended)
	told := uint64(0)
	for line := range lines {
		if _, err := w.out.Write(line); err != nil {
			w.dropped.Add(1)
			continue
		}
		if dropped := w.dropped.Load(); dropped > told {
			w.noteDropped(dropped - told)
			told = dropped
		}
	}
}

// close waits a while for what was logged to be written.
func (w *logWriter) close() {
	w.mu.Lock()
	if !w.mu.closed {
		w.mu.closed = true
		close(w.mu.lines)
	}
	w.mu.Unlock()
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-timer.C:
	}
}
