package command

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestRuntimeIsTunedUntilReleased(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	release := tuneRuntime(func(string) string { return "" })
	runtime.GC()
	if now := runtime.GOMAXPROCS(0); now != before+syncingProcessors {
		t.Errorf("%d processors, want %d", now, before+syncingProcessors)
	}
	if goal := heapGoal(t); goal < 2*heapFloorBytes {
		t.Errorf("the next collection is at a heap of %d bytes, under %d", goal, 2*heapFloorBytes)
	}
	release()
	if now := runtime.GOMAXPROCS(0); now != before {
		t.Errorf("%d processors after the release, want %d", now, before)
	}
}

func TestWhatTheUserSetStays(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	runtime.GC()
	release := tuneRuntime(func(name string) string {
		return map[string]string{"GOGC": "50", "GOMAXPROCS": "2"}[name]
	})
	defer release()
	runtime.GC()
	if now := runtime.GOMAXPROCS(0); now != before {
		t.Errorf("%d processors, want %d", now, before)
	}
	if goal := heapGoal(t); goal >= 2*heapFloorBytes {
		t.Errorf("the next collection is at a heap of %d bytes", goal)
	}
}

func heapGoal(t *testing.T) uint64 {
	t.Helper()
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
