package engine

import "errors"

// Close writes what is appended, syncs it, marks the log as closed cleanly and
// gives its files up. It returns the failure of a poisoned log, and an error
// that matches ErrUnwritten if the disk had no room for what was appended last.
// Readers that follow the log end with ErrClosed. Calling it again waits for the
// first call and returns nil.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.mu.closing {
		l.mu.Unlock()
		<-l.released
		return nil
	}
	l.mu.closing = true
	l.signalLocked()
	l.mu.Unlock()
	l.stopMoves()
	l.moves.Wait()
	if l.engine.opts.manual && !l.engine.readOnly {
		l.committer.finish()
	}
	if !l.engine.readOnly {
		<-l.stopped
	}
	l.keeper.stop()
	err := errors.Join(l.journal.close(!l.failed(), l.committer.closedAt()), l.release())
	if err == nil {
		err = l.committer.givenUp
	}
	l.engine.forget(l)
	close(l.released)
	return err
}

// release closes what the log holds open, wakes everybody who waits, and
// returns the log's failure.
func (l *Log) release() error {
	l.mu.Lock()
	l.mu.closing = true
	l.retireTailLocked()
	failures := []error{l.mu.failure}
	waiters := l.takeWaitersLocked()
	l.mu.Unlock()
	for _, waiter := range waiters {
		close(waiter)
	}
	failures = append(failures, l.keeper.discardSuccessor())
	for _, s := range *l.segments.Load() {
		failures = append(failures, s.closeFile())
		if !l.engine.readOnly {
			l.engine.hot.giveBack(s.bytes.Load())
			l.holdWarm(s, 0)
		}
	}
	return errors.Join(failures...)
}
