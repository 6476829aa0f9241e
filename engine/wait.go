package engine

import (
	"context"
	"fmt"
)

// Request asks that seq reach level soon and returns at once: a caller that
// waits later, or for many records at a time, starts the sync with it.
func (l *Log) Request(seq uint64, level Level) {
	if level != Durable || l.durable.Load() >= seq {
		return // what is appended is written without being asked
	}
	l.mu.Lock()
	l.demandLocked(min(seq, l.appended.Load()))
	l.mu.Unlock()
}

// Wait returns nil once the record seq has reached level. It returns an error
// that matches ErrPoisoned, ErrClosed or ErrUploadsStopped if it never will,
// ErrDamaged if it cannot become cold before the damage to a segment is mended,
// ErrNotFound for a number that was not appended, ErrUnsupported for a level that
// the log cannot give, and ctx's error if that ends first: the record may still
// reach it.
func (l *Log) Wait(ctx context.Context, seq uint64, level Level) error {
	for {
		reached, done, err := l.prepareWait(seq, level)
		if done || err != nil {
			return err
		}
		select {
		case <-reached:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// prepareWait reports whether nothing is to be waited for, or a channel that is
// closed when the buffer that holds seq has reached the level.
func (l *Log) prepareWait(seq uint64, level Level) (reached chan struct{}, done bool, err error) {
	if level == Cold && l.folder == nil {
		return nil, true, fmt.Errorf("%w: the log has no bucket", ErrUnsupported)
	}
	if l.watermark(level) >= seq {
		return nil, true, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.watermark(level) >= seq:
		return nil, true, nil
	case l.mu.failure != nil:
		return nil, true, l.mu.failure
	case seq > l.appended.Load():
		return nil, true, fmt.Errorf("%w: sequence %d, the last is %d", ErrNotFound, seq, l.appended.Load())
	case l.closedLocked():
		return nil, true, ErrClosed
	case level == Cold && l.mu.uploadStop != nil:
		return nil, true, l.mu.uploadStop
	}
	if level == Cold {
		if err := l.coldBlocked(); err != nil {
			return nil, true, err
		}
	}
	if level != Durable {
		return l.followLocked(level), false, nil
	}
	l.demandLocked(seq)
	return l.durableChannelLocked(seq), false, nil
}

// durableChannelLocked is closed by the sync that covers seq.
func (l *Log) durableChannelLocked(seq uint64) chan struct{} {
	if seq > l.mu.swappedSeq {
		if l.mu.open.durable == nil {
			l.mu.open.durable = make(chan struct{})
		}
		return l.mu.open.durable
	}
	if len(l.mu.flight) == 0 {
		l.mu.flight = append(l.mu.flight, make(chan struct{}))
	}
	return l.mu.flight[0]
}

// followLocked is closed when the level's watermark is published next.
func (l *Log) followLocked(level Level) chan struct{} {
	follow := &l.mu.follow[level]
	if *follow == nil {
		*follow = make(chan struct{})
	}
	return *follow
}

// awaitAdvance waits until the level's watermark is above seq. It demands no
// sync.
func (l *Log) awaitAdvance(ctx context.Context, level Level, seq uint64) error {
	for {
		l.mu.Lock()
		if l.watermark(level) > seq {
			l.mu.Unlock()
			return nil
		}
		if err := l.endedLocked(); err != nil {
			l.mu.Unlock()
			return err
		}
		advanced := l.followLocked(level)
		l.mu.Unlock()
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// endedLocked says why no watermark will ever advance again.
func (l *Log) endedLocked() error {
	if l.mu.failure != nil {
		return l.mu.failure
	}
	if l.closedLocked() {
		return ErrClosed
	}
	return nil
}

// awaitRoom waits until the limit on unflushed bytes lets so many in.
func (l *Log) awaitRoom(ctx context.Context, bytes int64) error {
	for {
		l.mu.Lock()
		if !l.overUnflushedLocked(bytes) {
			l.mu.Unlock()
			return nil
		}
		if err := l.endedLocked(); err != nil {
			l.mu.Unlock()
			return err
		}
		synced := l.followLocked(Durable)
		l.mu.Unlock()
		select {
		case <-synced:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closedLocked reports whether the committer has ended, or a log that has none
// is closed.
func (l *Log) closedLocked() bool {
	if l.engine.readOnly {
		return l.mu.closing
	}
	select {
	case <-l.stopped:
		return !l.engine.opts.manual || l.mu.closing
	default:
		return false
	}
}

// publishWritten moves the written watermark.
func (l *Log) publishWritten(seq uint64) {
	l.mu.Lock()
	l.written.Store(seq)
	follow := l.takeFollowLocked(Written)
	l.mu.Unlock()
	closeAll(follow)
}

// publishDurable moves the durable watermark to seq and wakes the waiters of
// everything that was taken up to then. Where a segment ends inside of what was
// taken, some of them wait once more.
func (l *Log) publishDurable(seq uint64) {
	l.mu.Lock()
	l.durable.Store(seq)
	waiters := append(l.takeFollowLocked(Durable), l.mu.flight...)
	l.mu.flight = nil
	l.mu.Unlock()
	closeAll(waiters)
}

func (l *Log) takeFollowLocked(level Level) []chan struct{} {
	follow := l.mu.follow[level]
	if follow == nil {
		return nil
	}
	l.mu.follow[level] = nil
	return []chan struct{}{follow}
}

// takeWaitersLocked takes every channel that somebody waits on.
func (l *Log) takeWaitersLocked() []chan struct{} {
	waiters := append(l.takeFollowLocked(Durable), l.takeFollowLocked(Written)...)
	waiters = append(waiters, l.takeFollowLocked(Cold)...)
	waiters = append(waiters, l.mu.flight...)
	l.mu.flight = nil
	if l.mu.open.durable != nil {
		waiters = append(waiters, l.mu.open.durable)
		l.mu.open.durable = nil
	}
	return waiters
}

func closeAll(channels []chan struct{}) {
	for _, channel := range channels {
		close(channel)
	}
}
