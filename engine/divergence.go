package engine

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
)

// This file finds out, when a log is claimed, whether the bucket holds records
// that this root has not, or has differently: then the root is an older state of
// the log, such as a copy of a running one, whose claims are its own. Two such
// roots must not both upload.

// errOtherRecords says that a root and its bucket are no longer one log: this
// log's uploads stop until somebody looks.
var errOtherRecords = errors.New("engine: the bucket holds records of the log that this root has not")

// checkDivergence looks for objects that contradict this root or go on behind it.
// since is the last epoch with which this root has looked: what is of an earlier
// one was put later than that, by an owner that this root had overtaken, and was
// never counted as cold.
func (l *Log) checkDivergence(ctx context.Context, since uint64) error {
	for listed, err := range l.folder.List(ctx, bucket.SegmentsPrefix) {
		if err != nil {
			return err
		}
		key, ok := bucket.ParseSegmentKey(listed.Key)
		if !ok || !l.contradicts(key) {
			continue
		}
		source := &coldSource{folder: l.folder, key: listed.Key}
		object, err := tier.OpenObject(ctx, source, listed.Bytes, 0, tier.Identity{LogID: l.id, SegmentID: key.ID})
		switch {
		case err != nil && !isBadCopy(err):
			return err
		case err != nil:
			return fmt.Errorf("%w: %s has sequences %d to %d, if its name says so, and does not open: %w", errOtherRecords, listed.Key, key.First, key.Last, err)
		case object.Footer().Epoch >= since:
			return fmt.Errorf("%w: %s of epoch %d has sequences %d to %d; this root ends with %d and has other segments there",
				errOtherRecords, listed.Key, object.Footer().Epoch, key.First, key.Last, l.appended.Load())
		}
		l.engine.opts.Logger.Warn("object_superseded", "group", "aof2.tier2", "log", l.name, "key", listed.Key, "epoch", object.Footer().Epoch)
	}
	return nil
}

// contradicts reports whether an object holds sequences that this root does not
// have, or has in another segment. Those that this root has lost are neither.
func (l *Log) contradicts(key bucket.SegmentKey) bool {
	state := l.journal.state()
	entry := state.Segment(key.ID)
	if entry != nil && entry.Sealed && entry.FirstSeq == key.First && entry.LastSeq == key.Last {
		return false
	}
	if key.Last < key.First || key.Last <= state.Log().TrimmedTo {
		return false
	}
	if key.Last > l.appended.Load() {
		return true
	}
	list := *l.segments.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].baseSeq() > key.Last })
	return i > 0 && list[i-1].lastSeq.Load() >= key.First
}
