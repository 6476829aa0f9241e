package engine

import (
	"math"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// plan asks the planner what to move now.
func (c *coordinator) plan(now time.Time) []planner.Action {
	state := planner.State{
		HotBytes: c.engine.hot.used.Load(), WarmBytes: c.engine.warm.Load(), DiskLackBytes: c.engine.disk.lack(),
		Bucket: c.engine.bucket != nil,
	}
	logs := c.engine.openLogs()
	c.mu.Lock()
	defer c.mu.Unlock()
	state.BucketAnswers = c.mu.outage.mayTry(now)
	for kind, most := range movesMax {
		state.Free[kind] = most - c.mu.running[kind]
	}
	needed := c.engine.bucket != nil || state.HotBytes > c.engine.budgets.HotLowBytes || state.DiskLackBytes > 0
	if !needed || c.engine.opts.WarmBytesMax == NoWarm {
		state.Free[planner.Compress] = 0 // nothing is uploaded, and nothing needs the room
	}
	if c.mu.outage.attempts > 0 {
		state.Free[planner.Upload] = max(0, 1-c.mu.running[planner.Upload]) // one finds out for all
	}
	c.mu.doubtful, c.mu.shown = c.mu.doubtful[:0], c.mu.shown[:0]
	for _, log := range logs {
		before := len(c.mu.shown)
		c.showSegmentsLocked(log)
		if segments := c.mu.shown[before:]; len(segments) > 0 {
			shown := planner.Log{ID: log.id, Segments: segments}
			for kind, at := range c.mu.started[log.id] {
				if int(kind) < len(shown.StartedNs) {
					shown.StartedNs[kind] = at
				}
			}
			state.Logs = append(state.Logs, shown)
		}
	}
	return append(planner.Plan(now.UnixNano(), &state, c.engine.budgets), c.verificationsLocked(now)...)
}

// verificationsLocked are the verifications to start now: one at a time.
func (c *coordinator) verificationsLocked(now time.Time) []planner.Action {
	for i, action := range c.mu.doubtful {
		failure := c.mu.failures[moveKey{action.LogID, action.Segment}][moveVerify]
		if c.mu.running[moveVerify] == 0 && failure.NotBeforeNs <= now.UnixNano() {
			return c.mu.doubtful[i : i+1]
		}
	}
	return nil
}

// showSegmentsLocked adds the sealed segments of a log that have a local copy to
// those shown, and notes those that have no good copy.
func (c *coordinator) showSegmentsLocked(log *Log) {
	if log.failed() || log.closed() {
		return
	}
	state, stopped := log.journal.state(), log.uploadsStopped() != nil
	list := *log.segments.Load()
	for entry := range state.Segments() { // both are in order of id
		for len(list) > 0 && list[0].id() < entry.ID {
			list = list[1:]
		}
		if len(list) == 0 {
			return
		}
		s := list[0]
		if s.id() != entry.ID || !entry.Sealed || s.seal.Load() == nil {
			continue
		}
		key := moveKey{log.id, s.id()}
		if isDoubtful(s, entry) && c.mu.moving[key] == planner.None {
			c.mu.doubtful = append(c.mu.doubtful, planner.Action{Kind: moveVerify, LogID: log.id, Segment: s.id()})
		}
		if entry.Resident.Without(manifest.TierCold) == 0 {
			continue
		}
		c.mu.shown = append(c.mu.shown, planner.Segment{ID: s.id(), SealedNs: entry.SealedNs, AccessedNs: s.lastRead.Load(), Moving: c.mu.moving[key]})
		shown := &c.mu.shown[len(c.mu.shown)-1]
		shown.Copies = copiesOf(s, entry)
		for kind, failure := range c.mu.failures[key] {
			if int(kind) < len(shown.Failures) {
				shown.Failures[kind] = failure
			}
		}
		if stopped {
			shown.Failures[planner.Upload].NotBeforeNs = math.MaxInt64
		}
		c.holdAskingLocked(shown)
	}
}

// holdAskingLocked keeps evictions that have to ask the bucket away from one that
// does not answer.
func (c *coordinator) holdAskingLocked(shown *planner.Segment) {
	if c.mu.unasked.attempts == 0 {
		return
	}
	notBefore := c.mu.unasked.notBefore.UnixNano()
	for _, kind := range []planner.Kind{planner.EvictHot, planner.EvictWarm} {
		if kind == planner.EvictWarm || !shown.Copies[planner.Warm].Verified {
			shown.Failures[kind].NotBeforeNs = max(shown.Failures[kind].NotBeforeNs, notBefore)
		}
	}
}

// copiesOf shows the copies of a segment. One that does not verify takes space
// and does not count.
func copiesOf(s *segmentFile, entry *manifest.Segment) (copies [3]planner.Copy) {
	good := trusted(s, entry)
	if entry.Resident.Has(manifest.TierHot) {
		copies[planner.Hot] = planner.Copy{Bytes: s.bytes.Load(), Verified: good.Has(manifest.TierHot), Pins: s.hotPins()}
	}
	if entry.Resident.Has(manifest.TierWarm) {
		copies[planner.Warm] = planner.Copy{Bytes: int64(entry.Warm.ObjectBytes), Verified: good.Has(manifest.TierWarm)}
	}
	if entry.Resident.Has(manifest.TierCold) {
		copies[planner.Cold] = planner.Copy{Bytes: int64(entry.Cold.ObjectBytes), Verified: good.Has(manifest.TierCold)}
	}
	return copies
}
