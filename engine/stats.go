package engine

import (
	"maps"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// Stats is a snapshot of what an engine's logs share, for metrics.
type Stats struct {
	// Hot and Warm are the local bytes of all logs and their limits.
	Hot, Warm TierUse
	// Requests were sent to the bucket since the engine was opened.
	Requests BucketRequests
	// Moves counts the moves between tiers that ended since then, by kind.
	Moves map[MoveKind]MoveCounts
	// Outage is that of the bucket, zero while it answers.
	Outage BucketOutage
}

// BucketOutage is a time in which no upload succeeds, because the bucket does
// not answer or takes nothing, or in which it cannot be asked for the objects
// because of which local copies are to be dropped; it may begin when the engine is
// opened (Options.ProbeBucket). It ends with the next of these that succeeds; one is
// tried now and then.
type BucketOutage struct {
	Since    time.Time // when the first of them failed
	Failures int       // those that failed since, in a row
	Err      error     // of the last of them
}

// TierUse is how full a local tier is, in bytes. LimitBytes is 0 for a tier that
// is off.
type TierUse struct{ UsedBytes, LimitBytes int64 }

// BucketRequests counts requests to the bucket by what stores put a price on,
// failed ones and repetitions included. A look at an object's attributes is a
// get.
type BucketRequests struct {
	Put, Get, List, Delete uint64
	// BytesOut went to the bucket, BytesIn came from it.
	BytesOut, BytesIn uint64
}

// MoveKind names a move of a segment between tiers.
type MoveKind string

// The moves.
const (
	MoveCompress  MoveKind = "compress"
	MoveUpload    MoveKind = "upload"
	MoveEvictHot  MoveKind = "evict_hot"
	MoveEvictWarm MoveKind = "evict_warm"
	// MoveVerify moves nothing: it reads a copy again that was found bad, where
	// no other one is good.
	MoveVerify MoveKind = "verify"
)

// MoveCounts says how moves ended. One that found its segment in use, or whose
// log was closed meanwhile, is in neither.
type MoveCounts struct{ Done, Failed uint64 }

// moveKinds are the planner's moves by the names that users see.
var moveKinds = map[planner.Kind]MoveKind{
	planner.Compress: MoveCompress, planner.Upload: MoveUpload,
	planner.EvictHot: MoveEvictHot, planner.EvictWarm: MoveEvictWarm, moveVerify: MoveVerify,
}

// Stats returns what the engine is now. It is cheap and safe to call at any
// time. Each number is exact; they are not all of one instant.
func (e *Engine) Stats() Stats {
	stats := Stats{
		Hot:  TierUse{UsedBytes: e.hot.used.Load(), LimitBytes: e.opts.HotBytesMax},
		Warm: TierUse{UsedBytes: e.warm.Load(), LimitBytes: max(e.opts.WarmBytesMax, 0)},
	}
	if e.bucket != nil {
		made := e.bucket.Requests()
		stats.Requests = BucketRequests{
			Put: made.Put, Get: made.Get, List: made.List, Delete: made.Delete, BytesOut: made.BytesOut, BytesIn: made.BytesIn,
		}
	}
	stats.Moves = e.coordinator.moved()
	stats.Outage = e.coordinator.bucketOutage()
	return stats
}

// bucketOutage is the outage that is under way.
func (c *coordinator) bucketOutage() BucketOutage {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := &c.mu.outage
	for _, other := range c.otherOutagesLocked() {
		if shown.attempts == 0 {
			shown = other
		}
	}
	return BucketOutage{Since: shown.began, Failures: shown.attempts, Err: shown.cause}
}

// otherOutagesLocked are those in which nothing failed to be uploaded.
func (c *coordinator) otherOutagesLocked() []*outage { return []*outage{&c.mu.unasked, &c.mu.unprobed} }

// moved counts the moves that ended.
func (c *coordinator) moved() map[MoveKind]MoveCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := maps.Clone(c.mu.counts)
	for _, kind := range moveKinds {
		counts[kind] = c.mu.counts[kind] // those of which none ended yet too
	}
	return counts
}

// countLocked counts a move that ended.
func (c *coordinator) countLocked(kind planner.Kind, failed bool) {
	name := moveKinds[kind]
	counts := c.mu.counts[name]
	if failed {
		counts.Failed++
	} else {
		counts.Done++
	}
	c.mu.counts[name] = counts
}
