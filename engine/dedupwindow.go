package engine

import (
	"context"
	"errors"
)

// This file reads the message ids of the dedup window back from the records.

// dedupDoubt says that some ids of the dedup window could not be read. An id that
// is not found may be one of them until the window has passed.
type dedupDoubt struct {
	cause   *DamageError
	untilNs int64
}

// dedupUnread says that the ids of the dedup window are still to be read, because
// the bucket that has some of them did not answer when the log was opened. Until the
// window has passed a record with an id is refused: it may be a duplicate.
type dedupUnread struct {
	first, last uint64 // 0, 0: all are read
	untilNs     int64
}

// errWindowUnread says that a record may be a duplicate of one that was not read.
var errWindowUnread = errors.New("engine: the dedup window is not read")

// dedupWindow is what the records of the dedup window say.
type dedupWindow struct {
	ids    *dedupIndex
	lastID []byte // of the last record
	doubt  *DamageError
	count  uint64
}

// dedupSample is after how many records it is foreseen how many ids there are.
const dedupSample = 4096

// rebuildDedup reads the ids of the records that the window still covers. Neither
// damage there nor a bucket that does not answer stops the log: they are doubt about
// ids.
func (l *Log) rebuildDedup() error {
	last := l.durable.Load()
	if last == 0 {
		return nil
	}
	now := l.now()
	start := l.dedupStart(now-int64(l.opts.Dedup.Window), now)
	if start > last {
		if s := l.segmentFor(last); s != nil && !l.isLocal(s) {
			l.mu.lastIDUnread = true // read when somebody asks: an open makes no request for it
			return nil
		}
		start = last // the last record's id is needed in any case
	}
	ctx, cancel := context.WithTimeout(l.moving, openTimeout)
	defer cancel()
	window, err := l.readWindow(ctx, start, last, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if isAway(err) && l.moving.Err() == nil {
		l.engine.opts.Logger.Warn("dedup_window_not_read", "group", "aof2.tier2", "log", l.name, "error", err)
		l.mu.lastIDUnread = true
		l.mu.dedupUnread = dedupUnread{first: start, last: last, untilNs: now + int64(l.opts.Dedup.Window)}
		return nil
	}
	if err == nil {
		l.takeWindowLocked(window, now)
		l.takeLastIDLocked(window, last)
	}
	return err
}

// isAway reports whether an error says that the bucket did not answer in time, or
// that the log was opened without it.
func isAway(err error) bool {
	return isOutage(err) || errors.Is(err, errNotAtHand) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnsupported)
}

// readWindow reads the ids of a range of records. While the bucket is known to be
// away it is not asked: the error matches errNotAtHand if it would have to be.
func (l *Log) readWindow(ctx context.Context, start, last uint64, now int64) (*dedupWindow, error) {
	from := now - int64(l.opts.Dedup.Window)
	w := &dedupWindow{ids: newDedupIndex(l.opts.Dedup)}
	l.mu.Lock()
	w.ids.seeds = l.mu.dedup.seeds // so that what comes meanwhile can be taken over
	l.mu.Unlock()
	arrivals := l.arrivals(now)
	options := ReadOptions{
		FromSeq: start, ToSeq: last, Level: Durable, near: l.engine.Stats().Outage.Failures > 0,
		SkipDamaged: func(damage *DamageError) { w.doubt = damage },
	}
	return w, l.eachRecordOf(ctx, options, func(rec Record) {
		id := l.idOf(&rec)
		w.lastID = append(w.lastID[:0], id...)
		if came := arrivals.of(&rec); came < from {
			w.doubt = nil // what was damaged before it is older
		} else if len(id) > 0 {
			w.ids.add(id, rec.Seq, came)
		}
		if w.count++; w.count == dedupSample {
			w.ids.expected = int((last - start + 1) / w.count * w.ids.newest)
		}
	})
}

// takeWindowLocked makes a window that was read the one that counts, with the ids
// that came since.
func (l *Log) takeWindowLocked(w *dedupWindow, now int64) {
	if w.count > 0 {
		w.ids.addAll(l.mu.dedup)
		l.mu.dedup = w.ids
	}
	if w.doubt != nil {
		l.mu.dedupDoubt = dedupDoubt{cause: w.doubt, untilNs: now + int64(l.opts.Dedup.Window)}
	}
	l.mu.dedupUnread = dedupUnread{}
}

func (l *Log) takeLastIDLocked(w *dedupWindow, last uint64) {
	if w.count > 0 {
		l.setLastIDLocked(w.lastID)
	}
	if w.doubt != nil && w.doubt.LastSeq >= last {
		l.mu.lastIDDoubt = w.doubt
	}
}

// windowRead makes sure that the ids of the dedup window are known, or returns the
// refusal of the append that asks while they are read.
func (l *Log) windowRead() error {
	l.mu.Lock()
	unread := l.mu.dedupUnread
	l.mu.Unlock()
	if unread.last == 0 {
		return nil
	}
	return l.subjects.fetchOnce(windowKey, func(ctx context.Context, _ uint64) (func(), error) {
		now := l.now()
		window, err := l.readWindow(ctx, unread.first, unread.last, now)
		return func() { l.takeWindowLocked(window, now) }, err
	})
}

// dedupStart is the first sequence that may be inside the window that begins at a
// time. A lost segment may have such sequences if the one behind it has.
func (l *Log) dedupStart(from, now int64) uint64 {
	arrivals := l.arrivals(now)
	list, start := arrivals.list, l.durable.Load()+1
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		footer := s.seal.Load()
		switch {
		case s.lost != "" || footer == nil:
		case footer.Count == 0:
			continue
		case !arrivals.mayReach(i, from):
			return start // what is in front of it came earlier
		}
		start = min(start, s.baseSeq())
	}
	return start
}
