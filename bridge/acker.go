package bridge

import (
	"context"
	"errors"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

// errStopping is the cause with which waits end when a bridge stops before its
// time.
var errStopping = errors.New("bridge: stopping")

// ackWriteBytes is how much an acker gathers before it writes.
const ackWriteBytes = 64 << 10

// acker answers the messages of one log that were stored at one level. One
// goroutine runs it.
type acker struct {
	log   *boundLog
	level engine.Level
	queue *ackQueue
	conn  *wire.Conn

	batch ackBatch // what was taken from the queue
	next  int      // its first entry that is not answered
	reply int      // where that entry's reply subject begins
	lines []byte

	answered      int64 // since the last report
	answeredBytes int64
}

// run answers until the queue is closed and empty. When ctx ends, what still
// waits is refused with ctx's cause.
func (a *acker) run(ctx context.Context) {
	for {
		if a.next == len(a.batch.entries) && !a.refill(true) {
			return
		}
		if err := a.log.log.Wait(ctx, a.batch.entries[a.next].seq, a.level); err != nil {
			a.refuseAll(ctx, err)
			continue
		}
		a.answerReached()
	}
}

// refill takes the next batch from the queue.
func (a *acker) refill(wait bool) bool {
	a.next, a.reply = 0, 0
	return a.queue.take(&a.batch, wait)
}

// answerReached answers every entry up to the watermark, in few writes.
func (a *acker) answerReached() {
	marks := a.log.log.Watermarks()
	reached := marks.Durable
	if a.level == engine.Written {
		reached = max(marks.Written, marks.Durable)
	}
	for {
		for ; a.next < len(a.batch.entries) && a.batch.entries[a.next].seq <= reached; a.next++ {
			a.answer(&a.batch.entries[a.next], marks.Durable)
			if len(a.lines) >= ackWriteBytes {
				a.write()
			}
		}
		if a.next < len(a.batch.entries) || !a.refill(false) || len(a.batch.entries) == 0 {
			break
		}
	}
	a.write()
}

func (a *acker) answer(entry *ackEntry, durable uint64) {
	var header []byte
	if entry.asked {
		level := a.level
		if entry.seq <= durable {
			level = engine.Durable
		}
		header = ackHeaders[level]
	}
	a.lines = appendAck(a.lines, a.nextReply(entry), a.log.ackHead, entry.seq, entry.duplicate, header)
}

func (a *acker) nextReply(entry *ackEntry) []byte {
	reply := a.batch.replies[a.reply : a.reply+int(entry.replySize)]
	a.reply += int(entry.replySize)
	a.answered++
	a.answeredBytes += int64(entry.bytes)
	return reply
}

// write sends what was gathered. That fails only when the bridge has closed its
// connection; then nobody can be answered.
func (a *acker) write() {
	if a.answered == 0 {
		return
	}
	if err := a.conn.Write(a.lines); err == nil {
		a.log.metrics.acks[a.level].Add(float64(a.answered))
	} else {
		a.log.unanswered.Add(a.answered)
	}
	a.settle()
}

// settle forgets what was gathered and gives its share of the limits back.
func (a *acker) settle() {
	a.log.unackedMessages.Add(-a.answered)
	a.log.unackedBytes.Add(-a.answeredBytes)
	a.lines, a.answered, a.answeredBytes = a.lines[:0], 0, 0
}

// refuseAll tells every publisher of the batch that its record did not reach
// the level.
func (a *acker) refuseAll(ctx context.Context, err error) {
	if ctx.Err() != nil {
		err = errStopping
	}
	r := refusalOf(err)
	if errors.Is(err, engine.ErrPoisoned) {
		a.log.notePoisoned(err)
	}
	for ; a.next < len(a.batch.entries); a.next++ {
		a.lines = appendRefusal(a.lines, a.nextReply(&a.batch.entries[a.next]), a.log.name, &r)
	}
	a.log.metrics.refusals[r.kind].Add(float64(a.answered))
	if writeErr := a.conn.Write(a.lines); writeErr != nil && len(a.lines) > 0 {
		a.log.options.Logger.Warn("publishers could not be told", "log", a.log.name, "count", a.answered, "error", writeErr)
	}
	a.settle()
}
