package bucket

import (
	"sync/atomic"
	"time"
)

// RequestKind is what stores put a price on.
type RequestKind uint8

// The kinds of request. A request for attributes counts as a get: that is what
// stores charge for it.
const (
	RequestPut RequestKind = iota
	RequestGet
	RequestList
	RequestDelete

	requestKinds
)

// String names the kind.
func (k RequestKind) String() string {
	return [...]string{"put", "get", "list", "delete"}[k]
}

// Request is one request that was made: each attempt of a call is one. A store
// may be sent more for it, if its driver cuts an object into parts or repeats
// a request by itself.
type Request struct {
	Kind RequestKind
	// Key is the whole key, or the prefix of a list.
	Key string
	// Bytes is how much of an object went to or came from the store.
	Bytes int64
	// Took is how long it took.
	Took time.Duration
	// Err is why it failed, or nil.
	Err error
}

// Requests counts requests since the bucket was opened, failed ones included.
type Requests struct {
	Put, Get, List, Delete uint64
	// BytesOut went to the store, BytesIn came from it.
	BytesOut, BytesIn uint64
}

type counts struct {
	requests          [requestKinds]atomic.Uint64
	bytesOut, bytesIn atomic.Uint64
}

// Requests returns the counts. Each is exact; one request may be in one count
// and not yet in another.
func (b *Bucket) Requests() Requests {
	return Requests{
		Put:      b.counts.requests[RequestPut].Load(),
		Get:      b.counts.requests[RequestGet].Load(),
		List:     b.counts.requests[RequestList].Load(),
		Delete:   b.counts.requests[RequestDelete].Load(),
		BytesOut: b.counts.bytesOut.Load(),
		BytesIn:  b.counts.bytesIn.Load(),
	}
}

// count records a request that has ended.
func (b *Bucket) count(made Request, sent time.Time) {
	b.counts.requests[made.Kind].Add(1)
	switch made.Kind {
	case RequestPut:
		b.counts.bytesOut.Add(uint64(made.Bytes))
	case RequestGet:
		b.counts.bytesIn.Add(uint64(made.Bytes))
	}
	if b.opts.OnRequest != nil {
		made.Took = b.opts.Now().Sub(sent)
		b.opts.OnRequest(made)
	}
}
