package engine

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file finds out, when a log is claimed, whether the bucket holds records
// that this root has not, or has differently: then the root is an older state of
// the log, such as a copy of a running one, whose claims are its own. Two such
// roots must not both upload.

var (
	// errOtherRecords says that a root and its bucket are no longer one log: this
	// log's uploads stop until somebody looks.
	errOtherRecords = errors.New("engine: the bucket holds records of the log that this root has not")
	// errRecordsBehind says that the bucket goes on where this root ends: the next
	// open takes that over.
	errRecordsBehind = errors.New("engine: the bucket goes on behind the end of this root")
)

// conflict is how an object stands to what this root has.
type conflict uint8

const (
	noConflict conflict = iota
	sameSpan            // it is named like a segment that is not known to be cold
	overlap             // it has sequences that lie in other segments here
	behind              // all of its sequences lie behind the end
)

// checkDivergence looks for objects that contradict this root or go on behind it.
// since is the last epoch with which this root has looked: what is of an earlier
// one was put later than that, by an owner that this root had overtaken, and was
// never counted as cold.
func (l *Log) checkDivergence(ctx context.Context, since uint64) error {
	end := l.appended.Load()
	var goesOn error
	for listed, err := range l.folder.List(ctx, bucket.SegmentsPrefix) {
		if err != nil {
			return err
		}
		key, ok := bucket.ParseSegmentKey(listed.Key)
		if !ok {
			continue
		}
		found := l.conflictWith(key, end)
		if found == noConflict {
			continue
		}
		err := l.judgeObject(ctx, key, listed.Bytes, found, since)
		switch {
		case err == nil:
		case found == behind && errors.Is(err, errRecordsBehind):
			goesOn = errors.Join(goesOn, err)
		default:
			return err
		}
	}
	if goesOn != nil {
		l.holdAppends(end, goesOn)
	}
	return goesOn
}

// conflictWith says how an object stands to a root that ends with a sequence, by
// its name. Sequences that this root has lost conflict with nothing.
func (l *Log) conflictWith(key bucket.SegmentKey, end uint64) conflict {
	state := l.journal.state()
	entry := state.Segment(key.ID)
	if entry != nil && entry.Sealed && entry.FirstSeq == key.First && entry.LastSeq == key.Last {
		if entry.Resident.Has(manifest.TierCold) || key.Last < key.First {
			return noConflict
		}
		return sameSpan
	}
	switch {
	case key.Last < key.First || key.Last <= state.Log().TrimmedTo:
		return noConflict
	case key.First > end:
		return behind
	case key.Last > end:
		return overlap
	}
	list := *l.segments.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].baseSeq() > key.Last })
	if i > 0 && list[i-1].lastSeq.Load() >= key.First {
		return overlap
	}
	return noConflict
}

// judgeObject opens an object that conflicts with this root by its name. It
// returns nil if it is none of the log, or no other than what is here.
func (l *Log) judgeObject(ctx context.Context, key bucket.SegmentKey, bytes int64, found conflict, since uint64) error {
	source := &coldSource{folder: l.folder, key: key.String()}
	object, err := tier.OpenObject(ctx, source, bytes, 0, tier.Identity{LogID: l.id, SegmentID: key.ID})
	switch {
	case err != nil && !isBadCopy(err):
		return err
	case err != nil && found == sameSpan:
		return nil // its upload comes across it
	case err != nil:
		return fmt.Errorf("%w: %s has sequences %d to %d, if its name says so, and does not open: %w", errOtherRecords, key, key.First, key.Last, err)
	}
	footer := object.Footer()
	if footer.Epoch < since {
		l.engine.opts.Logger.Warn("object_superseded", "group", "aof2.tier2", "log", l.name, "key", key.String(), "epoch", footer.Epoch)
		return nil
	}
	switch found {
	case behind:
		return fmt.Errorf("%w: %s of epoch %d has sequences %d to %d; this root ends with %d",
			errRecordsBehind, key, footer.Epoch, key.First, key.Last, l.appended.Load())
	case sameSpan:
		same, err := l.holdsSame(ctx, object, l.journal.state().Segment(key.ID))
		if err != nil || same {
			return err
		}
	}
	return fmt.Errorf("%w: %s of epoch %d has sequences %d to %d; this root ends with %d and has other segments there",
		errOtherRecords, key, footer.Epoch, key.First, key.Last, l.appended.Load())
}

// holdsSame reports whether an object holds the segment that this root has there,
// or another one with the same records: a copy of a root that was running may have
// sealed it without the last marks.
func (l *Log) holdsSame(ctx context.Context, object *tier.Object, entry *manifest.Segment) (bool, error) {
	footer := object.Footer()
	if tier.SameSegment(&footer, entryFooter(l.id, entry)) {
		return true, nil
	}
	reader, err := l.NewReader(ReadOptions{FromSeq: entry.FirstSeq, ToSeq: entry.LastSeq})
	if err != nil {
		return false, err
	}
	same, err := compareRecords(ctx, object, func() (*segment.Record, error) {
		rec, err := reader.Next(ctx)
		return &segment.Record{
			Seq: rec.Seq, Timestamp: rec.Timestamp, ExtID: rec.ExtID, Subject: rec.Subject, Headers: rec.Headers, Payload: rec.Payload,
		}, err
	})
	if isBadCopy(err) {
		same, err = false, nil // what cannot be read cannot be the same
	}
	return same, joinClose(err, reader.Close())
}

// holdAppends refuses appends if the log still ends where it did when the bucket
// was found to go on: the next sequence would be given out a second time.
func (l *Log) holdAppends(end uint64, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.appended.Load() == end && l.mu.appendStop == nil {
		l.mu.appendStop = fmt.Errorf("%w: log %s: open it again, which takes over what the bucket has: %w", ErrNextSeqUnknown, l.name, cause)
	}
}
