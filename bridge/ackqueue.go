package bridge

import "sync"

// ackEntry is one message that waits for its answer.
type ackEntry struct {
	seq       uint64
	bytes     uint32 // what it counts in the limit of unanswered bytes
	replySize uint16 // its reply subject, in the order of entries
	duplicate bool
	asked     bool // the message named its level: the answer names the one reached
}

// ackBatch is a run of entries and, one behind the other, their reply subjects.
type ackBatch struct {
	entries []ackEntry
	replies []byte
}

func (b *ackBatch) add(entry ackEntry, reply []byte) {
	entry.replySize = uint16(len(reply))
	b.entries = append(b.entries, entry)
	b.replies = append(b.replies, reply...)
}

func (b *ackBatch) reset() { b.entries, b.replies = b.entries[:0], b.replies[:0] }

// ackQueue hands batches from intake to one acker, in order and without a
// channel operation a message.
type ackQueue struct {
	mu struct {
		sync.Mutex
		arrived ackBatch
		closed  bool
	}
	changed *sync.Cond
}

func newAckQueue() *ackQueue {
	q := &ackQueue{}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// push appends the entries of a batch, which the caller keeps and may reuse.
func (q *ackQueue) push(batch *ackBatch) {
	q.mu.Lock()
	q.mu.arrived.entries = append(q.mu.arrived.entries, batch.entries...)
	q.mu.arrived.replies = append(q.mu.arrived.replies, batch.replies...)
	q.mu.Unlock()
	q.changed.Signal()
}

// take exchanges the empty batch for everything that has arrived. It waits for
// something if wait is set and reports false once the queue is closed and empty.
func (q *ackQueue) take(batch *ackBatch, wait bool) bool {
	batch.reset()
	q.mu.Lock()
	defer q.mu.Unlock()
	for wait && len(q.mu.arrived.entries) == 0 && !q.mu.closed {
		q.changed.Wait()
	}
	*batch, q.mu.arrived = q.mu.arrived, *batch
	return len(batch.entries) > 0 || !q.mu.closed
}

// close lets take report false once everything was taken.
func (q *ackQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = true
	q.changed.Signal()
}
