package engine

import "bytes"

// trackedSubjects are subjects with their last sequences, in order of those: the
// last record of a filter is found from the newest back.
type trackedSubjects struct {
	byName map[string]*trackedSubject
	begins map[string]*beginning
	newest *trackedSubject
	oldest *trackedSubject
}

type trackedSubject struct {
	name         string
	seq          uint64
	begins       []*beginning
	older, newer *trackedSubject
}

// beginning is what subjects have in common up to a dot.
type beginning struct {
	name   string
	newest *trackedSubject
}

func newTrackedSubjects() trackedSubjects {
	return trackedSubjects{byName: make(map[string]*trackedSubject), begins: make(map[string]*beginning)}
}

func (t *trackedSubjects) len() int { return len(t.byName) }

// last is the last sequence of a subject, 0 if it is not tracked.
func (t *trackedSubjects) last(subject []byte) uint64 {
	if s := t.byName[string(subject)]; s != nil {
		return s.seq
	}
	return 0
}

// note follows an append, which is the newest one.
func (t *trackedSubjects) note(subject []byte, seq uint64) {
	s := t.byName[string(subject)]
	if s == nil {
		s = t.add(subject)
	} else {
		t.unlink(s)
	}
	s.seq, s.older = seq, t.newest
	if t.newest != nil {
		t.newest.newer = s
	} else {
		t.oldest = s
	}
	t.newest = s
	for _, b := range s.begins {
		b.newest = s
	}
}

// noteOld adds a subject whose last sequence is lower than all that are tracked.
func (t *trackedSubjects) noteOld(subject []byte, seq uint64) {
	if t.byName[string(subject)] != nil {
		return
	}
	s := t.add(subject)
	s.seq, s.newer = seq, t.oldest
	if t.oldest != nil {
		t.oldest.older = s
	} else {
		t.newest = s
	}
	t.oldest = s
	for _, b := range s.begins {
		if b.newest == nil {
			b.newest = s
		}
	}
}

func (t *trackedSubjects) add(subject []byte) *trackedSubject {
	s := &trackedSubject{name: string(subject)}
	for i := range s.name {
		if s.name[i] != '.' {
			continue
		}
		b := t.begins[s.name[:i+1]]
		if b == nil {
			b = &beginning{name: s.name[:i+1]}
			t.begins[b.name] = b
		}
		s.begins = append(s.begins, b)
	}
	t.byName[s.name] = s
	return s
}

func (t *trackedSubjects) unlink(s *trackedSubject) {
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		t.oldest = s.newer
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		t.newest = s.older
	}
	s.older, s.newer = nil, nil
}

// dropUpTo forgets the subjects whose last sequence is not above seq.
func (t *trackedSubjects) dropUpTo(seq uint64) {
	for s := t.oldest; s != nil && s.seq <= seq; s = t.oldest {
		t.unlink(s)
		delete(t.byName, s.name)
		for _, b := range s.begins {
			if b.newest == s { // the others that begin so are older
				delete(t.begins, b.name)
			}
		}
	}
}

// lastMatching is the last sequence above after of a filter with wildcards, 0 if
// there is none, and how many subjects it had to look at.
func (t *trackedSubjects) lastMatching(filter []byte, after uint64) (last uint64, looked int) {
	from := t.newest
	if begin := literalBeginning(filter); len(begin) > 0 {
		b := t.begins[string(begin)]
		if b == nil {
			return 0, 0
		}
		from = b.newest
	}
	for s := from; s != nil && s.seq > after; s = s.older {
		looked++
		if MatchSubject(filter, []byte(s.name)) {
			return s.seq, looked
		}
	}
	return 0, looked
}

// literalBeginning is the tokens in front of a filter's first wildcard, with the
// dot behind them.
func literalBeginning(filter []byte) []byte {
	for at := 0; ; {
		token, _, more := bytes.Cut(filter[at:], dot)
		if len(token) == 1 && (token[0] == '*' || token[0] == '>') || !more {
			return filter[:at]
		}
		at += len(token) + 1
	}
}
