package bucket

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"gocloud.dev/blob"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Options of Open. Only URL is needed.
type Options struct {
	// URL names the bucket: file:///absolute/directory, which is made if it is
	// not there, or mem://name, which lives in this process and is the same
	// bucket each time it is opened. ?prefix=a/b puts everything below a/b/.
	URL string
	// FS is the file system of file:// URLs, nil for the operating system's.
	FS vfs.FS
	// ReadOnly refuses changes, and makes no directory.
	ReadOnly bool
	// Existing makes no directory either: while it is not there, the store does not
	// answer.
	Existing bool
	// AllowUnfenced accepts a store that lets a key be created twice.
	AllowUnfenced bool
	// Retry says how often a call is tried and how long it waits.
	Retry Retry

	// Now is the clock, nil for the system's.
	Now func() time.Time
	// Sleep waits until d has passed (nil) or the context has ended (its error).
	// Nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Jitter picks a delay in [0, ceiling], nil for a uniform one. It is called
	// by many goroutines.
	Jitter func(ceiling time.Duration) time.Duration
	// Random is where names of temporary files come from, nil for the system's.
	Random io.Reader
	// Logger is told what nobody else is; nil is silence.
	Logger *slog.Logger
	// OnRequest, if not nil, is called after each request, by the goroutine that
	// made it.
	OnRequest func(Request)
	// Wrap, if not nil, puts something between this package and the store, which
	// it must not close. It is for tests that inject faults.
	Wrap Wrapper
}

// Wrapper puts something between this package and a store.
type Wrapper func(*blob.Bucket) *blob.Bucket

// Retry says how a call that fails is tried again: after a delay between 0 and a
// ceiling that doubles each time. The zero value stands for the defaults.
type Retry struct {
	// Attempts is how often a call is tried in all; 5 by default.
	Attempts int
	// Delay is the first ceiling, 100 ms by default; DelayMax the last, 10 s.
	Delay    time.Duration
	DelayMax time.Duration
	// ThrottleDelay, 1 s by default, is what a throttled call waits at least,
	// and its first ceiling on top of that; ThrottleDelayMax, 30 s, is the last.
	ThrottleDelay    time.Duration
	ThrottleDelayMax time.Duration
}

func (r Retry) withDefaults() Retry {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	if r.Attempts == 0 {
		r.Attempts = 5
	}
	set(&r.Delay, 100*time.Millisecond)
	set(&r.DelayMax, max(10*time.Second, r.Delay))
	set(&r.ThrottleDelay, time.Second)
	set(&r.ThrottleDelayMax, max(30*time.Second, r.ThrottleDelay))
	return r
}

func (r Retry) validate() error {
	if r.Attempts < 1 {
		return fmt.Errorf("%w: retry.attempts is %d, at least 1", ErrInvalid, r.Attempts)
	}
	if r.Delay < 0 || r.DelayMax < r.Delay || r.ThrottleDelay < 0 || r.ThrottleDelayMax < r.ThrottleDelay {
		return fmt.Errorf("%w: retry delays must not be negative, and each maximum at least its minimum", ErrInvalid)
	}
	return nil
}

// delay is how long to wait after so many attempts.
func (r Retry) delay(kind Kind, attempts int, jitter func(time.Duration) time.Duration) time.Duration {
	if kind == KindThrottled {
		return r.ThrottleDelay + jitter(doubled(r.ThrottleDelay, r.ThrottleDelayMax, attempts))
	}
	return jitter(doubled(r.Delay, r.DelayMax, attempts))
}

func doubled(from, most time.Duration, attempts int) time.Duration {
	for range attempts - 1 {
		if from > most/2 {
			return most
		}
		from *= 2
	}
	return min(from, most)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Jitter == nil {
		o.Jitter = func(ceiling time.Duration) time.Duration { return rand.N(ceiling + 1) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Retry = o.Retry.withDefaults()
	return o
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
