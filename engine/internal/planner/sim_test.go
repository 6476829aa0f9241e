package planner

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// The simulation. One seed repeats one failure:
//
//	AOF_PLANNER_STEPS=5000 AOF_PLANNER_FIRST_SEED=n go test -run Simulation ./engine/internal/planner
const stepsOfSeed = 5000

func setting(t *testing.T, name string, usual int) int {
	text, ok := os.LookupEnv(name)
	if !ok {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func TestSimulation(t *testing.T) {
	steps, first := setting(t, "AOF_PLANNER_STEPS", 100_000), setting(t, "AOF_PLANNER_FIRST_SEED", 1)
	start := time.Now()
	seen := map[string]int{}
	segments := 0
	for seed := first; (seed-first)*stepsOfSeed < steps; seed++ {
		m := newModel(uint64(seed))
		if err := m.run(stepsOfSeed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for what, times := range m.seen {
			seen[what] += times
		}
		segments += m.segments
	}
	t.Logf("%d steps from seed %d on, %.0f a minute, %d segments", steps, first, float64(steps)/time.Since(start).Minutes(), segments)
	for _, what := range []string{
		"compress", "upload", "evict hot", "evict warm",
		"compress failed", "upload failed", "evict hot failed", "evict warm failed",
		"restart with compress", "restart with upload", "restart with evict hot", "restart with evict warm",
		"append refused", "disk full", "no room to compress", "pin", "pinned before the eviction", "outage", "damage", "bucket configured or not",
	} {
		t.Logf("%8d  %s", seen[what], what)
		if seen[what] == 0 && steps >= 100_000 {
			t.Errorf("nothing of this happened: %s", what)
		}
	}
}

// run lets things happen, then lets them calm down.
func (m *model) run(steps int) error {
	for step := range steps {
		m.step()
		if err := m.check(); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		if _, err := m.plan(); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
	return m.settle()
}

// settle ends all faults. Then everything goes where it belongs.
func (m *model) settle() error {
	m.calm, m.answers, m.closed = true, true, true
	m.each(m.unpinAll)
	if err := m.drain(); err != nil {
		return err
	}
	if !m.bucket {
		return nil
	}
	for _, log := range m.logs {
		if err := m.goesOn(log); err != nil {
			return err
		}
	}
	return nil
}

// goesOn seals segments in a log, as many as fill the disk and the budgets twice
// over: what is evicted always makes room on the disk for another.
func (m *model) goesOn(log *modelLog) error {
	size := min(m.disk, m.budgets.HotBytes+m.budgets.WarmBytes)
	for range 2 * size / activeBytes {
		m.nowNs += int64(time.Millisecond)
		log.unsealedBytes = activeBytes
		if m.append(log); !log.waits {
			continue
		}
		if err := m.drain(); err != nil {
			return err
		}
		if m.append(log); log.waits {
			return fmt.Errorf("log %d does not go on: %d bytes hot, %d warm, a disk of %d that lacks %d", log.id, m.hotBytes(), m.warmBytes(), m.disk, m.lack())
		}
	}
	return nil
}

// drain makes all moves that there are to make.
func (m *model) drain() error {
	for range 100 * (m.segments + 1) {
		m.nowNs += int64(BackoffMax)
		started, err := m.plan()
		if err != nil {
			return fmt.Errorf("settling: %w", err)
		}
		for s := m.moving(); s != nil; s = m.moving() {
			started++
			m.complete(s)
			if err := m.check(); err != nil {
				return fmt.Errorf("settling: %w", err)
			}
		}
		if started == 0 {
			return m.settled()
		}
	}
	return fmt.Errorf("still moving after so many plans")
}

func (m *model) moving() *modelSegment {
	return m.pick(func(s *modelSegment) bool { return s.Moving != None })
}

// settled checks what is true when nothing is left to do.
func (m *model) settled() error {
	var err error
	m.each(func(s *modelSegment) {
		switch {
		case m.bucket && !(s.Copies[Cold].Verified && s.good[Cold]):
			err = fmt.Errorf("segment %d of log %d never got cold", s.ID, s.log.id)
		case !m.bucket && !s.Copies[Warm].Verified && s.good[Hot] && m.warmBytes()+CompressedBytesMax(activeBytes) <= m.budgets.WarmBytes:
			err = fmt.Errorf("segment %d of log %d never got warm", s.ID, s.log.id)
		}
	})
	if m.bucket && m.hotBytes() > max(m.budgets.HotLowBytes, int64(len(m.logs))*activeBytes) {
		err = fmt.Errorf("hot tier holds %d of %d bytes", m.hotBytes(), m.budgets.HotLowBytes)
	}
	if m.bucket && m.warmBytes() > m.budgets.WarmLowBytes {
		err = fmt.Errorf("warm tier holds %d of %d bytes", m.warmBytes(), m.budgets.WarmLowBytes)
	}
	return err
}
