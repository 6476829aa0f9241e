package planner

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// model is an engine, its disk and its bucket, as far as bytes and moves go.
// Whatever is random comes from the seed.
type model struct {
	random  *rand.Rand
	nowNs   int64
	budgets Budgets
	logs    []*modelLog
	workers [kinds]int
	bucket  bool  // one is configured
	answers bool  // it answers
	closed  bool  // the breaker has noticed that it does
	calm    bool  // nothing fails
	disk    int64 // the size of the disk of both tiers

	pinned   []*modelSegment
	state    State // built anew for each plan
	segments int   // sealed so far
	seen     map[string]int
}

type modelLog struct {
	id            uint64
	unsealedBytes int64 // written of the active segment
	next          uint64
	segments      []*modelSegment
	broken        bool // its uploads fail
	waits         bool // its next segment finds no room on the disk
	startedNs     [kinds]int64
}

// modelSegment is a segment as the coordinator knows it, and what is true.
type modelSegment struct {
	Segment
	log  *modelLog
	good [tiers]bool // complete and undamaged, known or not
}

const (
	activeBytes = 64 << 10 // preallocated for an active segment
	logBytes    = 3 * activeBytes
)

func newModel(seed uint64) *model {
	r := rand.New(rand.NewPCG(seed, 0x91a4))
	m := &model{random: r, nowNs: 1e18, bucket: r.IntN(6) > 0, answers: true, closed: true, seen: map[string]int{}}
	for i := range 1 + r.IntN(5) {
		m.logs = append(m.logs, &modelLog{id: 100 - uint64(i), next: 1, broken: r.IntN(12) == 0})
	}
	m.budgets = NewBudgets(int64(len(m.logs))*logBytes+int64(r.IntN(20))*activeBytes, int64(3+r.IntN(20))*activeBytes)
	m.disk = 1 << 40
	if r.IntN(2) == 0 {
		m.disk = int64(len(m.logs)+3+r.IntN(20)) * activeBytes
	}
	for kind := Compress; kind < kinds; kind++ {
		m.workers[kind] = 1 + r.IntN(4)
	}
	return m
}

func (m *model) hotBytes() int64 {
	bytes := int64(len(m.logs)) * activeBytes
	m.each(func(s *modelSegment) { bytes += s.Copies[Hot].Bytes })
	return bytes
}

func (m *model) warmBytes() (bytes int64) {
	m.each(func(s *modelSegment) { bytes += s.Copies[Warm].Bytes })
	return bytes
}

// diskFree is what the disk has left. A compression takes its room bit by bit:
// here all of it when it begins.
func (m *model) diskFree() int64 {
	return m.disk - m.hotBytes() - m.warmBytes() - m.partial()
}

// lack is what the disk is short of for the segments that wait, and a compression.
func (m *model) lack() int64 {
	need := int64(0)
	for _, log := range m.logs {
		if log.waits {
			need += activeBytes
		}
	}
	if need == 0 {
		return max(0, -m.diskFree())
	}
	return max(0, need+CompressedBytesMax(activeBytes)-m.diskFree())
}

// partial is what the compressions under way may take.
func (m *model) partial() (bytes int64) {
	m.each(func(s *modelSegment) {
		if s.Moving == Compress {
			bytes += CompressedBytesMax(s.Copies[Hot].Bytes)
		}
	})
	return bytes
}

func (m *model) each(visit func(*modelSegment)) {
	for _, log := range m.logs {
		for _, s := range log.segments {
			visit(s)
		}
	}
}

// pick returns a random segment that fits, or nil.
func (m *model) pick(fits func(*modelSegment) bool) *modelSegment {
	var found *modelSegment
	count := 0
	m.each(func(s *modelSegment) {
		if fits(s) {
			if count++; m.random.IntN(count) == 0 {
				found = s
			}
		}
	})
	return found
}

func (m *model) count(what string) { m.seen[what]++ }

// step does one thing that can happen.
func (m *model) step() {
	m.nowNs += m.random.Int64N(int64(2 * time.Second))
	switch n := m.random.IntN(1000); {
	case n < 380:
		m.append(m.logs[m.random.IntN(len(m.logs))])
	case n < 800:
		m.complete(m.pick(func(s *modelSegment) bool { return s.Moving != None }))
	case n < 860:
		if s := m.pick(func(*modelSegment) bool { return true }); s != nil {
			s.AccessedNs = m.nowNs
		}
	case n < 910:
		m.pin()
	case n < 970:
		m.unpin()
	case n < 976:
		m.outage()
	case n < 985:
		m.closed = m.answers
	case n < 988:
		m.restart()
	case n < 993:
		m.damage()
	case n < 996:
		m.nowNs += int64(BackoffMax)
	}
	m.forget()
}

// append writes into the active segment and seals it when it is full and the
// budget has room for another.
func (m *model) append(log *modelLog) {
	log.unsealedBytes += m.random.Int64N(activeBytes / 2)
	if log.unsealedBytes < activeBytes && m.random.IntN(20) > 0 {
		return
	}
	bytes := 1 + min(log.unsealedBytes, activeBytes-1)
	if m.hotBytes()+bytes > m.budgets.HotBytes {
		m.count("append refused")
		return
	}
	if log.waits = m.diskFree() < bytes+CompressedBytesMax(activeBytes); log.waits {
		m.count("disk full")
		return
	}
	log.unsealedBytes = 0
	s := &modelSegment{log: log, Segment: Segment{ID: log.next, SealedNs: m.nowNs}}
	s.Copies[Hot], s.good[Hot] = Copy{Bytes: bytes, Verified: true}, true
	log.segments = append(log.segments, s)
	log.next++
	m.segments++
}

// complete ends a move one way or the other.
func (m *model) complete(s *modelSegment) {
	if s == nil {
		return
	}
	kind := s.Moving
	done := (m.calm || m.random.IntN(8) > 0) && m.effect(s, kind, true)
	s.Moving = None
	if !done {
		m.count(kind.String() + " failed")
		f := &s.Failures[kind]
		f.Attempt++
		f.NotBeforeNs = m.nowNs + int64(Backoff(f.Attempt, m.random.Float64))
		return
	}
	s.Failures[kind] = Failure{}
	m.count(kind.String())
}

// effect does what a move does, and reports whether it could. If it is not
// recorded nobody knows.
func (m *model) effect(s *modelSegment, kind Kind, recorded bool) bool {
	switch kind {
	case Compress:
		if !s.good[Hot] {
			return false
		}
		if m.diskFree() < 0 {
			m.count("no room to compress")
			return false
		}
		if recorded { // an unfinished file is swept
			most := CompressedBytesMax(s.Copies[Hot].Bytes)
			s.Copies[Warm], s.good[Warm] = Copy{Bytes: 1 + m.random.Int64N(most), Verified: true, Pins: s.Copies[Warm].Pins}, true
		}
	case Upload:
		if !m.answers || !s.good[Warm] || s.log.broken && !m.calm {
			return false
		}
		s.good[Cold] = true
		s.Copies[Cold] = Copy{Bytes: s.Copies[Warm].Bytes, Verified: recorded}
	case EvictHot, EvictWarm:
		tier := Hot
		if kind == EvictWarm {
			tier = Warm
		}
		if s.Copies[tier].Pins > 0 {
			m.count("pinned before the eviction")
			return false
		}
		if recorded {
			s.Copies[tier], s.good[tier] = Copy{}, false
		}
	}
	return true
}

// restart forgets what is in memory. Moves that were under way have happened or
// not, and if they have, it was recorded or not.
func (m *model) restart() {
	m.each(func(s *modelSegment) {
		if s.Moving != None {
			m.count("restart with " + s.Moving.String())
			if m.random.IntN(2) == 0 {
				m.unpinAll(s)
				m.effect(s, s.Moving, m.random.IntN(2) == 0)
			}
			s.Moving = None
		}
		m.unpinAll(s)
		s.Failures = [kinds]Failure{}
		s.AccessedNs = 0
	})
	m.pinned = nil
	if m.random.IntN(8) == 0 {
		m.bucket = !m.bucket
		m.count("bucket configured or not")
	}
	for _, log := range m.logs {
		log.startedNs, log.waits = [kinds]int64{}, false
	}
}

func (m *model) unpinAll(s *modelSegment) {
	for tier := range s.Copies {
		s.Copies[tier].Pins = 0
	}
}

func (m *model) pin() {
	tier := Tier(m.random.IntN(int(Cold)))
	s := m.pick(func(s *modelSegment) bool { return s.Copies[tier].Bytes > 0 })
	if s == nil || len(m.pinned) > 6 {
		return
	}
	s.Copies[tier].Pins++
	s.AccessedNs = m.nowNs
	m.pinned = append(m.pinned, s)
	m.count("pin")
}

func (m *model) unpin() {
	if len(m.pinned) == 0 {
		return
	}
	i := m.random.IntN(len(m.pinned))
	s := m.pinned[i]
	m.pinned = append(m.pinned[:i], m.pinned[i+1:]...)
	for tier := range s.Copies {
		if s.Copies[tier].Pins > 0 {
			s.Copies[tier].Pins--
			return
		}
	}
}

func (m *model) outage() {
	switch {
	case !m.answers:
		m.answers = true
	case m.bucket && m.random.IntN(4) == 0:
		m.answers = false
		m.count("outage")
	}
}

// damage spoils a copy, and the scrub notices. The last one is spared: nobody
// could do anything about it.
func (m *model) damage() {
	tier := Tier(m.random.IntN(int(tiers)))
	s := m.pick(func(s *modelSegment) bool {
		others := m.known(s) - 1
		if s.Copies[Cold].Verified && !m.bucket {
			others--
		}
		return s.Moving == None && s.Copies[tier].Verified && others > 0
	})
	if s != nil {
		s.Copies[tier].Verified, s.good[tier] = false, false
		m.count("damage")
	}
}

// known counts the good copies that are known to be.
func (m *model) known(s *modelSegment) (copies int) {
	for tier := range s.Copies {
		if s.good[tier] && s.Copies[tier].Verified {
			copies++
		}
	}
	return copies
}

// forget leaves out segments that are only cold, as the coordinator does, but
// for a few.
func (m *model) forget() {
	for _, log := range m.logs {
		kept := log.segments[:0]
		for _, s := range log.segments {
			onlyCold := s.Moving == None && s.Copies[Hot].Bytes == 0 && s.Copies[Warm].Bytes == 0 && s.Copies[Cold].Verified
			if !onlyCold || m.random.IntN(4) == 0 {
				kept = append(kept, s)
			}
		}
		clear(log.segments[len(kept):])
		log.segments = kept
	}
}

// plan asks the planner, checks what it says, and starts the moves.
func (m *model) plan() (int, error) {
	m.buildState()
	actions := Plan(m.nowNs, &m.state, m.budgets)
	if err := checkPlan(m.nowNs, &m.state, m.budgets, actions); err != nil {
		return 0, err
	}
	for _, a := range actions {
		s := m.pick(func(s *modelSegment) bool { return s.log.id == a.LogID && s.ID == a.Segment })
		s.Moving = a.Kind
		s.log.startedNs[a.Kind] = m.nowNs
	}
	return len(actions), nil
}

func (m *model) buildState() {
	logs := make([]Log, 0, len(m.logs))
	before := m.state.Logs
	m.state = State{HotBytes: m.hotBytes(), WarmBytes: m.warmBytes(), DiskLackBytes: m.lack(), Bucket: m.bucket, BucketAnswers: m.bucket && m.closed, Free: m.workers}
	for i, log := range m.logs {
		var segments []Segment
		if i < len(before) {
			segments = before[i].Segments[:0]
		}
		for _, s := range log.segments {
			segments = append(segments, s.Segment)
			if s.Moving != None {
				m.state.Free[s.Moving]--
			}
		}
		logs = append(logs, Log{ID: log.id, Segments: segments, StartedNs: log.startedNs})
	}
	m.state.Logs = logs
}

// check holds after every step.
func (m *model) check() error {
	var err error
	m.each(func(s *modelSegment) {
		if m.known(s) == 0 {
			err = fmt.Errorf("segment %d of log %d has no copy left", s.ID, s.log.id)
		}
	})
	if use := m.warmBytes() + m.partial(); use > m.budgets.WarmBytes {
		err = fmt.Errorf("warm tier may take %d of %d bytes", use, m.budgets.WarmBytes)
	}
	if use := m.hotBytes() + m.warmBytes(); use > m.disk {
		err = fmt.Errorf("the tiers take %d of the %d bytes of the disk", use, m.disk)
	}
	if use := m.hotBytes(); use > m.budgets.HotBytes {
		err = fmt.Errorf("hot tier takes %d of %d bytes", use, m.budgets.HotBytes)
	}
	return err
}
