package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file reads copies again that were found bad, where no other copy of their
// segment is good. One that verifies counts again; one that does not stays where
// it is, for what can still be read of it.

// moveVerify is the coordinator's own move: the planner does not know it.
const moveVerify = planner.KindsReserved

// verifyWaitMax bounds how long a copy that did not verify is left alone.
const verifyWaitMax = 24 * time.Hour

// verifyWait is how long after the attempt-th failure in a row a copy is read
// again: reading one that is damaged for good costs a whole object.
func verifyWait(attempt int) time.Duration {
	return min(time.Minute<<min(attempt, 16), verifyWaitMax)
}

// isDoubtful reports whether a segment has copies and none that is believed to be
// good.
func isDoubtful(s *segmentFile, entry *manifest.Segment) bool {
	kept := entry.Resident
	if entry.ColdDeleteQueued {
		kept = kept.Without(manifest.TierCold)
	}
	return kept != 0 && trusted(s, entry) == 0
}

// verify reads the copies of a segment that are in doubt.
func (l *Log) verify(ctx context.Context, id uint64) error {
	s, entry := l.segmentByID(id), l.journal.state().Segment(id)
	if s == nil || entry == nil || !isDoubtful(s, entry) {
		return nil
	}
	var failures []error
	verified := false
	for _, t := range []manifest.Tier{manifest.TierHot, manifest.TierWarm, manifest.TierCold} {
		if !entry.Resident.Has(t) || t == manifest.TierCold && l.folder == nil {
			continue
		}
		bytes, err := l.verifyCopy(ctx, s, entry, t)
		if err == nil {
			err = l.countAgain(s, entry, t, bytes)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s copy: %w", t, err))
		}
		verified = verified || err == nil
	}
	if verified {
		l.publishCold()
		return nil
	}
	err := errors.Join(failures...)
	if err != nil && isBadCopy(err) {
		s.doubt.confirm(err)
		l.wakeColdWaiters()
	}
	if err != nil {
		err = fmt.Errorf("verify segment %d, of which no copy is known to be good: %w", id, err)
	}
	return err
}

// verifyCopy reads what of a copy is in doubt: all of it if the manifest does not
// count on it. It returns how much it read, about.
func (l *Log) verifyCopy(ctx context.Context, s *segmentFile, entry *manifest.Segment, t manifest.Tier) (uint64, error) {
	if t == manifest.TierHot {
		return l.verifyHot(s, entry)
	}
	l.engine.objects.drop(l.objectKey(entry, t))
	source, objectBytes, tailBytes := l.objectSource(entry, t)
	object, err := tier.OpenObject(ctx, source, objectBytes, tailBytes, l.identity(entry))
	if err != nil {
		return 0, err
	}
	if err := checkFooter(object, entry); err != nil {
		return 0, err
	}
	if entry.Quarantined.Has(t) {
		return uint64(objectBytes), object.WriteSegment(ctx, io.Discard)
	}
	frames, _ := s.doubt.framesOf(t)
	for _, number := range frames {
		if _, err := object.ReadFrame(ctx, number); err != nil {
			return 0, err
		}
	}
	return uint64(tailBytes), nil
}

// checkFooter makes sure that an object is of the segment as it was sealed.
func checkFooter(object *tier.Object, entry *manifest.Segment) error {
	if footer := object.Footer(); footer.SegmentCRC64 != entry.SegmentCRC64 {
		return fmt.Errorf("%w: its footer has the CRC-64 %016x, the manifest %016x", ErrDamaged, footer.SegmentCRC64, entry.SegmentCRC64)
	}
	return nil
}

// verifyHot compares a segment file with what the manifest recorded when it was
// sealed.
func (l *Log) verifyHot(s *segmentFile, entry *manifest.Segment) (uint64, error) {
	contents, err := l.readWhole(s)
	if err != nil {
		return 0, err
	}
	at := int64(len(contents)) - segment.FooterBytes
	if at < int64(entry.IndexOffset) {
		return 0, fmt.Errorf("%w: %s ends before its footer does", ErrDamaged, s.path)
	}
	footer, err := segment.DecodeFooter(contents[at:])
	if err == nil {
		_, err = footer.Index(contents[entry.IndexOffset:at])
	}
	if err == nil && segment.CRC64(contents[:entry.IndexOffset]) != entry.SegmentCRC64 {
		err = errors.New("the CRC-64 of header and records is not the one that was recorded")
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrDamaged, s.path, err)
	}
	return uint64(len(contents)), nil
}

// countAgain makes a copy that verifies one that counts.
func (l *Log) countAgain(s *segmentFile, entry *manifest.Segment, t manifest.Tier, bytes uint64) error {
	if entry.Quarantined.Has(t) {
		record := manifest.Record{SegmentID: s.id(), Payload: &manifest.SegmentVerified{Tier: t, BytesRead: bytes}}
		if err := l.noteMove(record); err != nil {
			return err
		}
	}
	s.doubt.trust(t)
	l.engine.opts.Logger.Info("copy_verified", "group", "aof2.tiered", "log", l.name, "segment", s.id(), "tier", t.String())
	l.emit(Event{Kind: EventSegmentVerified, Segment: s.id(), FirstSeq: entry.FirstSeq, LastSeq: entry.LastSeq, Bytes: int64(bytes), Tier: t.String()})
	return nil
}

// wakeColdWaiters lets those who wait for the cold level look again.
func (l *Log) wakeColdWaiters() {
	l.mu.Lock()
	follow := l.takeFollowLocked(Cold)
	l.mu.Unlock()
	closeAll(follow)
}

// coldBlocked is why the cold watermark does not go on, nil if it may: the next
// segment has no good copy that could become cold.
func (l *Log) coldBlocked() error {
	s := l.segmentFor(l.cold.Load() + 1)
	if s == nil {
		return nil
	}
	var cause error
	switch {
	case s.lost != "":
		cause = l.lossOf(s, s.baseSeq())
	default:
		cause = s.doubt.confirmed()
	}
	if cause == nil {
		return nil
	}
	return fmt.Errorf("%w: log %s: nothing from sequence %d on becomes cold: segment %d has no copy that verifies and is not moved: %w",
		ErrDamaged, l.name, s.baseSeq(), s.id(), cause)
}
