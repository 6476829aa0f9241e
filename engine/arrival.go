package engine

import (
	"sort"
	"time"

	"github.com/aof-nats/aof-nats/manifest"
)

// arrivals estimates, behind a restart, when the records of a log came. Ids are
// remembered by that. A record has the timestamp that a clock or its source gave
// it; the time in which its segment took records bounds when it came.
type arrivals struct {
	log   *Log
	list  []*segmentFile
	state *manifest.State
	now   int64

	segment  *segmentFile
	from, to int64
}

// arrivalSlack is how long before its append a record may have got its timestamp:
// whoever took it off the network took the time too.
const arrivalSlack = int64(time.Second)

func (l *Log) arrivals(now int64) *arrivals {
	return &arrivals{log: l, list: *l.segments.Load(), state: l.journal.state(), now: now}
}

// of is when a record came, or the last moment at which it can have: a timestamp
// outside of what is possible says nothing. It is called in order of sequence.
func (a *arrivals) of(rec *Record) int64 {
	if a.segment == nil || rec.Seq > a.segment.lastSeq.Load() {
		a.enter(rec.Seq)
	}
	if rec.Timestamp < a.from-arrivalSlack || rec.Timestamp > a.to {
		return a.to
	}
	a.from = max(a.from, rec.Timestamp) // those behind it came later
	return a.from
}

func (a *arrivals) enter(seq uint64) {
	i := sort.Search(len(a.list), func(i int) bool { return a.list[i].baseSeq() > seq }) - 1
	s := a.list[max(i, 0)]
	a.segment, a.to = s, a.latest(max(i, 0))
	// Of one that was found in the bucket, nobody knows when it was made.
	if a.log.isLocal(s) && s.header.Created <= a.to {
		a.from = max(a.from, s.header.Created)
	}
}

// latest is when the segment at a place in the list took its last record, at the
// latest.
func (a *arrivals) latest(i int) int64 {
	latest := a.now
	if entry := a.state.Segment(a.list[i].id()); entry != nil && entry.Sealed {
		latest = min(latest, entry.SealedNs)
	}
	if i+1 < len(a.list) && a.list[i+1].header.Created > 0 {
		latest = min(latest, a.list[i+1].header.Created)
	}
	return latest
}

// mayReach reports whether the sealed segment at a place in the list may have
// records that came at a time or later. What only the bucket has is believed its
// timestamps: an open does not read it in doubt.
func (a *arrivals) mayReach(i int, from int64) bool {
	s := a.list[i]
	return a.latest(i) >= from && (s.seal.Load().MaxTimestamp >= from || a.log.isLocal(s))
}
