package bucket_test

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
)

// Writes to a store that misbehaves. Whatever happens, an object that was
// acknowledged is there whole, and nothing is there in part that somebody could
// take for whole.

const body = "the body of an object"

func (s *faultyStore) put() (bucket.Attributes, error) { return s.folder.Put(ctx, "a", text(body)) }

// stored is what the store has at the key of put, faults aside.
func (s *faultyStore) stored() string {
	s.t.Helper()
	data, err := s.bypass().ReadAll(ctx, "a", 1<<20)
	if errors.Is(err, bucket.ErrMissing) {
		return "(absent)"
	}
	check(s.t, err)
	return string(data)
}

func TestWritesUnderFaults(t *testing.T) {
	object := buckettest.OpPut
	for _, c := range []struct {
		name  string
		rules []buckettest.Rule
		kind  bucket.Kind // 0: acknowledged
		cause error
		found bool // the error describes an object
		at    string
		puts  int
	}{
		{"a request that fails once is sent again", []buckettest.Rule{{Op: object, Times: 1}}, 0, nil, false, body, 2},
		{"a request that always fails is given up", []buckettest.Rule{{Op: object}}, bucket.KindTransient, buckettest.ErrTransient, false, "(absent)", 5},
		{"every second request fails", []buckettest.Rule{{Every: 2}}, 0, nil, false, body, 1},
		{"a lost answer is found, not decided", []buckettest.Rule{{Op: object, Fault: buckettest.LoseAnswer, Times: 1}}, bucket.KindExists, buckettest.ErrTransient, true, body, 1},
		{"a lost answer and a look that fails", []buckettest.Rule{{Op: object, Fault: buckettest.LoseAnswer, Times: 1}, {Op: buckettest.OpHead, Times: 1}},
			bucket.KindExists, nil, true, body, 2},
		{"a client that repeats its own success", []buckettest.Rule{{Op: object, Fault: buckettest.Repeat, Times: 1}}, bucket.KindExists, nil, true, body, 1},
		{"a timeout of the store", []buckettest.Rule{{Op: object, Err: buckettest.ErrTimeout, Times: 2}}, 0, nil, false, body, 3},
		{"throttled for a while", []buckettest.Rule{{Op: object, Err: buckettest.ErrThrottled, Times: 3}}, 0, nil, false, body, 4},
		{"throttled for good", []buckettest.Rule{{Op: object, Err: buckettest.ErrThrottled}}, bucket.KindThrottled, buckettest.ErrThrottled, false, "(absent)", 5},
		{"access denied is not tried again", []buckettest.Rule{{Op: object, Err: buckettest.ErrAuth}}, bucket.KindAuth, buckettest.ErrAuth, false, "(absent)", 1},
		{"a malformed request is not tried again", []buckettest.Rule{{Op: object, Err: buckettest.ErrInvalid}}, bucket.KindPermanent, buckettest.ErrInvalid, false, "(absent)", 1},
		{"an object that is confirmed and lost", []buckettest.Rule{{Op: object, Fault: buckettest.Lose, Times: 1}}, bucket.KindMissing, bucket.ErrNotKept, false, "(absent)", 1},
		{"an object that is confirmed and kept in part", []buckettest.Rule{{Op: object, Fault: buckettest.Shorten, Bytes: 7, Times: 1}}, bucket.KindPermanent, bucket.ErrWrongSize, true, body[:7], 1},
		{"a connection that breaks in the middle", []buckettest.Rule{{Op: object, Fault: buckettest.Break, Bytes: 7, Times: 1}}, 0, nil, false, body, 2},
		{"a connection that always breaks", []buckettest.Rule{{Op: object, Fault: buckettest.Break, Bytes: 7}}, bucket.KindTransient, buckettest.ErrTransient, false, "(absent)", 5},
		{"not found for a moment after the write", []buckettest.Rule{{Op: object, Fault: buckettest.Hide, Reads: 3, Times: 1}}, 0, nil, false, body, 1},
		{"not found for long after the write", []buckettest.Rule{{Op: object, Fault: buckettest.Hide, Reads: 50, Times: 1}}, bucket.KindMissing, bucket.ErrNotKept, false, body, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newFaultyStore(t)
			before := s.faulty.Counts().Puts
			for _, rule := range c.rules {
				s.faulty.Add(rule)
			}
			attributes, err := s.put()
			s.checkOutcome(t, attributes, err, c.kind, c.cause, c.found)
			if got := s.stored(); got != c.at {
				t.Errorf("the store has %q", got)
			}
			if puts := s.faulty.Counts().Puts - before; puts != c.puts {
				t.Errorf("%d puts, want %d", puts, c.puts)
			}
		})
	}
}

func (s *faultyStore) checkOutcome(t *testing.T, attributes bucket.Attributes, err error, kind bucket.Kind, cause error, found bool) {
	t.Helper()
	if kind == 0 {
		check(t, err)
		if attributes.Bytes != int64(len(body)) {
			t.Errorf("acknowledged as %+v", attributes)
		}
		return
	}
	failed := failedWith(t, err, kind)
	if cause != nil && !errors.Is(err, cause) {
		t.Errorf("got %v, want %v in it", err, cause)
	}
	if (failed.Found != nil) != found {
		t.Errorf("found %+v", failed.Found)
	}
}

func TestAnObjectThatArrivesLateIsNotOverwrittenNorDoubled(t *testing.T) {
	s := newFaultyStore(t)
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut, Fault: buckettest.Late, Err: buckettest.ErrTimeout, Times: 1})
	s.clock.beforeSleep(func(n int) {
		if n == 1 { // before the second attempt
			for _, err := range s.faulty.Settle() {
				check(t, err)
			}
		}
	})
	_, err := s.put()
	failed := failedWith(t, err, bucket.KindExists)
	if failed.Found == nil || failed.Found.Bytes != int64(len(body)) || failed.Attempts != 2 {
		t.Errorf("got %+v", failed)
	}
	if got := s.stored(); got != body {
		t.Errorf("the store has %q", got)
	}
}

func TestAnObjectThatArrivesAfterTheRetryIsRefused(t *testing.T) {
	s := newFaultyStore(t)
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut, Fault: buckettest.Late, Err: buckettest.ErrTimeout, Times: 1})
	_, err := s.put()
	check(t, err)
	if outcomes := s.faulty.Settle(); len(outcomes) != 1 || outcomes[0] == nil {
		t.Errorf("the late one: %v", outcomes)
	}
}

func TestAnErrorSaysWhatWasLookedFor(t *testing.T) {
	s := newFaultyStore(t)
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut})
	_, err := s.put()
	if failed := failedWith(t, err, bucket.KindTransient); !failed.Absent || failed.Attempts != 5 || failed.Key != folderName+"/a" {
		t.Errorf("got %+v", failed)
	}
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpHead, Err: buckettest.ErrAuth})
	_, err = s.put()
	if failed := failedWith(t, err, bucket.KindTransient); failed.Absent || !errors.Is(err, buckettest.ErrAuth) {
		t.Errorf("got %+v", failed)
	}
}

func TestAContextEndsAHangingWrite(t *testing.T) {
	for _, op := range []buckettest.Op{buckettest.OpPut, buckettest.OpHead} {
		s := newFaultyStore(t)
		s.faulty.Add(buckettest.Rule{Op: op, Fault: buckettest.Hang})
		ctx, cancel := cancellable()
		outcome := make(chan error)
		go func() {
			_, err := s.folder.Put(ctx, "a", text(body))
			outcome <- err
		}()
		cancel()
		wantKind(t, <-outcome, bucket.KindCancelled)
	}
}

func TestAContextEndsTheWaitBetweenAttempts(t *testing.T) {
	s := newFaultyStore(t)
	ctx, cancel := cancellable()
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut})
	s.clock.beforeSleep(func(int) { cancel() })
	_, err := s.folder.Put(ctx, "a", text(body))
	wantKind(t, err, bucket.KindCancelled)
	if !errors.Is(err, buckettest.ErrTransient) || len(s.clock.sleeps()) != 1 {
		t.Errorf("got %v after %d waits", err, len(s.clock.sleeps()))
	}
}

func TestAWriteOfManyBytesHoldsNone(t *testing.T) {
	s := newFaultyStore(t)
	const pieces, pieceBytes = 64, 1 << 20
	piece := pattern(pieceBytes)
	before := s.faulty.Counts()
	taken := 0
	made, err := s.folder.Put(ctx, "a", func(w io.Writer) error {
		for range pieces {
			if _, err := w.Write(piece); err != nil {
				return err
			}
			taken += pieceBytes
			// Each piece is with the driver before the next is produced.
			if passed := s.faulty.Counts().BytesPut - before.BytesPut; passed != int64(taken) {
				t.Fatalf("%d of %d bytes were passed on", passed, taken)
			}
		}
		return nil
	})
	check(t, err)
	if made.Bytes != pieces*pieceBytes {
		t.Errorf("got %+v", made)
	}
}

func TestWaitsDoubleUpToTheirMaximumAndThrottledOnesAreLonger(t *testing.T) {
	retry := bucket.Retry{Attempts: 6, Delay: time.Second, DelayMax: 5 * time.Second, ThrottleDelay: 10 * time.Second, ThrottleDelayMax: 30 * time.Second}
	for _, c := range []struct {
		err  error
		want []int
	}{
		{buckettest.ErrTransient, []int{1, 2, 4, 5, 5}},
		{buckettest.ErrThrottled, []int{20, 30, 40, 40, 40}},
	} {
		s := newFaultyStore(t, func(o *bucket.Options) { o.Retry = retry })
		s.faulty.Add(buckettest.Rule{Op: buckettest.OpDelete, Err: c.err})
		err := s.folder.Delete(ctx, "a")
		if !errors.Is(err, c.err) {
			t.Errorf("got %v", err)
		}
		var seconds []int
		for _, waited := range s.clock.sleeps() {
			seconds = append(seconds, int(waited/time.Second))
		}
		if !slices.Equal(seconds, c.want) {
			t.Errorf("%v: waited %v seconds, want %v", c.err, seconds, c.want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, retry := range []bucket.Retry{{Attempts: -1}, {Delay: -1}, {Delay: 2, DelayMax: 1}, {ThrottleDelay: 2, ThrottleDelayMax: 1}} {
		if _, err := bucket.Open(ctx, bucket.Options{URL: memoryURL(), Retry: retry}); !errors.Is(err, bucket.ErrInvalid) {
			t.Errorf("%+v: %v", retry, err)
		}
	}
}

func TestJitterStaysBelowItsCeilingAndTheTimerEndsWithTheContext(t *testing.T) {
	var seen []time.Duration
	ctx, cancel := cancellable()
	s := newFaultyStore(t, func(o *bucket.Options) {
		o.Jitter = nil
		o.Retry = bucket.Retry{Attempts: 200, Delay: time.Millisecond, DelayMax: time.Millisecond}
	})
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpDelete})
	if err := s.folder.Delete(ctx, "a"); err == nil {
		t.Error("deleted")
	}
	seen = s.clock.sleeps()
	slices.Sort(seen)
	if len(seen) != 199 || seen[0] > 100*time.Microsecond || seen[198] < 900*time.Microsecond || seen[198] > time.Millisecond {
		t.Errorf("%d waits from %v to %v", len(seen), seen[0], seen[len(seen)-1])
	}
	timed := newFaultyStore(t, func(o *bucket.Options) {
		o.Sleep = nil // the real timer
		o.Retry = bucket.Retry{Delay: time.Hour, DelayMax: time.Hour}
		o.OnRequest = func(r bucket.Request) {
			if r.Kind == bucket.RequestDelete {
				cancel()
			}
		}
	})
	timed.faulty.Add(buckettest.Rule{Op: buckettest.OpDelete})
	wantKind(t, timed.folder.Delete(ctx, "a"), bucket.KindCancelled)
}
