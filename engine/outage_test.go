package engine

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/manifest"
)

// appendUntilFull appends until the hot tier is full, and returns how many
// records were taken.
func appendUntilFull(t *testing.T, l *Log) int {
	t.Helper()
	for n := int(l.appended.Load()) + 1; n < 100_000; n++ {
		rec := tieredRecord(n)
		seq, err := l.Append(&rec)
		var full *BackpressureError
		if errors.As(err, &full) && full.Kind == Admission {
			return n - 1
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(shortly(t), seq, Durable); err != nil && l.roomError() == nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the hot tier is never full")
	return 0
}

// While the bucket is away appends go on until the budgets are full, and are
// then refused; when it is back, all of it gets there by itself.
func TestABucketThatIsAwayLosesNothing(t *testing.T) {
	for name, rule := range map[string]buckettest.Rule{
		"fails":       {Err: buckettest.ErrTransient},
		"throttled":   {Err: buckettest.ErrThrottled},
		"times out":   {Err: buckettest.ErrTimeout},
		"auth":        {Err: buckettest.ErrAuth},
		"hangs":       {Fault: buckettest.Hang},
		"no puts":     {Op: buckettest.OpPut},
		"partial put": {Op: buckettest.OpPut, KeyPattern: "segments/*", Fault: buckettest.Break, Bytes: 500},
		"lost put":    {Op: buckettest.OpPut, KeyPattern: "segments/*", Fault: buckettest.Lose},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTieredRoot(t)
			r.opts.HotBytesMax, r.opts.WarmBytesMax = 6*segmentBytesFloor, 2*segmentBytesFloor
			r.opts.bucketPatience = time.Second
			l := r.open(t)
			r.fill(t, 1, 30)
			eventually(t, "the bucket works", func() bool { return allCold(l) })
			goroutines := runtime.NumGoroutine()
			before := requests(r.driver)
			r.driver.Add(rule)
			began := time.Now()
			appended := appendUntilFull(t, l)
			r.wantEvent(t, "an upload failed", func(e Event) bool {
				return e.Kind == EventSegmentUploadFailed && e.Reason != manifest.ReasonCodec && e.Err != nil
			})
			wantNotHammered(t, requests(r.driver)-before, time.Since(began))
			if now := runtime.NumGoroutine(); now > goroutines+100 {
				t.Errorf("%d goroutines, before %d", now, goroutines)
			}
			if used := r.engine.hot.used.Load(); used > r.opts.HotBytesMax {
				t.Errorf("%d hot bytes", used)
			}
			wantTiered(t, readAll(t, l, ReadOptions{FromSeq: 31}), 31, 1, appended-30)
			r.driver.Clear()
			appendTiered(t, l, appended+1, 100)
			if err := l.Seal(shortly(t)); err != nil {
				t.Fatal(err)
			}
			if err := l.Wait(shortly(t), uint64(appended+100), Cold); err != nil {
				t.Fatal(err)
			}
			wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, appended+100)
			eventually(t, "budgets are kept", func() bool {
				return r.engine.hot.used.Load() <= r.opts.HotBytesMax && r.engine.warm.Load() <= r.opts.WarmBytesMax
			})
		})
	}
}

// wantNotHammered allows the uploads that were under way when it began, then
// one try a delay, of a few requests each.
func wantNotHammered(t *testing.T, requests int, elapsed time.Duration) {
	t.Helper()
	tries := 4 + int(elapsed/(outageDelayMin/2)) + 1
	if most := tries * 8; requests > most {
		t.Errorf("%d requests in %s, at most %d", requests, elapsed, most)
	}
}

// An upload whose answer was lost, or that the store shows late, is found and
// adopted; nothing is put twice.
func TestAnUploadWhoseAnswerIsLostIsAdopted(t *testing.T) {
	for name, rule := range map[string]buckettest.Rule{
		"answer lost": {Op: buckettest.OpPut, KeyPattern: "segments/*", Fault: buckettest.LoseAnswer, Times: 1},
		"repeated":    {Op: buckettest.OpPut, KeyPattern: "segments/*", Fault: buckettest.Repeat, Times: 1},
		"hidden":      {Op: buckettest.OpPut, KeyPattern: "segments/*", Fault: buckettest.Hide, Reads: 1, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTieredRoot(t)
			r.opts.bucketRetry = bucket.Retry{Attempts: 3, Delay: time.Millisecond, DelayMax: time.Millisecond}
			l := r.open(t)
			met := r.driver.Add(rule)
			r.fill(t, 3, 30)
			if err := l.Wait(shortly(t), 90, Cold); err != nil {
				t.Fatal(err)
			}
			if met.Applied() != 1 {
				t.Errorf("met %d times", met.Applied())
			}
			objects := 0
			for _, err := range l.folder.List(t.Context(), bucket.SegmentsPrefix) {
				if err != nil {
					t.Fatal(err)
				}
				objects++
			}
			for entry := range l.journal.state().Segments() {
				if entry.Cold.Generation != 0 {
					t.Errorf("segment %d has generation %d", entry.ID, entry.Cold.Generation)
				}
			}
			if objects != 3 {
				t.Errorf("%d objects", objects)
			}
		})
	}
}
