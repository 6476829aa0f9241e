package engine

import (
	"bytes"
	"errors"
	"fmt"
)

// Conditions of AppendIf. The zero value asks for nothing.
type Conditions struct {
	// MsgID is looked up in the dedup window, and remembered on success. The
	// caller stores it in the record's headers under the dedup header too, so
	// that the window can be rebuilt. Blanks in front are no part of an id. The id
	// of a record that is appended without being looked up is remembered too.
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
// message id. ExpectLastSubjectSeq may read a little from the local disk, for some
// milliseconds; where only the bucket knows, or more would have to be read, the
// record is refused with Hydration backpressure while that is looked up. The first one on a
// log waits for what is not yet written, at most a second: then it is refused with
// Flush backpressure. Where damage took records that could decide, the error
// matches ErrDamaged.
func (l *Log) AppendIf(rec *Record, c Conditions) (uint64, error) {
	size, err := l.validate(rec)
	if err != nil {
		return 0, err
	}
	c.MsgID, c.LastMsgID = trimBlanks(c.MsgID), trimBlanks(c.LastMsgID)
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
		if errors.Is(err, errWindowUnread) {
			err = l.windowRead()
			stale = err == nil
		}
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
		last := l.subjects.lastLocked(filter, history)
		if doubt := l.subjects.doubt; doubt != nil && last <= doubt.LastSeq {
			return 0, false, doubt
		}
		if last != c.LastSubjectSeq {
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
	id := c.MsgID
	if len(id) == 0 {
		id = l.idOf(rec)
	}
	l.noteIDLocked(id, seq)
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
		if unread := &l.mu.dedupUnread; unread.last > 0 && l.now() <= unread.untilNs {
			return 0, errWindowUnread
		}
		if l.mu.dedupDoubt.cause != nil && l.now() <= l.mu.dedupDoubt.untilNs {
			return 0, fmt.Errorf("whether the message id is a duplicate is not known: %w", l.mu.dedupDoubt.cause)
		}
	}
	if c.ExpectLastMsgID && l.mu.lastIDDoubt != nil {
		return 0, l.mu.lastIDDoubt
	}
	if c.ExpectLastMsgID && !bytes.Equal(c.LastMsgID, l.mu.lastID) {
		return 0, &ConflictError{Kind: ConflictLastMsgID, ActualMsgID: string(l.mu.lastID)}
	}
	return 0, nil
}

// idOf is the message id in a record's headers, empty if there is none. An open
// finds it there, so it counts whatever the record was appended with.
func (l *Log) idOf(rec *Record) []byte {
	id, _ := findHeader(rec.Headers, l.opts.Dedup.Header)
	return id
}

// noteIDLocked notes the message id of the record that was appended last.
func (l *Log) noteIDLocked(id []byte, seq uint64) {
	l.setLastIDLocked(id)
	if len(id) > 0 {
		l.mu.dedup.add(id, seq, l.now())
	}
}

// setLastIDLocked notes the message id of the last record.
func (l *Log) setLastIDLocked(id []byte) {
	l.mu.lastID, l.mu.lastIDUnread, l.mu.lastIDDoubt = append(l.mu.lastID[:0], id...), false, nil
}
