package bridge

import (
	"errors"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// impossibleMsgID cannot be the id of any record, since no header value holds a
// line break. Expecting it makes AppendIf check all conditions in front of it
// and append nothing.
var impossibleMsgID = []byte("\n")

// refusedError carries a refusal through the path of engine errors.
type refusedError struct{ refusal *refusal }

func (e *refusedError) Error() string { return e.refusal.description }

// appendChecked appends in.record under the conditions of its headers. Headers
// that an append-only log refuses in any case are refused in JetStream's order:
// only when the conditions that are checked before them hold.
func (in *intake) appendChecked(l *boundLog) (uint64, error) {
	c := &in.header.control
	var conditions engine.Conditions
	if len(c.lastSubjectSeq) > 0 {
		conditions.ExpectLastSubjectSeq = true
		conditions.LastSubjectSeq = parseSequence(c.lastSubjectSeq)
		conditions.LastSubjectFilter = c.lastSubjectFilter
	}
	if len(c.lastSeq) > 0 {
		conditions.ExpectLastSeq, conditions.LastSeq = true, parseSequence(c.lastSeq)
	}
	if r := refusedBeforeDedup(c, in.record.Subject); r != nil {
		return in.refuseUnlessEarlier(l, conditions, nil, r)
	}
	conditions.MsgID = c.msgID
	if r := refusedAfterDedup(c); r != nil {
		return in.refuseUnlessEarlier(l, conditions, c.lastMsgID, r)
	}
	if len(c.lastMsgID) > 0 {
		conditions.ExpectLastMsgID, conditions.LastMsgID = true, c.lastMsgID
	}
	return l.log.AppendIf(&in.record, conditions)
}

// refuseUnlessEarlier checks the conditions, appends nothing, and returns the
// first fault: that of a condition (a duplicate is one), of the expected last
// message id if one is given, else r.
func (in *intake) refuseUnlessEarlier(l *boundLog, conditions engine.Conditions, lastMsgID []byte, r *refusal) (uint64, error) {
	conditions.ExpectLastMsgID, conditions.LastMsgID = true, impossibleMsgID
	seq, err := l.log.AppendIf(&in.record, conditions)
	var conflict *engine.ConflictError
	if !errors.As(err, &conflict) || conflict.Kind != engine.ConflictLastMsgID {
		return seq, err
	}
	if len(lastMsgID) > 0 && string(lastMsgID) != conflict.ActualMsgID {
		return 0, err
	}
	return 0, &refusedError{refusal: r}
}

// refusedBeforeDedup returns why a message with schedule or source headers is
// refused, nil if it has none.
func refusedBeforeDedup(c *controlHeaders, subject []byte) *refusal {
	switch {
	case len(c.schedule) > 0 || c.scheduleZone != nil && !isTimeZone(c.scheduleZone):
		return &refuseSchedule
	case len(c.scheduleNext) > 0:
		if string(c.scheduleNext) != "purge" || string(c.scheduler) == string(subject) || !isLiteralSubject(c.scheduler) {
			return &refuseScheduler
		}
		return &refuseSchedule
	case len(c.scheduler) > 0:
		return &refuseScheduler
	case len(c.streamSource) > 0:
		return &refuseSource
	}
	return nil
}

func isTimeZone(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	_, err := time.LoadLocation(string(name))
	return err == nil
}

// refusedAfterDedup returns why a message with a rollup or an invalid TTL is
// refused, nil if it has none.
func refusedAfterDedup(c *controlHeaders) *refusal {
	if len(c.rollup) > 0 {
		return &refuseRollup
	}
	if _, valid := parseTTL(c.timeToLive); !valid {
		return &refuseTTLInvalid
	}
	return nil
}
