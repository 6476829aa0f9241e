package bridge

import (
	"sync/atomic"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

// levels is how many ack levels a log can wait for: durable and written.
const levels = 2

// boundLog is a log and what the bridge keeps beside it.
type boundLog struct {
	config  LogConfig
	name    string
	log     *engine.Log
	options *Options
	ackHead []byte
	metrics *logMetrics

	// queues and ackers are made when a level is first asked for: most logs use
	// one. Only the reading goroutine makes them; stopping waits for it first.
	queues [levels]*ackQueue
	start  func(*acker)

	unackedMessages atomic.Int64
	unackedBytes    atomic.Int64
	unanswered      atomic.Int64 // stored, and the connection was closed before the answer
	poisoned        atomic.Bool
	overlap         atomic.Pointer[string] // the stream that captures our subjects

	read logRead
}

// logRead is what one socket read has brought for a log. It belongs to the
// reading goroutine.
type logRead struct {
	touched        bool
	batches        [levels]ackBatch
	last           [levels]uint64 // last sequence to be answered at the level
	messages       int64          // to be answered
	bytes          int64
	received       int64
	receivedBytes  int64
	refusedReplies uint64
	refusedReply   string // the last of them
}

// queue returns the level's queue with an acker behind it.
func (l *boundLog) queue(level engine.Level, conn *wire.Conn) *ackQueue {
	if l.queues[level] == nil {
		l.queues[level] = newAckQueue()
		l.start(&acker{log: l, level: level, queue: l.queues[level], conn: conn})
	}
	return l.queues[level]
}

// full reports whether so many messages wait for their answers that another
// would pass a limit.
func (l *boundLog) full(bytes int) bool {
	return l.unackedMessages.Load()+l.read.messages >= int64(l.config.UnackedMessagesMax) ||
		l.unackedBytes.Load()+l.read.bytes+int64(bytes) > l.config.UnackedBytesMax
}

// notePoisoned tells once that the log is poisoned.
func (l *boundLog) notePoisoned(err error) {
	if l.poisoned.CompareAndSwap(false, true) {
		l.options.Logger.Error("log is poisoned", "log", l.name, "error", err)
		l.options.emit(Event{Kind: EventLogPoisoned, Log: l.name, Err: err})
	}
}
