package planner

import (
	"cmp"
	"slices"
)

// candidate is a segment that may make a move. Candidates are ordered by the
// turn of their log, then by time, then by their names.
type candidate struct {
	rank      int   // moves of this kind that the log makes before it
	startedNs int64 // when its last began
	timeNs    int64 // ready since, or last used
	logID     uint64
	*Segment
}

func (c candidate) compare(other candidate) int {
	return cmp.Or(
		cmp.Compare(c.rank, other.rank),
		cmp.Compare(c.startedNs, other.startedNs),
		cmp.Compare(c.timeNs, other.timeNs),
		cmp.Compare(c.SealedNs, other.SealedNs),
		cmp.Compare(c.logID, other.logID),
		cmp.Compare(c.ID, other.ID))
}

// readyNs is the time since which a segment waits for a move.
func (s *Segment) readyNs(kind Kind) int64 {
	return max(s.SealedNs, s.Failures[kind].NotBeforeNs)
}

// shortlist keeps the first few of many candidates, in order.
type shortlist struct {
	most int
	list []candidate
}

func (l *shortlist) add(c candidate) {
	if len(l.list) >= l.most {
		if l.most <= 0 || c.compare(l.list[l.most-1]) >= 0 {
			return
		}
		l.list = l.list[:l.most-1]
	}
	at, _ := slices.BinarySearchFunc(l.list, c, candidate.compare)
	l.list = slices.Insert(l.list, at, c)
}

// turns ranks the candidates of one log behind the moves that it makes already.
func (l *shortlist) turns(underWay int, startedNs int64) []candidate {
	for i := range l.list {
		l.list[i].rank, l.list[i].startedNs = underWay+i, startedNs
	}
	return l.list
}
