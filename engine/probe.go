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
// answer now may do so later, and appends do not wait for it.
func (e *Engine) probeBucket() error {
	if e.bucket == nil || !e.opts.ProbeBucket {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(bucketProbePatience, e.opts.bucketPatience))
	defer cancel()
	err := e.bucket.Probe(ctx)
	if err == nil {
		return nil
	}
	switch bucket.KindOf(err) {
	case bucket.KindAuth, bucket.KindPermanent:
		return fmt.Errorf("%w: %w", ErrBucketRefused, err)
	}
	e.opts.Logger.Warn("bucket_unreachable", "group", "aof2.tier2", "bucket", e.bucket.String(), "error", err)
	return nil
}
