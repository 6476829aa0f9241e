package engine

import (
	"bytes"
	"context"
)

// Conditions of AppendIf. The zero value asks for nothing.
type Conditions struct {
	// MsgID is looked up in the dedup window, and remembered on success. The
	// caller stores it in the record's headers under the dedup header too, so
	// that the window can be rebuilt.
	MsgID []byte
	// ExpectLastSeq asks that LastSeq be the last sequence of the log.
	ExpectLastSeq bool
	LastSeq       uint64
	// ExpectLastSubjectSeq asks that LastSubjectSeq be the last sequence among
	// the records whose subject matches LastSubjectFilter, or has the record's
	// own subject if that is empty. 0 means that there is none.
	ExpectLastSubjectSeq bool
	LastSubjectSeq       uint64
	LastSubjectFilter    []byte
	// ExpectLastMsgID asks that LastMsgID be the id of the last record, empty
	// if that had none.
	ExpectLastMsgID bool
	LastMsgID       []byte
}

// AppendIf appends rec if all conditions hold against what is appended so far,
// in one step. A duplicate returns the original's sequence and ErrDuplicate:
// its acknowledgement must wait until the original has the level asked for. A
// condition that does not hold returns a *ConflictError. Conditions are checked
// in the order: last sequence of the subject, last sequence, duplicate, last
// message id. ExpectLastSubjectSeq may read segments from the local
// disk; where only the bucket knows, the record is refused with Hydration
// backpressure while that is fetched.
func (l *Log) AppendIf(rec *Record, c Conditions) (uint64, error) {
	size, err := l.validate(rec)
	if err != nil {
		return 0, err
	}
	filter := c.LastSubjectFilter
	if len(filter) == 0 {
		filter = l.subjectOf(rec)
	}
	if c.ExpectLastMsgID {
		if err := l.lastIDRead(); err != nil {
			return 0, err
		}
	}
	for {
		var history subjectHistory
		if c.ExpectLastSubjectSeq {
			if history, err = l.subjects.history(filter); err != nil {
				return 0, err
			}
		}
		seq, stale, err := l.appendIf(rec, size, &c, filter, history)
		if !stale {
			return seq, err
		}
	}
}

// appendIf checks the conditions and appends in one step. It reports a history
// that has to be looked up again.
func (l *Log) appendIf(rec *Record, size int64, c *Conditions, filter []byte, history subjectHistory) (seq uint64, stale bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.ExpectLastSubjectSeq {
		if l.subjects.staleLocked(history) {
			return 0, true, nil
		}
		if last := l.subjects.lastLocked(filter, history); last != c.LastSubjectSeq {
			return 0, false, &ConflictError{Kind: ConflictLastSubjectSeq, ActualSeq: last}
		}
	}
	seq, err = l.appendUniqueLocked(rec, size, c)
	return seq, false, err
}

func (l *Log) appendUniqueLocked(rec *Record, size int64, c *Conditions) (uint64, error) {
	if seq, err := l.checkLocked(c); err != nil {
		return seq, err
	}
	seq, err := l.appendLocked(rec, size)
	if err != nil {
		return 0, err
	}
	l.setLastIDLocked(c.MsgID)
	if len(c.MsgID) > 0 {
		l.mu.dedup.add(c.MsgID, seq, l.now())
	}
	return seq, nil
}

func (l *Log) checkLocked(c *Conditions) (uint64, error) {
	if last := l.appended.Load(); c.ExpectLastSeq && c.LastSeq != last {
		return 0, &ConflictError{Kind: ConflictLastSeq, ActualSeq: last}
	}
	if len(c.MsgID) > 0 {
		if seq, ok := l.mu.dedup.lookup(c.MsgID, l.now()); ok {
			return seq, ErrDuplicate
		}
	}
	if c.ExpectLastMsgID && !bytes.Equal(c.LastMsgID, l.mu.lastID) {
		return 0, &ConflictError{Kind: ConflictLastMsgID, ActualMsgID: string(l.mu.lastID)}
	}
	return 0, nil
}

// setLastIDLocked notes the message id of the last record.
func (l *Log) setLastIDLocked(id []byte) {
	l.mu.lastID, l.mu.lastIDUnread = append(l.mu.lastID[:0], id...), false
}

// rebuildDedup reads the ids of the records that the window still covers.
func (l *Log) rebuildDedup() error {
	now := l.now()
	from := now - int64(l.opts.Dedup.Window)
	start := l.durable.Load() + 1
	for _, s := range *l.segments.Load() {
		if footer := s.seal.Load(); footer == nil || footer.Count > 0 && footer.MaxTimestamp >= from {
			start = min(start, s.baseSeq())
		}
	}
	last := l.durable.Load()
	if last == 0 {
		return nil
	}
	if start > last {
		if s := l.segmentFor(last); s != nil && !l.isLocal(s) {
			l.mu.lastIDUnread = true // read when somebody asks: an open makes no request for it
			return nil
		}
		start = last // the last record's id is needed in any case
	}
	ctx, cancel := context.WithTimeout(l.moving, openTimeout)
	defer cancel()
	return l.eachRecord(ctx, start, func(rec Record) {
		id, ok := findHeader(rec.Headers, l.opts.Dedup.Header)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.setLastIDLocked(id)
		if ok && len(id) > 0 && rec.Timestamp >= from {
			l.mu.dedup.add(id, rec.Seq, rec.Timestamp)
		}
	})
}
