package bridge

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

// answerBytesMax is how many bytes of refusals are gathered before they are
// handed to the connection within one socket read.
const answerBytesMax = 64 << 10

// intake takes messages off the connection into the logs. Its methods are
// called by the connection's reading goroutine alone, so it has no locks, and
// by being one goroutine it keeps the order in which publishers sent.
type intake struct {
	options *Options
	policy  *publishPolicy
	conn    *wire.Conn
	metrics *bridgeMetrics
	bySID   []*boundLog   // index: subscription number
	stopped atomic.Bool   // nothing more is taken
	broke   chan struct{} // the connection broke after that

	touched []*boundLog
	header  headerBlock
	record  engine.Record
	arrived int64 // when the first message of this socket read was taken; 0: none yet
	refused refusal
	answers []byte

	problems struct {
		sync.Mutex
		list []string // what the server refused since the connection was made
	}
}

// HandleMessage stores one message or answers why not.
func (in *intake) HandleMessage(m *wire.Message) {
	if int(m.SID) >= len(in.bySID) || in.bySID[m.SID] == nil || in.stopped.Load() {
		return
	}
	l := in.bySID[m.SID]
	if !l.read.touched {
		if in.arrived == 0 {
			in.arrived = time.Now().UnixNano()
		}
		l.read.touched = true
		in.touched = append(in.touched, l)
	}
	size := len(m.Subject) + len(m.Header) + len(m.Payload)
	l.read.received++
	l.read.receivedBytes += int64(size)
	reply := m.Reply
	if len(reply) > 0 && !in.policy.mayPublish(reply) {
		l.read.refusedReplies++
		l.read.refusedReply = string(reply)
		return
	}
	if l.overlap.Load() != nil {
		reply = nil // the stream answers; two answers would race
	}
	if !in.store(l, m, reply, size) && len(reply) > 0 {
		in.refuse(l, reply)
	}
}

// store appends a message and notes who waits for it. It reports false if the
// message was refused; in.refused says why.
func (in *intake) store(l *boundLog, m *wire.Message, reply []byte, size int) bool {
	if l.full(size) {
		return in.refuseWith(&refuseIngestFull)
	}
	if !in.checkShape(l, m) {
		return false
	}
	level := l.config.Ack
	control := &in.header.control
	if control.any && !in.checkHeaders(l, &level) {
		return false
	}
	in.record.Timestamp = in.arrived
	in.record.Subject, in.record.Headers, in.record.Payload = m.Subject, in.header.stored, m.Payload
	var seq uint64
	var err error
	if control.any {
		seq, err = in.appendChecked(l)
	} else {
		seq, err = l.log.Append(&in.record)
	}
	duplicate := err != nil && errors.Is(err, engine.ErrDuplicate)
	if err != nil && !duplicate {
		return in.refuseError(l, err)
	}
	if len(reply) == 0 {
		return true
	}
	entry := ackEntry{seq: seq, bytes: uint32(size), duplicate: duplicate, asked: control.ackLevel != nil}
	l.read.batches[level].add(entry, reply)
	l.read.last[level] = max(l.read.last[level], seq)
	l.read.messages++
	l.read.bytes += int64(size)
	return true
}

// refuseWith notes why a message is refused.
func (in *intake) refuseWith(r *refusal) bool {
	in.refused = *r
	return false
}

func (in *intake) refuseError(l *boundLog, err error) bool {
	var already *refusedError
	if errors.As(err, &already) {
		return in.refuseWith(already.refusal)
	}
	if errors.Is(err, engine.ErrPoisoned) {
		l.notePoisoned(err)
	}
	in.refused = refusalOf(err)
	return false
}

// refuse answers the publisher of a message that was not stored.
func (in *intake) refuse(l *boundLog, reply []byte) {
	l.metrics.refusals[in.refused.kind].Inc()
	in.answers = appendRefusal(in.answers, reply, l.name, &in.refused)
	if len(in.answers) >= answerBytesMax {
		in.sendAnswers()
	}
}

func (in *intake) sendAnswers() {
	if len(in.answers) > 0 && !in.conn.Offer(in.answers) {
		in.metrics.answersDropped.Inc()
		in.options.emit(Event{Kind: EventAnswersDropped})
	}
	in.answers = in.answers[:0]
}

// noteGivenUp tells that answers were dropped on which several connections broke:
// the server does not take one of them.
func (in *intake) noteGivenUp(bytes int) {
	in.options.Logger.Error("connections to NATS broke on answers that wait to be sent; they are dropped", "bytes", bytes)
	in.metrics.answersDropped.Inc()
	in.options.emit(Event{Kind: EventAnswersDropped})
}

// HandleBatchEnd hands over what one socket read has brought and asks the logs
// for the levels that publishers wait for.
func (in *intake) HandleBatchEnd() {
	for _, l := range in.touched {
		in.finishRead(l)
	}
	in.touched, in.arrived = in.touched[:0], 0
	in.sendAnswers()
}

func (in *intake) finishRead(l *boundLog) {
	r := &l.read
	l.metrics.messages.Add(float64(r.received))
	l.metrics.bytes.Add(float64(r.receivedBytes))
	l.unackedMessages.Add(r.messages)
	l.unackedBytes.Add(r.bytes)
	for level := range engine.Level(levels) {
		if batch := &r.batches[level]; len(batch.entries) > 0 {
			l.queue(level, in.conn).push(batch)
			l.log.Request(r.last[level], level)
			batch.reset()
		}
		r.last[level] = 0
	}
	if r.refusedReplies > 0 {
		l.metrics.refusedReplies.Add(float64(r.refusedReplies))
		in.options.emit(Event{Kind: EventReplyRefused, Log: l.name, Subject: r.refusedReply, Count: r.refusedReplies})
	}
	r.touched, r.messages, r.bytes, r.received, r.receivedBytes = false, 0, 0, 0, 0
	r.refusedReplies, r.refusedReply = 0, ""
}

// HandleConnected notes that the server has taken all subscriptions.
func (in *intake) HandleConnected(url string) {
	in.options.Logger.Info("subscribed", "server", url)
}

// HandleDisconnected counts the gap: what publishers send until the next
// subscription does not arrive, nor does what the server had still queued.
func (in *intake) HandleDisconnected(err error) {
	if in.stopped.Load() {
		select {
		case in.broke <- struct{}{}:
		default: // it is known
		}
	}
	in.problems.Lock()
	in.problems.list = nil
	in.problems.Unlock()
	in.metrics.gaps.Inc()
	in.options.emit(Event{Kind: EventMessagesLost, Err: err})
}

// HandleServerError notes what the server refused.
func (in *intake) HandleServerError(err *wire.ServerError) {
	in.options.Logger.Warn("the server complains", "error", err)
	if strings.HasPrefix(err.Text, "Permissions Violation for Publish") {
		in.metrics.answersForbidden.Inc()
		return
	}
	in.problems.Lock()
	defer in.problems.Unlock()
	if len(in.problems.list) < 16 {
		in.problems.list = append(in.problems.list, err.Text)
	}
}

// complaints lists what the server refused on this connection.
func (in *intake) complaints() []string {
	in.problems.Lock()
	defer in.problems.Unlock()
	return append([]string(nil), in.problems.list...)
}
