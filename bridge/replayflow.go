package bridge

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errFlowTimeout ends the replay of a reader that does not answer.
var errFlowTimeout = errors.New("bridge: flow control was not answered")

// flowMark is a request for an answer that was sent.
type flowMark struct {
	number uint64
	sent   int64 // bytes up to it
	at     time.Time
}

// replayFlow bounds what a reader has been sent and not yet answered for to one
// window. A mark is sent after each half of a window, so that a reader that
// answers at once never waits. All but answer belongs to the replay's goroutine.
type replayFlow struct {
	window  int64 // as granted when the replay is started
	timeout time.Duration

	sent     int64      // bytes so far
	marked   int64      // bytes up to the last mark
	freed    int64      // bytes that were answered for
	marks    []flowMark // unanswered, in order: few
	markedAt time.Time  // when the last mark was sent
	issued   atomic.Uint64
	answered atomic.Uint64
	arrived  chan struct{} // one pending signal
}

func newReplayFlow(timeout time.Duration) replayFlow {
	return replayFlow{timeout: timeout, arrived: make(chan struct{}, 1)}
}

// answer notes an answer, from the connection's goroutine. An answer to a mark
// stands for all before it.
func (f *replayFlow) answer(number uint64) {
	for {
		known := f.answered.Load()
		if number <= known || number > f.issued.Load() {
			return // known, or nothing that was asked
		}
		if f.answered.CompareAndSwap(known, number) {
			break
		}
	}
	select {
	case f.arrived <- struct{}{}:
	default:
	}
}

// wantsMark reports whether half a window was sent since the last mark.
func (f *replayFlow) wantsMark() bool { return f.sent-f.marked >= f.window/2 }

// mark notes that a mark is sent and returns its number.
func (f *replayFlow) mark(now time.Time) uint64 {
	number := f.issued.Add(1)
	f.marked, f.markedAt = f.sent, now
	f.marks = append(f.marks, flowMark{number: number, sent: f.sent, at: now})
	return number
}

// settle takes the answers that have come.
func (f *replayFlow) settle() {
	answered := f.answered.Load()
	for len(f.marks) > 0 && f.marks[0].number <= answered {
		f.freed = f.marks[0].sent
		f.marks = f.marks[1:]
	}
}

// full reports whether the window is used up.
func (f *replayFlow) full() bool {
	f.settle()
	return f.sent-f.freed >= f.window
}

// overdue reports whether a mark has waited too long for its answer.
func (f *replayFlow) overdue(now time.Time) bool {
	f.settle()
	return len(f.marks) > 0 && now.Sub(f.marks[0].at) >= f.timeout
}

// await waits for an answer, at most for a while.
func (f *replayFlow) await(ctx context.Context, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-f.arrived:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
