package planner

import "slices"

// Plan returns the moves to start now, at most State.Free of each kind and one
// a segment, in the order of their importance within a kind. See the package
// for the rules. It goes over the segments once, and once more for each tier
// that has to shrink; what it allocates depends on the workers and the logs
// alone. It keeps nothing of state.
func Plan(nowNs int64, state *State, budgets Budgets) []Action {
	p := plan{
		nowNs: nowNs, state: state, budgets: budgets,
		hotLeft: state.HotBytes, warmTaken: state.WarmBytes, warmLeft: state.WarmBytes, lack: state.DiskLackBytes,
	}
	for i := range state.Logs {
		p.gather(&state.Logs[i])
	}
	p.upload()
	p.compress()
	evictable := p.evict(EvictHot, Hot, max(p.hotLeft-budgets.HotLowBytes, p.lack))
	p.evict(EvictWarm, Warm, max(p.warmLeft-min(budgets.WarmLowBytes, budgets.WarmBytes-p.waiting), p.lack-evictable))
	return p.actions
}

// plan is one run of Plan.
type plan struct {
	nowNs   int64
	state   *State
	budgets Budgets

	// warmTaken is what the warm tier holds and compressions, under way or
	// planned, may take at most. The other two are what will be left when the
	// evictions under way are done: they may fail, so no room is given away for
	// them, nor more evicted than is needed.
	hotLeft, warmTaken, warmLeft int64
	// waiting is what the next compression needs and finds no room for, 0 if
	// none waits.
	waiting int64
	// lack is what the disk will be short of when the evictions under way are
	// done.
	lack int64

	compressions, uploads []candidate
	actions               []Action
}

// gather goes over the segments of one log: what is under way counts, what may
// be compressed or uploaded is a candidate.
func (p *plan) gather(log *Log) {
	var underWay [kinds]int
	compressions, uploads := shortlist{most: p.state.Free[Compress]}, shortlist{most: p.state.Free[Upload]}
	for i := range log.Segments {
		s := &log.Segments[i]
		if s.Moving != None {
			p.count(s)
			if s.Moving < kinds {
				underWay[s.Moving]++
			}
			continue
		}
		if p.may(Compress, s) {
			compressions.add(candidate{timeNs: s.readyNs(Compress), logID: log.ID, Segment: s})
		}
		if p.may(Upload, s) {
			uploads.add(candidate{timeNs: s.readyNs(Upload), logID: log.ID, Segment: s})
		}
	}
	p.compressions = append(p.compressions, compressions.turns(underWay[Compress], log.StartedNs[Compress])...)
	p.uploads = append(p.uploads, uploads.turns(underWay[Upload], log.StartedNs[Upload])...)
}

// count takes a move under way into account.
func (p *plan) count(s *Segment) {
	switch s.Moving {
	case Compress:
		p.takeWarm(CompressedBytesMax(s.Copies[Hot].Bytes))
	case EvictHot:
		p.hotLeft -= s.Copies[Hot].Bytes
		p.lack -= s.Copies[Hot].Bytes
	case EvictWarm:
		p.warmLeft -= s.Copies[Warm].Bytes
		p.lack -= s.Copies[Warm].Bytes
	}
}

func (p *plan) takeWarm(bytes int64) {
	p.warmTaken += bytes
	p.warmLeft += bytes
}

// may says that a segment at rest is fit for a move now, whatever the budgets
// and the workers say.
func (p *plan) may(kind Kind, s *Segment) bool {
	if s.Failures[kind].NotBeforeNs > p.nowNs {
		return false
	}
	hot, warm := &s.Copies[Hot], &s.Copies[Warm]
	cold := s.Copies[Cold].Verified && p.state.Bucket
	switch kind {
	case Compress:
		return hot.Verified && !warm.Verified && !cold
	case Upload:
		return p.state.Bucket && p.state.BucketAnswers && warm.Verified && !cold
	case EvictHot:
		return hot.Bytes > 0 && hot.Pins == 0 && (warm.Verified || cold)
	case EvictWarm:
		return warm.Bytes > 0 && warm.Pins == 0 && cold
	}
	return false
}

// act plans a move.
func (p *plan) act(kind Kind, c *candidate, bytes int64) {
	p.actions = append(p.actions, Action{Kind: kind, LogID: c.logID, Segment: c.ID, Bytes: bytes})
}

// upload takes the first of all logs' candidates.
func (p *plan) upload() {
	slices.SortFunc(p.uploads, candidate.compare)
	for i := range min(len(p.uploads), p.state.Free[Upload]) {
		c := &p.uploads[i]
		p.act(Upload, c, c.Copies[Warm].Bytes)
	}
}

// compress takes the first of all logs' candidates, until one finds no room: it
// is not overtaken, so room is made for it. One that is larger than the budget
// waits until the tier is empty.
func (p *plan) compress() {
	slices.SortFunc(p.compressions, candidate.compare)
	for i := range min(len(p.compressions), p.state.Free[Compress]) {
		c := &p.compressions[i]
		bytes := c.Copies[Hot].Bytes
		need := CompressedBytesMax(bytes)
		if p.warmTaken > 0 && p.warmTaken+need > p.budgets.WarmBytes {
			p.waiting = need
			return
		}
		p.takeWarm(need)
		p.act(Compress, c, bytes)
	}
}

// evict plans evictions from a tier until excess bytes are freed. It returns how
// many could be freed with as many workers as it takes.
func (p *plan) evict(kind Kind, tier Tier, excess int64) (evictable int64) {
	if excess <= 0 {
		return 0
	}
	victims := shortlist{most: p.state.Free[kind]}
	for i := range p.state.Logs {
		log := &p.state.Logs[i]
		for j := range log.Segments {
			s := &log.Segments[j]
			if s.Moving == None && p.may(kind, s) && !p.moves(log.ID, s.ID) {
				evictable += s.Copies[tier].Bytes
				victims.add(candidate{timeNs: max(s.AccessedNs, s.SealedNs), logID: log.ID, Segment: s})
			}
		}
	}
	for i := range victims.list {
		if excess <= 0 {
			break
		}
		c := &victims.list[i]
		bytes := c.Copies[tier].Bytes
		p.act(kind, c, bytes)
		excess -= bytes
	}
	return evictable
}

// moves says that a move of the segment is planned already.
func (p *plan) moves(logID, id uint64) bool {
	return slices.ContainsFunc(p.actions, func(a Action) bool { return a.LogID == logID && a.Segment == id })
}
