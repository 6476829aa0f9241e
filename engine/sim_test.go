package engine

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// The crash simulator runs the production committer, maintainer and recovery on
// a disk that loses power, one step at a time, so that one seed is one history.
// AOF_CRASH_SEEDS says how many histories run, AOF_CRASH_FIRST_SEED where they
// begin, AOF_CRASH_TRACE=1 prints one history step by step.

// situations are what a run of many seeds must have hit; a run that never did
// one of them proves nothing about it.
var situations = []string{
	"round ended: closed", "round ended: killed", "round ended: crash", "round ended: crash in recovery",
	"round ended: poisoned", "round ended: error in recovery",
	"power cut", "process restart", "lost sync, then restart",
	"crash in write of records", "crash in sync of records", "crash in write of a header", "crash in sync of a header",
	"crash between header and rename", "crash between rename and directory sync",
	"crash in seal: mark", "crash in seal: index and footer", "crash in seal: truncate", "crash in seal: last sync",
	"crash while a successor is prepared",
	"crash in manifest: next chunk", "crash in manifest: recovery",
	"crash in manifest: recovery, next chunk", "crash in manifest: recovery, seal of a chunk that is followed", "crash in manifest: between footer and seal record",
	"crash in manifest: between directory sync and opened record", "crash in manifest: owner or close record",
	"segment file adopted",
	"move: compress", "move: upload", "move: evict hot", "move: evict warm",
	"crash in move: compress, files", "crash in move: compress, manifest",
	"crash in move: upload, bucket", "crash in move: upload, manifest",
	"crash in move: evict hot, files", "crash in move: evict hot, manifest",
	"crash in move: evict warm, files", "crash in move: evict warm, manifest",
	"object adopted", "late object at a key", "next generation used", "read from warm", "read from cold",
	"torn tail cut", "atomic batch cut", "tail rewritten", "segment sealed by recovery", "continued after a clean close",
	"two unsealed segments", "seal by command", "append during a sync", "commit during a seal", "duplicate refused",
	"planted damage: chunk flipped", "planted damage: chunk lost", "planted damage: manifest gone",
	"warm file adopted", "object of a damaged manifest adopted",
	"unacked tail dropped", "planted damage", "planted damage: the end of a clean close", "planted damage: a file cut off",
	"damage reported", "undecidable: zeroed sector or zeros of its own",
}

func TestCrashSimulation(t *testing.T) {
	first, seeds := envNumber("AOF_CRASH_FIRST_SEED", 1), envNumber("AOF_CRASH_SEEDS", 300)
	trace := os.Getenv("AOF_CRASH_TRACE") != ""
	var group sync.WaitGroup
	totals := make([]map[string]int, runtime.GOMAXPROCS(0))
	failures := make(chan string, 1000)
	for worker := range totals {
		totals[worker] = make(map[string]int)
		group.Go(func() {
			for seed := first + uint64(worker); seed < first+seeds; seed += uint64(len(totals)) {
				for _, violation := range runHistory(seed, totals[worker], trace) {
					select {
					case failures <- fmt.Sprintf("seed %d: %s", seed, violation):
					default:
					}
				}
			}
		})
	}
	group.Wait()
	close(failures)
	shown := 0
	for failure := range failures {
		if shown++; shown <= 10 {
			t.Error(failure)
		}
	}
	reportSituations(t, totals, seeds)
}

func envNumber(name string, fallback uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return fallback
}

// reportSituations prints how often each situation came up. With enough seeds,
// one that never did fails the test.
func reportSituations(t *testing.T, totals []map[string]int, seeds uint64) {
	sum := make(map[string]int)
	for _, total := range totals {
		for name, n := range total {
			sum[name] += n
		}
	}
	names := slices.Clone(situations)
	for name := range sum {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%8d %s", sum[name], name)
		if sum[name] == 0 && seeds >= 2000 {
			t.Errorf("no history hit: %s", name)
		}
	}
}

// simRandom is a small repeatable generator (splitmix64).
type simRandom struct{ state uint64 }

func (r *simRandom) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (r *simRandom) below(n int) int {
	if n <= 0 {
		return 0
	}
	return int(r.next() % uint64(n))
}

func (r *simRandom) chance(percent int) bool { return r.below(100) < percent }
