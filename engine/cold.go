package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// deleteGrace is how long an object that is not needed any more stays.
const deleteGrace = 24 * time.Hour

// bucketPatience is how long one upload may take, claims and retries included,
// until the bucket counts as silent: a connection that hangs must not hold its
// segment for ever. 2 GiB go through in that time at 2 MB/s.
const bucketPatience = 20 * time.Minute

// coldSource reads an object of the log's folder.
type coldSource struct {
	folder *bucket.Folder
	key    string
}

// ReadRange implements tier.RangeReader.
func (c *coldSource) ReadRange(ctx context.Context, offset, length int64) ([]byte, error) {
	b, err := c.folder.ReadRange(ctx, c.key, offset, length)
	if errors.Is(err, bucket.ErrShort) {
		err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return b, err
}

func isColdMissing(err error) bool { return errors.Is(err, bucket.ErrMissing) }

// claimEpoch makes this owner's epoch known in the bucket, once, before its
// first PUT, and returns it. The error matches bucket.ErrFenced if a newer owner
// has claimed one: nothing of this log is uploaded any more.
func (l *Log) claimEpoch(ctx context.Context) (uint64, error) {
	l.claiming.Lock()
	defer l.claiming.Unlock()
	if claimed := l.claiming.epoch.Load(); claimed > 0 {
		return claimed, nil
	}
	epoch, err := l.takeEpoch()
	if err != nil {
		return 0, err
	}
	if records := l.journal.ownerRecords(epoch); records != nil {
		if err := l.noteMove(records...); err != nil {
			return 0, err
		}
	}
	if err := l.claimUpTo(ctx, epoch); err != nil {
		return 0, fmt.Errorf("claim epoch %d: %w", epoch, err)
	}
	if err := l.putIdentity(ctx); err != nil {
		return 0, err
	}
	l.claiming.epoch.Store(epoch)
	return epoch, nil
}

// takeEpoch returns this owner's epoch and takes it if nothing was appended yet.
func (l *Log) takeEpoch() (uint64, error) {
	epoch, retired, err := l.takeEpochNow()
	if retired {
		l.keeper.poke() // nothing is written that would have it sealed
	}
	return epoch, err
}

// takeEpochNow takes the epoch with a mark, or, where that does not fit, by ending
// the segment, and reports that.
func (l *Log) takeEpochNow() (epoch uint64, retired bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usableLocked(); err != nil {
		return 0, false, err // a mark would not be written any more
	}
	if l.mu.epochTaken {
		return l.mu.epoch, false, nil
	}
	s := l.mu.tail
	if s != nil && s.tail.fits(segment.EpochMarkBytes) {
		l.takeEpochLocked(s)
		l.signalLocked()
		return l.mu.epoch, false, nil
	}
	l.retireTailLocked()
	l.mu.epoch++
	l.mu.epochTaken = true
	return l.mu.epoch, s != nil, nil
}

// putIdentity stores what log this folder is of, for who has nothing else.
func (l *Log) putIdentity(ctx context.Context) error {
	body, err := json.MarshalIndent(l.fixed, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", bucket.LogKey, err)
	}
	_, err = l.folder.Put(ctx, bucket.LogKey, func(w io.Writer) error {
		_, err := w.Write(append(body, '\n'))
		return err
	})
	if err != nil && !errors.Is(err, bucket.ErrExists) {
		return fmt.Errorf("put %s: %w", bucket.LogKey, err)
	}
	return nil
}

// publishCold moves the cold watermark behind the segments that are cold without
// a gap.
func (l *Log) publishCold() {
	state := l.journal.state()
	l.mu.Lock()
	before := l.cold.Load()
	cold := before
	list := *l.segments.Load()
	known := sort.Search(len(list), func(i int) bool { return list[i].baseSeq() > before })
	for _, s := range list[max(0, known-1):] {
		entry := state.Segment(s.id())
		if entry != nil && entry.Sealed && entry.LastSeq < entry.BaseSeq {
			continue // a crash left it without a sequence: there is nothing to be cold
		}
		if entry == nil || !entry.Sealed || !entry.GoodCopies().Has(manifest.TierCold) {
			break
		}
		cold = max(cold, entry.LastSeq)
	}
	l.cold.Store(cold)
	follow := l.takeFollowLocked(Cold)
	l.mu.Unlock()
	closeAll(follow)
}

// reasonOf is an error as the manifest records it.
func reasonOf(err error) manifest.Reason {
	switch {
	case errors.Is(err, errBucketSilent), errors.Is(err, errOtherBucket):
		return manifest.ReasonUnavailable
	case errors.Is(err, bucket.ErrFenced):
		return manifest.ReasonFenced
	case errors.Is(err, errOtherObject), errors.Is(err, errLateObject), errors.Is(err, errOtherRecords), errors.Is(err, errRecordsBehind):
		return manifest.ReasonChecksum
	case errors.Is(err, tier.ErrCorrupt), errors.Is(err, tier.ErrIdentity):
		return manifest.ReasonCodec
	case isNoSpace(err):
		return manifest.ReasonNoSpace
	case errors.Is(err, context.Canceled):
		return manifest.ReasonCancelled
	}
	switch bucket.KindOf(err) {
	case bucket.KindUnavailable, bucket.KindThrottled:
		return manifest.ReasonUnavailable
	case bucket.KindAuth:
		return manifest.ReasonAuthentication
	case bucket.KindMissing:
		return manifest.ReasonObjectMissing
	case bucket.KindNoSpace:
		return manifest.ReasonNoSpace
	case bucket.KindCancelled:
		return manifest.ReasonCancelled
	}
	return manifest.ReasonTransient
}
