package planner

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// The rules, spelled out a second time and without regard for speed. checkPlan
// judges the actions of one plan by them.

type planCheck struct {
	nowNs   int64
	state   *State
	budgets Budgets
	actions []Action
	all     []*Segment // of all logs
	acting  []*Segment // one an action, nil if there is no such segment
}

func checkPlan(nowNs int64, state *State, budgets Budgets, actions []Action) error {
	c := planCheck{nowNs: nowNs, state: state, budgets: budgets, actions: actions, acting: make([]*Segment, len(actions))}
	for i := range state.Logs {
		for j := range state.Logs[i].Segments {
			s := &state.Logs[i].Segments[j]
			c.all = append(c.all, s)
			for k, a := range actions {
				if a.LogID == state.Logs[i].ID && a.Segment == s.ID {
					c.acting[k] = s
				}
			}
		}
	}
	for _, check := range []func() error{c.bounded, c.legal, c.uploads, c.compressions, c.hotEvictions, c.warmEvictions} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *planCheck) bounded() error {
	var started [kinds]int
	for i, a := range c.actions {
		s := c.acting[i]
		if a.Kind == None || a.Kind >= kinds || s == nil || s.Moving != None || slices.Index(c.acting, s) != i {
			return fmt.Errorf("%v: not a move that the segment can start", a)
		}
		if started[a.Kind]++; started[a.Kind] > c.state.Free[a.Kind] {
			return fmt.Errorf("%v: no worker is free", a)
		}
	}
	return nil
}

var (
	errMoving   = errors.New("a move is under way")
	errWaits    = errors.New("it failed and has to wait")
	errNothing  = errors.New("nothing to move")
	errNoBucket = errors.New("no bucket answers")
	errPinned   = errors.New("pinned, or not there")
	errLastCopy = errors.New("the last copy")
)

// eligible says that a segment could make a move, but for budgets and workers.
func (c *planCheck) eligible(kind Kind, s *Segment) error {
	elsewhere := 0 // verified copies that would be left
	for tier, held := range s.Copies {
		dropped := kind == EvictHot && Tier(tier) == Hot || kind == EvictWarm && Tier(tier) != Cold
		if held.Verified && !dropped && (Tier(tier) != Cold || c.state.Bucket) {
			elsewhere++
		}
	}
	isCold := s.Copies[Cold].Verified && c.state.Bucket
	switch {
	case s.Moving != None:
		return errMoving
	case s.Failures[kind].NotBeforeNs > c.nowNs:
		return errWaits
	case kind == Compress && (!s.Copies[Hot].Verified || s.Copies[Warm].Verified || isCold):
		return errNothing
	case kind == Upload && (!c.state.Bucket || !c.state.BucketAnswers):
		return errNoBucket
	case kind == Upload && (!s.Copies[Warm].Verified || isCold):
		return errNothing
	case kind == EvictHot && (s.Copies[Hot].Bytes == 0 || s.Copies[Hot].Pins > 0),
		kind == EvictWarm && (s.Copies[Warm].Bytes == 0 || s.Copies[Warm].Pins > 0):
		return errPinned
	case (kind == EvictHot || kind == EvictWarm) && elsewhere == 0:
		return errLastCopy
	}
	return nil
}

func (c *planCheck) legal() error {
	for i, a := range c.actions {
		if err := c.eligible(a.Kind, c.acting[i]); err != nil {
			return fmt.Errorf("%v: %w", a, err)
		}
	}
	return nil
}

func (c *planCheck) planned(kind Kind) []*Segment {
	var segments []*Segment
	for i, a := range c.actions {
		if a.Kind == kind {
			segments = append(segments, c.acting[i])
		}
	}
	return segments
}

func (c *planCheck) anyPlanned(s *Segment) bool {
	return slices.Contains(c.acting, s)
}

// turns returns the segments that could make a move in the order in which they
// should: one after the other the oldest of the log with the fewest moves, or
// of the one that began its last the longest ago.
func (c *planCheck) turns(kind Kind) []*Segment {
	type queue struct {
		moves     int
		startedNs int64
		waiting   []*Segment
	}
	ready := func(s *Segment) int64 { return max(s.SealedNs, s.Failures[kind].NotBeforeNs) }
	var queues []*queue
	for i := range c.state.Logs {
		q := &queue{startedNs: c.state.Logs[i].StartedNs[kind]}
		for j := range c.state.Logs[i].Segments {
			s := &c.state.Logs[i].Segments[j]
			if s.Moving == kind {
				q.moves++
			} else if c.eligible(kind, s) == nil {
				q.waiting = append(q.waiting, s)
			}
		}
		slices.SortFunc(q.waiting, func(a, b *Segment) int {
			return cmp.Or(cmp.Compare(ready(a), ready(b)), cmp.Compare(a.SealedNs, b.SealedNs), cmp.Compare(a.ID, b.ID))
		})
		queues = append(queues, q)
	}
	var order []*Segment
	for {
		var next *queue
		for _, q := range queues {
			if len(q.waiting) == 0 {
				continue
			}
			if next == nil || cmp.Or(cmp.Compare(q.moves, next.moves), cmp.Compare(q.startedNs, next.startedNs),
				cmp.Compare(ready(q.waiting[0]), ready(next.waiting[0]))) < 0 {
				next = q
			}
		}
		if next == nil {
			return order
		}
		order = append(order, next.waiting[0])
		next.waiting = next.waiting[1:]
		next.moves++
	}
}

// atMost returns how many of these workers are free for.
func (c *planCheck) atMost(kind Kind, turns []*Segment) int {
	return min(len(turns), max(c.state.Free[kind], 0))
}

func (c *planCheck) uploads() error {
	turns, got := c.turns(Upload), c.planned(Upload)
	if want := turns[:c.atMost(Upload, turns)]; !slices.Equal(got, want) {
		return fmt.Errorf("uploads %v, expected %v", ids(got), ids(want))
	}
	return nil
}

// warmUse is what warm files and unfinished compressions may take, now and when
// the evictions under way are done.
func (c *planCheck) warmUse() (now, left int64) {
	now, left = c.state.WarmBytes, c.state.WarmBytes
	for _, s := range c.all {
		switch s.Moving {
		case Compress:
			now += CompressedBytesMax(s.Copies[Hot].Bytes)
			left += CompressedBytesMax(s.Copies[Hot].Bytes)
		case EvictWarm:
			left -= s.Copies[Warm].Bytes
		}
	}
	return now, left
}

func (c *planCheck) compressions() error {
	turns, got := c.turns(Compress), c.planned(Compress)
	use, _ := c.warmUse()
	var want []*Segment
	for _, s := range turns[:c.atMost(Compress, turns)] {
		need := CompressedBytesMax(s.Copies[Hot].Bytes)
		if use > 0 && use+need > c.budgets.WarmBytes {
			break
		}
		use += need
		want = append(want, s)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("compressions %v, expected %v", ids(got), ids(want))
	}
	return nil
}

func (c *planCheck) hotEvictions() error {
	use := c.state.HotBytes
	for _, s := range c.all {
		if s.Moving == EvictHot {
			use -= s.Copies[Hot].Bytes
		}
	}
	return c.evictions(EvictHot, Hot, use, min(c.budgets.HotLowBytes, use-c.lack()))
}

func (c *planCheck) warmEvictions() error {
	_, use := c.warmUse()
	planned := c.planned(Compress)
	for _, s := range planned {
		use += CompressedBytesMax(s.Copies[Hot].Bytes)
	}
	target := c.budgets.WarmLowBytes
	if turns := c.turns(Compress); len(planned) < c.atMost(Compress, turns) {
		target = min(target, c.budgets.WarmBytes-CompressedBytesMax(turns[len(planned)].Copies[Hot].Bytes))
	}
	lack := c.lack()
	for _, s := range c.all {
		// What is planned to leave the hot tier is no other move.
		if acting := slices.Index(c.acting, s); acting >= 0 && c.actions[acting].Kind != EvictHot {
			continue
		}
		if c.eligible(EvictHot, s) == nil {
			lack -= s.Copies[Hot].Bytes
		}
	}
	return c.evictions(EvictWarm, Warm, use, min(target, use-lack))
}

// lack is what the disk is short of when the evictions under way are done.
func (c *planCheck) lack() int64 {
	lack := c.state.DiskLackBytes
	for _, s := range c.all {
		switch s.Moving {
		case EvictHot:
			lack -= s.Copies[Hot].Bytes
		case EvictWarm:
			lack -= s.Copies[Warm].Bytes
		}
	}
	return lack
}

// evictions checks that each victim was needed, that none was left out that
// would have been, and that those used later stay.
func (c *planCheck) evictions(kind Kind, tier Tier, use, target int64) error {
	victims := c.planned(kind)
	var lastUsed int64
	for _, s := range victims {
		if use <= target {
			return fmt.Errorf("%v of segment %d: not needed", kind, s.ID)
		}
		use -= s.Copies[tier].Bytes
		lastUsed = max(lastUsed, s.AccessedNs, s.SealedNs)
	}
	for _, s := range c.all {
		if c.anyPlanned(s) || c.eligible(kind, s) != nil {
			continue
		}
		if use > target && len(victims) < c.state.Free[kind] {
			return fmt.Errorf("%v of segment %d: left out while %d bytes are too many", kind, s.ID, use-target)
		}
		if max(s.AccessedNs, s.SealedNs) < lastUsed {
			return fmt.Errorf("%v: segment %d was used longer ago than a victim", kind, s.ID)
		}
	}
	return nil
}

func ids(segments []*Segment) []uint64 {
	var numbers []uint64
	for _, s := range segments {
		numbers = append(numbers, s.ID)
	}
	return numbers
}
