package engine

import "sync"

// commitBuffer gathers encoded records between two commits. Appenders fill the
// open one under Log.mu; the committer owns it from the swap until it is
// recycled.
type commitBuffer struct {
	spans   []span
	lastSeq uint64 // last sequence of the log when its last byte was encoded
	// durable is closed when all of the buffer is durable; nil while nobody
	// waits for that.
	durable chan struct{}
}

// span is a run of encoded records that goes to one place of one segment.
type span struct {
	segment *segmentFile
	offset  int64  // where its first byte goes in the segment's file
	bytes   []byte // lies in block, or on its own if it is larger
	block   *block
	lastSeq uint64
}

// blockBytes is the memory that encoded records are gathered in: small enough
// to stay in a processor's cache until it is written.
const blockBytes = 256 << 10

type block [blockBytes]byte

// blockPool lends blocks. Growing a buffer copies nothing, and an idle log
// holds no memory.
type blockPool struct{ pool sync.Pool }

func (p *blockPool) get() *block {
	if b, ok := p.pool.Get().(*block); ok {
		return b
	}
	return new(block)
}

func (p *blockPool) put(b *block) {
	if b != nil {
		p.pool.Put(b)
	}
}

func (b *commitBuffer) empty() bool { return len(b.spans) == 0 }

// reserve returns a span of s that has room for so many bytes behind the
// tail's end.
func (b *commitBuffer) reserve(s *segmentFile, bytes int64, pool *blockPool) *span {
	if n := len(b.spans); n > 0 {
		last := &b.spans[n-1]
		if last.segment == s && int64(cap(last.bytes)-len(last.bytes)) >= bytes {
			return last
		}
	}
	next := span{segment: s, offset: s.tail.end}
	if bytes > blockBytes {
		next.bytes = make([]byte, 0, bytes)
	} else {
		next.block = pool.get()
		next.bytes = next.block[:0]
	}
	b.spans = append(b.spans, next)
	return &b.spans[len(b.spans)-1]
}

// recycle gives the blocks back and empties the buffer for its next use.
func (b *commitBuffer) recycle(pool *blockPool) {
	for i := range b.spans {
		pool.put(b.spans[i].block)
	}
	clear(b.spans)
	*b = commitBuffer{spans: b.spans[:0]}
}
