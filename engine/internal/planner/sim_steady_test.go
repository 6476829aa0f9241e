package planner

import (
	"math/rand/v2"
	"testing"
	"time"
)

// steadyModel is an engine where each move takes one round, whatever else.
func steadyModel(logs, workers int, budgets Budgets) *model {
	m := &model{
		random: rand.New(rand.NewPCG(1, 2)), nowNs: 1e18, budgets: budgets,
		bucket: true, answers: true, closed: true, calm: true, disk: 1 << 40, seen: map[string]int{},
	}
	for i := range logs {
		m.logs = append(m.logs, &modelLog{id: uint64(i + 1), next: 1})
	}
	for kind := Compress; kind < kinds; kind++ {
		m.workers[kind] = workers
	}
	return m
}

// round seals a segment in each of the first logs, ends what the round before
// began, and plans.
func (m *model) round(t *testing.T, sealing int) {
	t.Helper()
	for _, log := range m.logs[:sealing] {
		log.unsealedBytes = activeBytes
		m.append(log)
	}
	var before []*modelSegment
	m.each(func(s *modelSegment) {
		if s.Moving != None {
			before = append(before, s)
		}
	})
	for _, s := range before {
		m.complete(s)
	}
	m.nowNs += int64(time.Second)
	if _, err := m.plan(); err != nil {
		t.Fatal(err)
	}
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	m.forget()
}

// Local bytes are bounded while the bucket answers, without a single append
// refused: the low watermarks leave enough room for what is written meanwhile.
func TestBudgetsHoldWithoutRefusalsWhileTheBucketAnswers(t *testing.T) {
	const logs = 4
	m := steadyModel(logs, logs+1, NewBudgets(logs*8*activeBytes, logs*8*activeBytes))
	hot, warm := int64(0), int64(0)
	for range 2000 {
		m.round(t, logs)
		hot, warm = max(hot, m.hotBytes()), max(warm, m.warmBytes())
	}
	if m.seen["append refused"] > 0 || m.segments != 2000*logs {
		t.Errorf("%d appends refused, %d segments", m.seen["append refused"], m.segments)
	}
	if hot > m.budgets.HotBytes || warm > m.budgets.WarmBytes || hot < m.budgets.HotLowBytes/2 {
		t.Errorf("hot %d of %d, warm %d of %d", hot, m.budgets.HotBytes, warm, m.budgets.WarmBytes)
	}
	if err := m.settle(); err != nil {
		t.Error(err)
	}
}

// A disk smaller than the budgets bounds them: appends go on, and whatever is
// dropped has another copy, which check sees to.
func TestAppendsGoOnOnADiskSmallerThanTheBudgets(t *testing.T) {
	const logs = 4
	m := steadyModel(logs, logs+1, NewBudgets(1<<40, 1<<40))
	m.disk = logs * 6 * activeBytes
	for range 2000 {
		m.round(t, logs)
	}
	if m.seen["disk full"] == 0 {
		t.Error("the disk was never full")
	}
	for _, log := range m.logs {
		if log.next < 100 {
			t.Errorf("log %d sealed %d segments in 2000 rounds", log.id, log.next-1)
		}
	}
}

// A log with a backlog, and one whose uploads all fail, do not keep another from
// moving: it waits for one move of each of them, and its own failures.
func TestNoLogStarvesAnother(t *testing.T) {
	const failing, quiet = 1, 2
	for _, workers := range []int{1, 2, 4} {
		m := steadyModel(3, workers, NewBudgets(1<<40, 1<<40))
		m.logs[failing].broken, m.calm = true, false
		for range 40 * workers {
			m.round(t, 2)
		}
		for range 20 {
			if backlog := len(m.logs[0].segments) + len(m.logs[failing].segments); backlog < 40 {
				t.Fatalf("%d workers: a backlog of %d segments", workers, backlog)
			}
			m.logs[quiet].unsealedBytes = activeBytes
			m.append(m.logs[quiet])
			s := m.logs[quiet].segments[len(m.logs[quiet].segments)-1]
			rounds, failures := 0, 0
			for !s.Copies[Cold].Verified {
				m.round(t, 2)
				if rounds++; rounds > 1000 {
					t.Fatalf("%d workers: not cold after %d rounds: %+v", workers, rounds, s.Segment)
				}
				for _, f := range s.Failures {
					failures = max(failures, f.Attempt)
				}
			}
			if waits := 2 * (3 + 1); failures == 0 && rounds > waits {
				t.Errorf("%d workers: cold after %d rounds, at most %d are needed", workers, rounds, waits)
			}
		}
	}
}
