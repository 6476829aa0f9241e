package bridge

import (
	"context"
	"errors"
	"sync"
)

// Why a replay was refused by the table.
var (
	errTooManyReplays = errors.New("bridge: too many replays")
	errReplayRuns     = errors.New("bridge: a replay to this reply subject is running")
)

// replayTable holds the replays that run, which are bounded in number and in
// what their windows hold together.
type replayTable struct {
	max     int
	windows replayWindows // under mu

	mu struct {
		sync.Mutex
		byReply map[string]*replay
		byID    map[string]*replay
		closed  error // why nothing is begun any more
	}
	running sync.WaitGroup
}

// start grants a replay its window and runs it, unless there are too many.
func (t *replayTable) start(r *replay) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.mu.closed != nil:
		return t.mu.closed
	case t.mu.byReply[string(r.reply)] != nil:
		return errReplayRuns
	case len(t.mu.byReply) >= t.max:
		return errTooManyReplays
	}
	if t.mu.byReply == nil {
		t.mu.byReply, t.mu.byID = make(map[string]*replay), make(map[string]*replay)
	}
	t.mu.byReply[string(r.reply)], t.mu.byID[r.id] = r, r
	r.flow.window = t.windows.take(r.request.WindowBytes)
	t.running.Go(func() {
		r.run()
		t.forget(r)
	})
	return nil
}

func (t *replayTable) forget(r *replay) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.byReply, string(r.reply))
	delete(t.mu.byID, r.id)
	t.windows.giveBack(r.flow.window)
}

// answer opens the next window of a replay.
func (t *replayTable) answer(id string, mark uint64) {
	t.mu.Lock()
	r := t.mu.byID[id]
	t.mu.Unlock()
	if r != nil {
		r.flow.answer(mark)
	}
}

// stop ends the replay to a reply subject.
func (t *replayTable) stop(reply []byte, cause error) {
	t.mu.Lock()
	r := t.mu.byReply[string(reply)]
	t.mu.Unlock()
	if r != nil {
		r.cancel(cause)
	}
}

// stopAll ends all replays. After errBridgeStopping none is begun any more.
func (t *replayTable) stopAll(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(cause, errBridgeStopping) {
		t.mu.closed = cause
	}
	for _, r := range t.mu.byReply {
		r.cancel(cause)
	}
}

// count is how many replays run.
func (t *replayTable) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mu.byReply)
}

// wait waits until no replay runs any more; none may be begun meanwhile.
func (t *replayTable) wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() { // ends with the last replay, which stop waits for
		t.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
