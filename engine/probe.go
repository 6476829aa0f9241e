package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

// bucketProbePatience is how long opening waits for a bucket.
const bucketProbePatience = 5 * time.Second

// probeBucket refuses a bucket that will never take an upload: one that this
// process may not write to, or that keeps no stale owner out. One that does not
// answer now may do so later, and appends do not wait for it; that it is away is
// known from here on.
func (e *Engine) probeBucket() error {
	if e.bucket == nil || !e.opts.ProbeBucket {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(bucketProbePatience, e.opts.bucketPatience))
	defer cancel()
	err := e.tryBucket(ctx)
	if err == nil {
		return nil
	}
	switch bucket.KindOf(err) {
	case bucket.KindAuth, bucket.KindPermanent:
		return fmt.Errorf("%w: %w", ErrBucketRefused, err)
	}
	e.opts.Logger.Warn("bucket_unreachable", "group", "aof2.tier2", "bucket", e.bucket.String(), "error", err)
	e.coordinator.noteProbed(err)
	return nil
}

// tryBucket makes sure that the bucket is the one that the root used, and that it
// takes uploads.
func (e *Engine) tryBucket(ctx context.Context) error {
	if err := e.checkAnyClaim(ctx); err != nil {
		return err
	}
	return e.bucket.Probe(ctx)
}

// noteProbed notes whether the bucket took the probe.
func (c *coordinator) noteProbed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.probing = false
	if err == nil {
		c.mu.unprobed.end()
	} else {
		c.mu.unprobed.begin(c.engine.opts.Now(), err, c.engine.uniform)
	}
}

// probeAgain asks a bucket again that was away when the engine was opened: nobody
// else may ask it for long, and that it is back has to be known as that it was away.
// Behind its first answer no more is asked.
func (c *coordinator) probeAgain(ctx context.Context, now time.Time) {
	c.mu.Lock()
	due := c.mu.unprobed.attempts > 0 && !c.mu.probing && c.mu.unprobed.mayTry(now)
	c.mu.probing = c.mu.probing || due
	c.mu.Unlock()
	if !due {
		return
	}
	c.done.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, min(bucketProbePatience, c.engine.opts.bucketPatience))
		defer cancel()
		c.noteProbed(c.engine.tryBucket(ctx))
		c.poke()
	})
}
