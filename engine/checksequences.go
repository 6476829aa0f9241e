package engine

import "fmt"

// checkSequences verifies that the segments hold every sequence from the first
// that is kept to the last, once.
func (l *logChecker) checkSequences() error {
	trimmed := l.state.Log().TrimmedTo
	next, first := trimmed+1, true
	l.found.FirstSeq = next
	for _, s := range l.segments {
		if !s.part {
			continue
		}
		if first && s.base < next && s.last >= s.base {
			next = s.base // retention did not remove it yet
		}
		switch {
		case s.base > next:
			l.gap(next, s.base-1, s.id)
		case s.base < next && !first:
			l.damaged(Finding{
				Kind: FoundContradiction, Part: PartLog, Segment: s.id, Path: l.paths.segments,
				Reason: fmt.Sprintf("it begins with sequence %d, the segment before ends with %d", s.base, next-1),
			})
		}
		first = false
		next = max(next, s.last+1)
		l.found.LastSeq = max(s.proven, l.found.LastSeq)
	}
	l.found.LastSeq = max(l.found.LastSeq, l.found.FirstSeq-1)
	if want := l.state.Log().NextSeq; first && want > next {
		l.gap(next, want-1, 0)
		l.found.LastSeq = want - 1
	}
	return nil
}

// gap reports sequences that no segment holds, in front of one.
func (l *logChecker) gap(first, last, before uint64) {
	l.damaged(Finding{
		Kind: FoundMissing, Part: PartLog, Segment: before, Path: l.paths.segments, FirstSeq: first, LastSeq: last,
		Reason: "no segment holds these sequences", Cost: CostLost,
	})
}
