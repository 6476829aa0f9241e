package planner

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// seg makes a segment of 1000 bytes with copies in these tiers, all verified.
func seg(id uint64, sealed int64, held ...Tier) Segment {
	s := Segment{ID: id, SealedNs: sealed}
	for _, tier := range held {
		s.Copies[tier] = Copy{Bytes: 1000, Verified: true}
	}
	return s
}

func with(s Segment, change func(*Segment)) Segment {
	change(&s)
	return s
}

// stateOf adds up what the segments take.
func stateOf(logs ...Log) *State {
	state := &State{Logs: logs, Bucket: true, BucketAnswers: true}
	for kind := range state.Free {
		state.Free[kind] = 2
	}
	for _, log := range logs {
		for _, s := range log.Segments {
			state.HotBytes += s.Copies[Hot].Bytes
			state.WarmBytes += s.Copies[Warm].Bytes
		}
	}
	return state
}

func wantPlan(t *testing.T, state *State, budgets Budgets, want ...string) {
	t.Helper()
	const now = 1000
	actions := Plan(now, state, budgets)
	var got []string
	for _, a := range actions {
		got = append(got, fmt.Sprintf("%v %d/%d", a.Kind, a.LogID, a.Segment))
	}
	if !slices.Equal(got, want) {
		t.Errorf("planned %q, expected %q", got, want)
	}
	if err := checkPlan(now, state, budgets, actions); err != nil {
		t.Error(err)
	}
}

var ample = NewBudgets(1<<30, 1<<30)

func TestSealedSegmentsAreCompressedOldestFirst(t *testing.T) {
	wantPlan(t, stateOf(Log{ID: 1, Segments: []Segment{seg(3, 30, Hot), seg(1, 10, Hot), seg(2, 20, Hot)}}), ample, "compress 1/1", "compress 1/2")
}

func TestWarmSegmentsAreUploadedOldestFirst(t *testing.T) {
	wantPlan(t, stateOf(Log{ID: 1, Segments: []Segment{seg(3, 30, Warm), seg(1, 10, Hot, Warm), seg(2, 20, Warm)}}), ample, "upload 1/1", "upload 1/2")
}

func TestSegmentThatIsColdIsNeitherCompressedNorUploadedAgain(t *testing.T) {
	wantPlan(t, stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot, Cold), seg(2, 10, Hot, Warm, Cold), seg(3, 10, Cold)}}), ample)
}

func TestUnverifiedCopyDoesNotCount(t *testing.T) {
	warm := with(seg(1, 10, Hot, Warm), func(s *Segment) { s.Copies[Warm].Verified = false })
	cold := with(seg(2, 10, Warm, Cold), func(s *Segment) { s.Copies[Cold].Verified = false })
	wantPlan(t, stateOf(Log{ID: 1, Segments: []Segment{warm, cold}}), NewBudgets(0, 5000), "upload 1/2", "compress 1/1")
}

func TestSegmentMakesOneMoveAtATime(t *testing.T) {
	var segments []Segment
	for id, kind := range []Kind{Compress, Upload, EvictHot, EvictWarm, KindsReserved} {
		segments = append(segments, with(seg(uint64(id+1), 10, Hot, Warm), func(s *Segment) { s.Moving = kind }))
	}
	wantPlan(t, stateOf(Log{ID: 1, Segments: segments}), NewBudgets(0, 0))
}

func TestFailedMoveWaits(t *testing.T) {
	failed := func(s Segment, kind Kind, notBefore int64) Segment {
		return with(s, func(s *Segment) { s.Failures[kind] = Failure{Attempt: 1, NotBeforeNs: notBefore} })
	}
	wantPlan(t, stateOf(Log{ID: 1, Segments: []Segment{failed(seg(1, 10, Hot), Compress, 1001), failed(seg(2, 10, Warm), Upload, 1000)}}), ample, "upload 1/2")
	// What waits to be uploaded may leave the hot tier.
	wantPlan(t, stateOf(Log{ID: 1, Segments: []Segment{failed(seg(1, 10, Hot, Warm), Upload, 1001)}}), NewBudgets(0, 5000), "evict hot 1/1")
}

func TestWhatFailsQueuesBehindWhatWaits(t *testing.T) {
	failed := with(seg(1, 10, Hot), func(s *Segment) { s.Failures[Compress] = Failure{Attempt: 3, NotBeforeNs: 900} })
	state := stateOf(Log{ID: 1, Segments: []Segment{failed, seg(2, 800, Hot), seg(3, 950, Hot)}})
	wantPlan(t, state, ample, "compress 1/2", "compress 1/1")
}

func TestLogsShareTheWorkers(t *testing.T) {
	busy := Log{ID: 1, Segments: []Segment{with(seg(1, 10, Hot), func(s *Segment) { s.Moving = Compress }), seg(2, 20, Hot), seg(3, 30, Hot)}}
	state := stateOf(busy, Log{ID: 2, Segments: []Segment{seg(1, 500, Hot), seg(2, 600, Hot)}})
	wantPlan(t, state, ample, "compress 2/1", "compress 1/2")
}

func TestLogThatWasServedLongAgoIsNext(t *testing.T) {
	one, two := Log{ID: 1, Segments: []Segment{seg(1, 10, Warm)}}, Log{ID: 2, Segments: []Segment{seg(1, 20, Warm)}}
	three := Log{ID: 3, Segments: []Segment{seg(1, 30, Warm)}}
	one.StartedNs[Upload], two.StartedNs[Upload], two.StartedNs[Compress] = 900, 800, 950
	wantPlan(t, stateOf(one, two, three), ample, "upload 3/1", "upload 2/1")
}

func TestHotTierIsEvictedDownToItsLowWatermark(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot, Warm, Cold), seg(2, 20, Hot, Cold), seg(3, 30, Hot, Warm, Cold)}})
	state.HotBytes += 2000 // unsealed
	wantPlan(t, state, Budgets{HotBytes: 9000, HotLowBytes: 5000, WarmBytes: 9000, WarmLowBytes: 9000})
	wantPlan(t, state, Budgets{HotBytes: 9000, HotLowBytes: 4999, WarmBytes: 9000, WarmLowBytes: 9000}, "evict hot 1/1")
	wantPlan(t, state, Budgets{HotBytes: 9000, HotLowBytes: 3500, WarmBytes: 9000, WarmLowBytes: 9000}, "evict hot 1/1", "evict hot 1/2")
}

func TestEvictionsUnderWayCountAsDone(t *testing.T) {
	leaving := with(seg(1, 10, Hot, Warm, Cold), func(s *Segment) { s.Moving = EvictHot })
	state := stateOf(Log{ID: 1, Segments: []Segment{leaving, seg(2, 20, Hot, Warm, Cold)}})
	wantPlan(t, state, Budgets{HotBytes: 9000, HotLowBytes: 1500, WarmBytes: 9000, WarmLowBytes: 9000})
}

func TestLeastRecentlyUsedIsEvictedFirst(t *testing.T) {
	used := func(s Segment, at int64) Segment { return with(s, func(s *Segment) { s.AccessedNs = at }) }
	segments := []Segment{used(seg(1, 10, Hot, Warm, Cold), 500), used(seg(2, 20, Hot, Warm, Cold), 400), seg(3, 450, Hot, Warm, Cold)}
	state := stateOf(Log{ID: 1, Segments: segments})
	wantPlan(t, state, Budgets{HotBytes: 9000, HotLowBytes: 1500, WarmBytes: 9000, WarmLowBytes: 9000}, "evict hot 1/2", "evict hot 1/3")
	tie := stateOf(Log{ID: 1, Segments: []Segment{used(seg(1, 20, Hot, Cold), 500), used(seg(2, 10, Hot, Cold), 500)}})
	wantPlan(t, tie, Budgets{HotBytes: 9000, HotLowBytes: 1500, WarmBytes: 9000, WarmLowBytes: 9000}, "evict hot 1/2")
}

func TestPinnedCopyIsNoVictim(t *testing.T) {
	pinned := func(s Segment, tier Tier) Segment { return with(s, func(s *Segment) { s.Copies[tier].Pins = 1 }) }
	state := stateOf(Log{ID: 1, Segments: []Segment{pinned(seg(1, 10, Hot, Cold), Hot), pinned(seg(2, 10, Warm, Cold), Warm), pinned(seg(3, 10, Hot, Cold), Warm)}})
	wantPlan(t, state, NewBudgets(0, 0), "evict hot 1/3")
}

func TestLastCopyIsNoVictim(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot), seg(2, 10, Warm)}})
	state.BucketAnswers = false
	wantPlan(t, state, NewBudgets(0, 0))
}

func TestCopyBesideAnUnverifiedOneIsNoVictim(t *testing.T) {
	hot := with(seg(1, 10, Hot, Warm), func(s *Segment) {
		s.Copies[Warm].Verified = false
		s.Failures[Compress].NotBeforeNs = math.MaxInt64
	})
	warm := with(seg(2, 10, Warm, Cold), func(s *Segment) { s.Copies[Cold].Verified = false })
	state := stateOf(Log{ID: 1, Segments: []Segment{hot, warm}})
	state.BucketAnswers = false
	wantPlan(t, state, NewBudgets(0, 0))
}

func TestUploadGoesBeforeEviction(t *testing.T) {
	wantPlan(t, stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot, Warm)}}), NewBudgets(0, 5000), "upload 1/1")
}

func TestWithoutABucketWarmIsTheLastTier(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot, Warm), seg(2, 20, Warm, Cold), seg(3, 30, Hot, Cold), seg(4, 40, Hot)}})
	state.Bucket = false // cold copies are those of a bucket that was there once
	wantPlan(t, state, NewBudgets(0, 1<<20), "compress 1/3", "compress 1/4", "evict hot 1/1")
	wantPlan(t, state, NewBudgets(0, 0), "evict hot 1/1")
}

func TestWhileTheBucketDoesNotAnswer(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Warm), seg(2, 20, Warm, Cold), seg(3, 30, Hot)}})
	state.BucketAnswers = false
	wantPlan(t, state, NewBudgets(1<<20, 5000), "compress 1/3")
	// What is cold already makes room.
	wantPlan(t, state, NewBudgets(1<<20, 3000), "evict warm 1/2")
}

// A disk that is full is made room on though the budgets have some.
func TestFullDiskIsEvictedBelowTheLowWatermarks(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot, Warm, Cold), seg(2, 20, Hot, Cold), seg(3, 30, Warm, Cold), seg(4, 40, Warm, Cold)}})
	wantPlan(t, state, ample)
	state.DiskLackBytes = 1
	wantPlan(t, state, ample, "evict hot 1/1")
	state.DiskLackBytes = 2000
	wantPlan(t, state, ample, "evict hot 1/1", "evict hot 1/2")
	state.DiskLackBytes = 2001
	wantPlan(t, state, ample, "evict hot 1/1", "evict hot 1/2", "evict warm 1/3")
	state.Free[EvictHot] = 1 // the second leaves next
	state.DiskLackBytes = 2000
	wantPlan(t, state, ample, "evict hot 1/1")
}

func TestEvictionsUnderWayFreeWhatTheDiskLacks(t *testing.T) {
	hot := with(seg(1, 10, Hot, Warm, Cold), func(s *Segment) { s.Moving = EvictHot })
	warm := with(seg(2, 10, Warm, Cold), func(s *Segment) { s.Moving = EvictWarm })
	state := stateOf(Log{ID: 1, Segments: []Segment{hot, warm, seg(3, 20, Hot, Cold), seg(4, 20, Warm, Cold)}})
	state.DiskLackBytes = 2000
	wantPlan(t, state, ample)
	state.DiskLackBytes = 2001
	wantPlan(t, state, ample, "evict hot 1/3")
}

func TestFullDiskTakesNoLastCopyAndNothingPinned(t *testing.T) {
	pinned := with(seg(3, 10, Hot, Warm, Cold), func(s *Segment) { s.Copies[Hot].Pins, s.Copies[Warm].Pins = 1, 1 })
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot), seg(2, 10, Warm), pinned}})
	state.BucketAnswers, state.DiskLackBytes = false, math.MaxInt64
	state.Free[Compress] = 0
	wantPlan(t, state, ample)
	// What is only hot and warm may still leave the hot tier.
	state = stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot, Warm)}})
	state.Bucket, state.BucketAnswers, state.DiskLackBytes = false, false, math.MaxInt64
	wantPlan(t, state, ample, "evict hot 1/1")
}

func TestCompressionStartsOnlyIfTheObjectIsSureToFit(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Warm), seg(2, 20, Hot), seg(3, 30, Hot)}})
	state.BucketAnswers = false
	need := CompressedBytesMax(1000)
	wantPlan(t, state, Budgets{1 << 20, 1 << 20, 1000 + need, 1000 + need}, "compress 1/2")
	wantPlan(t, state, Budgets{1 << 20, 1 << 20, 999 + need, 999 + need})
	leaving := with(seg(4, 10, Warm, Cold), func(s *Segment) { s.Moving = EvictWarm })
	state = stateOf(Log{ID: 1, Segments: []Segment{leaving, seg(2, 20, Hot)}})
	wantPlan(t, state, Budgets{1 << 20, 1 << 20, 999 + need, 999 + need}) // an eviction may fail
}

func TestRoomIsMadeForTheCompressionThatWaits(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Warm, Cold), seg(2, 20, Warm, Cold), seg(3, 30, Hot)}})
	need := CompressedBytesMax(1000)
	wantPlan(t, state, Budgets{1 << 20, 1 << 20, 1500 + need, 1500 + need}, "evict warm 1/1")
}

func TestSegmentLargerThanTheWarmBudgetGetsThroughAlone(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Warm, Cold), seg(2, 20, Hot)}})
	wantPlan(t, state, NewBudgets(1<<20, 100), "evict warm 1/1")
	state = stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Cold), seg(2, 20, Hot)}})
	wantPlan(t, state, NewBudgets(1<<20, 100), "compress 1/2")
}

func TestNoMoreMovesThanWorkers(t *testing.T) {
	state := stateOf(Log{ID: 1, Segments: []Segment{seg(1, 10, Hot, Warm, Cold), seg(2, 10, Hot), seg(3, 10, Warm), seg(4, 10, Warm, Cold)}})
	for kind := range state.Free {
		state.Free[kind] = -(kind & 1)
	}
	wantPlan(t, state, NewBudgets(0, 0))
}

func TestPlanIsAFunctionOfItsInput(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := newModel(seed)
		for range 300 {
			m.step()
			if _, err := m.plan(); err != nil {
				t.Fatal(err)
			}
		}
		m.buildState()
		first := Plan(m.nowNs, &m.state, m.budgets)
		if again := Plan(m.nowNs, &m.state, m.budgets); !slices.Equal(first, again) {
			t.Fatalf("seed %d: %v, then %v", seed, first, again)
		}
		r.Shuffle(len(m.state.Logs), func(i, j int) { m.state.Logs[i], m.state.Logs[j] = m.state.Logs[j], m.state.Logs[i] })
		for _, log := range m.state.Logs {
			r.Shuffle(len(log.Segments), func(i, j int) { log.Segments[i], log.Segments[j] = log.Segments[j], log.Segments[i] })
		}
		if again := Plan(m.nowNs, &m.state, m.budgets); !slices.Equal(first, again) {
			t.Fatalf("seed %d: in another order %v, then %v", seed, first, again)
		}
	}
}

func TestBackoffDoublesUpToItsBound(t *testing.T) {
	zero, almostOne := func() float64 { return 0 }, func() float64 { return 1 - 1e-9 }
	for attempt, want := range map[int]time.Duration{
		0: BackoffMin, 1: BackoffMin, 2: 2 * BackoffMin, 3: 4 * BackoffMin, 9: 256 * BackoffMin, 10: BackoffMax, 1 << 40: BackoffMax,
	} {
		if got := Backoff(attempt, zero); got != want/2 {
			t.Errorf("attempt %d: at least %v, expected %v", attempt, got, want/2)
		}
		if got := Backoff(attempt, almostOne); got > want || got < want-time.Microsecond {
			t.Errorf("attempt %d: at most %v, expected %v", attempt, got, want)
		}
	}
	source := func() func() float64 { return rand.New(rand.NewPCG(1, 2)).Float64 }
	first := Backoff(5, source())
	if again := Backoff(5, source()); again != first {
		t.Errorf("the same source gave %v, then %v", first, again)
	}
}

func TestKindsHaveNames(t *testing.T) {
	for kind := None; kind < kinds; kind++ {
		if kind.String() == "" || kind.String() == "other" {
			t.Errorf("kind %d has no name", kind)
		}
	}
	if KindsReserved.String() != "other" {
		t.Error(KindsReserved)
	}
}

// A coordinator of many segments, most of them at rest.
func BenchmarkPlan(b *testing.B) {
	for _, count := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			logs := make([]Log, 10)
			for i := range count {
				log := &logs[i%len(logs)]
				log.ID = uint64(i % len(logs))
				log.Segments = append(log.Segments, seg(uint64(i), int64(i), Warm, Cold))
			}
			logs[3].Segments[2] = seg(5, 5, Hot)
			state := stateOf(logs...)
			budgets := NewBudgets(1<<20, state.WarmBytes)
			b.ReportAllocs()
			for b.Loop() {
				if len(Plan(1e9, state, budgets)) == 0 {
					b.Fatal("nothing to do")
				}
			}
		})
	}
}
