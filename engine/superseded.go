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
// learned that, under a key of its own or under the very key that its successor
// would have used. Such an object was never counted as cold by anybody.

// objectSpan is what a key says of its segment. Generations of one span are
// copies of one segment, unless their footers say otherwise.
type objectSpan struct{ id, first, last uint64 }

// disputes reports whether two spans cannot both be part of a log.
func (a objectSpan) disputes(b objectSpan) bool {
	if a.id > b.id {
		a, b = b, a
	}
	return a.id == b.id || b.first < a.first || b.first <= a.last
}

func keySpan(key bucket.SegmentKey) objectSpan { return objectSpan{key.ID, key.First, key.Last} }

// contender is a span that another one disputes, or that has several generations.
type contender struct {
	span    objectSpan
	objects []*listedObject // its generations
	best    *listedObject   // the one that counts, if the span does
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
// of each once. Of those that stay, the ones of each segment come in the order in
// which they count.
func (l *Log) dropSuperseded(ctx context.Context, objects []listedObject) ([]listedObject, error) {
	superseded, err := rankObjects(ctx, l.folder, l.id, objects)
	if err != nil || len(superseded) == 0 {
		return objects, err
	}
	return slices.DeleteFunc(objects, func(listed listedObject) bool {
		by, is := superseded[listed.String()]
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
	for i := range objects {
		listed := &objects[i]
		entry := state.Segment(listed.ID)
		if entry == nil {
			continue
		}
		if key, _ := bucket.ParseSegmentKey(entry.Cold.Key); keySpan(key) != keySpan(listed.SegmentKey) || listed.isOther(l.id, entry) {
			changed = true
			l.engine.objects.drop(l.objectKey(entry, manifest.TierCold))
		}
	}
	if changed {
		return manifest.NewState()
	}
	return state
}

// epoch is that of the last owner that wrote into the segment, 0 if the object was
// not opened, or does not open.
func (o *listedObject) epoch() uint64 {
	if o.object == nil {
		return 0
	}
	footer := o.object.Footer()
	return footer.Epoch
}

// isOther reports whether an object that was opened holds another segment than
// the one that is known by its id.
func (o *listedObject) isOther(logID uint64, entry *manifest.Segment) bool {
	if o.object == nil {
		return false
	}
	footer := o.object.Footer()
	return !tier.SameSegment(&footer, entryFooter(logID, entry))
}

// compareRank puts the objects of a segment into the order in which they count:
// the highest epoch before lower ones, of one epoch the newest generation.
func compareRank(a, b *listedObject) int {
	return cmp.Or(cmp.Compare(b.epoch(), a.epoch()), cmp.Compare(b.Generation, a.Generation))
}

// rankObjects sorts objects by segment and rank, and returns those that are not
// part of the log, by key. Of spans that dispute, the one with the higher epoch
// wins; of one epoch the shorter, which is what its owner and a copy of it have in
// common. Of a span the object of the highest rank counts, and other generations
// of the same segment with it. It opens only objects that compete.
func rankObjects(ctx context.Context, folder *bucket.Folder, logID uint64, objects []listedObject) (map[string]supersededBy, error) {
	contenders := competing(objects)
	for i := range contenders {
		if err := contenders[i].open(ctx, folder, logID); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(contenders, func(a, b contender) int {
		return cmp.Or(cmp.Compare(b.best.epoch(), a.best.epoch()), cmp.Compare(a.span.last, b.span.last), cmp.Compare(a.span.id, b.span.id))
	})
	superseded := make(map[string]supersededBy)
	var won []*contender
	for i := range contenders {
		c := &contenders[i]
		winner := c
		if over := slices.IndexFunc(won, func(w *contender) bool { return w.span.disputes(c.span) }); over >= 0 {
			winner = won[over]
		} else {
			won = append(won, c)
		}
		for _, object := range c.objects {
			if winner != c || object.disagrees(winner.best) {
				superseded[object.String()] = supersededBy{epoch: object.epoch(), key: winner.best.String(), winner: winner.best.epoch()}
			}
		}
	}
	slices.SortFunc(objects, func(a, b listedObject) int { return cmp.Or(cmp.Compare(a.ID, b.ID), compareRank(&a, &b)) })
	return superseded, nil
}

// open opens the objects of a span and finds the one that counts. One that does
// not open stays closed.
func (c *contender) open(ctx context.Context, folder *bucket.Folder, logID uint64) error {
	for _, listed := range c.objects {
		source := &coldSource{folder: folder, key: listed.String()}
		object, err := tier.OpenObject(ctx, source, listed.bytes, 0, tier.Identity{LogID: logID, SegmentID: listed.ID})
		if err != nil && !isBadCopy(err) {
			return fmt.Errorf("open %s: %w", listed.SegmentKey, err)
		}
		listed.object = object
	}
	c.best = slices.MinFunc(c.objects, compareRank)
	return nil
}

// disagrees reports whether two objects of a span that open hold different
// segments.
func (o *listedObject) disagrees(other *listedObject) bool {
	if o.object == nil || other.object == nil {
		return false
	}
	a, b := o.object.Footer(), other.object.Footer()
	return !tier.SameSegment(&a, &b)
}

// competing returns the spans that overlap with another one or have several
// generations, in order of their first sequence.
func competing(objects []listedObject) (list []contender) {
	bySpan := make(map[objectSpan][]*listedObject)
	for i := range objects {
		span := keySpan(objects[i].SegmentKey)
		bySpan[span] = append(bySpan[span], &objects[i])
	}
	all := make([]contender, 0, len(bySpan))
	for span, generations := range bySpan {
		all = append(all, contender{span: span, objects: generations})
	}
	slices.SortFunc(all, func(a, b contender) int {
		return cmp.Or(cmp.Compare(a.span.first, b.span.first), cmp.Compare(a.span.id, b.span.id), cmp.Compare(a.span.last, b.span.last))
	})
	marked := make([]bool, len(all))
	widest := 0
	for i := range all {
		marked[i] = marked[i] || len(all[i].objects) > 1
		if i == 0 {
			continue
		}
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
