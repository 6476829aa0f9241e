package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file decides which objects of a folder are the log where two hold the
// same sequences: an owner that was overtaken may have put its object before it
// learned that. Such an object was never counted as cold by anybody.

// objectSpan is what a key says of its segment. Generations of one span are
// copies of one segment.
type objectSpan struct{ id, first, last uint64 }

// disputes reports whether two spans cannot both be part of a log.
func (a objectSpan) disputes(b objectSpan) bool {
	if a.id > b.id {
		a, b = b, a
	}
	return a.id == b.id || b.first < a.first || b.first <= a.last
}

func keySpan(key bucket.SegmentKey) objectSpan { return objectSpan{key.ID, key.First, key.Last} }

// contender is a span that another one disputes.
type contender struct {
	span   objectSpan
	newest listedObject
	epoch  uint64 // of the owner that wrote the segment, 0 if it does not open
}

// supersededBy names the winner over a span.
type supersededBy struct {
	epoch  uint64
	key    string
	winner uint64 // the winner's epoch
}

func (s supersededBy) String() string {
	return fmt.Sprintf("it is of epoch %d, and %s of epoch %d holds the same sequences: it is not part of the log", s.epoch, s.key, s.winner)
}

// dropSuperseded leaves out the objects that are not part of the log, and tells
// of each once.
func (l *Log) dropSuperseded(ctx context.Context, objects []listedObject) ([]listedObject, error) {
	superseded, err := findSuperseded(ctx, l.folder, l.id, objects)
	if err != nil || len(superseded) == 0 {
		return objects, err
	}
	return slices.DeleteFunc(objects, func(listed listedObject) bool {
		by, is := superseded[keySpan(listed.SegmentKey)]
		if is && !l.superseded[listed.String()] {
			if l.superseded == nil {
				l.superseded = make(map[string]bool)
			}
			l.superseded[listed.String()] = true
			l.engine.opts.Logger.Error("object_superseded", "group", "aof2.tier2", "log", l.name, "key", listed.String(), "reason", by.String())
		}
		return is
	}), nil
}

// stateFor is what is known of the objects so far: nothing, if they make another
// log than before because a higher epoch has shown up.
func (l *Log) stateFor(objects []listedObject) *manifest.State {
	state := l.journal.state()
	changed := len(objects) > 0 && objects[len(objects)-1].ID+1 < state.Log().NextSegmentID
	for _, listed := range objects {
		entry := state.Segment(listed.ID)
		if entry == nil {
			continue
		}
		if key, _ := bucket.ParseSegmentKey(entry.Cold.Key); keySpan(key) != keySpan(listed.SegmentKey) {
			changed = true
			l.engine.objects.drop(l.objectKey(entry, manifest.TierCold))
		}
	}
	if changed {
		return manifest.NewState()
	}
	return state
}

// findSuperseded returns the spans that are not part of the log. The higher epoch
// wins; of one epoch the shorter, which is what its owner and a copy of it have
// in common. It opens only objects that are disputed.
func findSuperseded(ctx context.Context, folder *bucket.Folder, logID uint64, objects []listedObject) (map[objectSpan]supersededBy, error) {
	contenders := disputed(objects)
	for i := range contenders {
		c := &contenders[i]
		object, err := tier.OpenObject(ctx, &coldSource{folder: folder, key: c.newest.String()}, c.newest.bytes, 0,
			tier.Identity{LogID: logID, SegmentID: c.span.id})
		if err == nil {
			c.epoch = object.Footer().Epoch
		} else if !isBadCopy(err) {
			return nil, fmt.Errorf("open %s: %w", c.newest.SegmentKey, err)
		}
	}
	slices.SortFunc(contenders, func(a, b contender) int {
		return cmp.Or(cmp.Compare(b.epoch, a.epoch), cmp.Compare(a.span.last, b.span.last), cmp.Compare(a.span.id, b.span.id))
	})
	superseded := make(map[objectSpan]supersededBy)
	var won []*contender
	for i := range contenders {
		c := &contenders[i]
		over := slices.IndexFunc(won, func(w *contender) bool { return w.span.disputes(c.span) })
		if over < 0 {
			won = append(won, c)
			continue
		}
		superseded[c.span] = supersededBy{epoch: c.epoch, key: won[over].newest.String(), winner: won[over].epoch}
	}
	return superseded, nil
}

// disputed returns the spans that overlap with another one, in order of their
// first sequence.
func disputed(objects []listedObject) (list []contender) {
	bySpan := make(map[objectSpan]listedObject)
	for _, listed := range objects {
		span := keySpan(listed.SegmentKey)
		if other, there := bySpan[span]; !there || listed.Generation > other.Generation {
			bySpan[span] = listed
		}
	}
	all := make([]contender, 0, len(bySpan))
	for span, newest := range bySpan {
		all = append(all, contender{span: span, newest: newest})
	}
	slices.SortFunc(all, func(a, b contender) int {
		return cmp.Or(cmp.Compare(a.span.first, b.span.first), cmp.Compare(a.span.id, b.span.id), cmp.Compare(a.span.last, b.span.last))
	})
	marked := make([]bool, len(all))
	widest := 0
	for i := 1; i < len(all); i++ {
		if all[i].span.disputes(all[widest].span) {
			marked[i], marked[widest] = true, true
		}
		if all[i].span.disputes(all[i-1].span) {
			marked[i], marked[i-1] = true, true
		}
		if all[i].span.last > all[widest].span.last {
			widest = i
		}
	}
	for i := range all {
		if marked[i] {
			list = append(list, all[i])
		}
	}
	return list
}
