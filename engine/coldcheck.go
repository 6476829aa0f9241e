package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file asks the bucket for an object before a local copy is dropped because
// of it: what the manifest says of a bucket was true when it was recorded, and
// somebody may have emptied the bucket since.

// checkCold makes sure that the cold copy of a segment is still there. One that
// is missing, or is another object, counts no more.
func (l *Log) checkCold(moving context.Context, s *segmentFile) error {
	if l.folder == nil {
		return fmt.Errorf("%w: only the bucket can say whether the cold copy is there, and there is none", ErrUnsupported)
	}
	ctx, cancel := context.WithTimeoutCause(moving, l.engine.opts.bucketPatience, errBucketSilent)
	defer cancel()
	entry := l.entryOf(s)
	err := l.compareCold(ctx, entry)
	if isBadCopy(err) {
		err = l.blameBucket(ctx, err)
	}
	if err != nil && errors.Is(context.Cause(ctx), errBucketSilent) {
		err = fmt.Errorf("%w within %s: %w", errBucketSilent, l.engine.opts.bucketPatience, err)
	}
	l.engine.coordinator.noteAsked(err)
	if err == nil {
		return nil
	}
	l.noteBadCopy(s, manifest.TierCold, err)
	return fmt.Errorf("look for the cold copy %s: %w", entry.Cold.Key, err)
}

// compareCold compares an object with what was recorded of it. A store that was
// copied or mounted anew may have given it another ETag: then its bytes decide.
func (l *Log) compareCold(ctx context.Context, entry *manifest.Segment) error {
	found, err := l.folder.Attributes(ctx, entry.Cold.Key)
	if err != nil {
		return err
	}
	if uint64(found.Bytes) != entry.Cold.ObjectBytes {
		return fmt.Errorf("%w: the object has %d bytes, the one that was uploaded had %d", ErrDamaged, found.Bytes, entry.Cold.ObjectBytes)
	}
	if entry.Cold.ETag == "" || found.ETag == entry.Cold.ETag {
		return nil
	}
	source, objectBytes, tailBytes := l.objectSource(entry, manifest.TierCold)
	object, err := tier.OpenObject(ctx, source, objectBytes, tailBytes, l.identity(entry))
	if err != nil {
		return err
	}
	if err := checkFooter(object, entry); err != nil {
		return err
	}
	return object.WriteSegment(ctx, io.Discard)
}

// blameBucket is what a bad object comes from: the error that is given, or that the
// bucket is not the one that it was put in, which says nothing about the object.
func (l *Log) blameBucket(ctx context.Context, cause error) error {
	known, err := l.readClaims()
	if err == nil {
		err = l.checkOwnBucket(ctx, known)
	}
	if err != nil {
		return err
	}
	return cause
}

// noteAsked notes whether the bucket answered before an eviction. While it does
// not, those that have to ask wait as uploads do.
func (c *coordinator) noteAsked(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil || isBadCopy(err):
		c.mu.unasked.end()
	case isOutage(err):
		c.mu.unasked.begin(c.engine.opts.Now(), err, c.engine.uniform)
	}
}
