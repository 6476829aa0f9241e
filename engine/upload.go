package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// upload makes the cold copy of a segment that has a warm one: UploadStarted
// with the key, PUT, a look whether this owner is still the owner, UploadDone.
func (l *Log) upload(moving context.Context, id uint64, attempt int) error {
	ctx, cancel := context.WithTimeoutCause(moving, l.engine.opts.bucketPatience, errBucketSilent)
	defer cancel()
	entry := l.journal.state().Segment(id)
	epoch, err := l.claimEpoch(ctx)
	if err != nil {
		return l.uploadFailed(ctx, entry, l.keyGivenUp(id, err), attempt, err)
	}
	intent, err := l.uploadIntent(entry)
	if err != nil {
		return err
	}
	key, done, err := l.putSegment(ctx, entry, intent, attempt)
	if err == nil {
		err = l.folder.Superseded(ctx, epoch)
	}
	if err != nil {
		return l.uploadFailed(ctx, entry, key, attempt, err)
	}
	records := []manifest.Record{{SegmentID: id, Payload: done}}
	if old := entry.Cold.Key; entry.Resident.Has(manifest.TierCold) && old != key {
		records = append(records, l.deleteRecord(entry, old))
	}
	if err := l.noteMove(records...); err != nil {
		return err
	}
	l.segmentByID(id).doubt.trust(manifest.TierCold)
	l.publishCold()
	l.emit(Event{
		Kind: EventSegmentUploaded, Segment: id, FirstSeq: entry.FirstSeq, LastSeq: entry.LastSeq, Bytes: int64(done.ObjectBytes),
	})
	return nil
}

// uploadIntent is the open intent to upload a segment, which may have been put
// already, or a new one.
func (l *Log) uploadIntent(entry *manifest.Segment) (*manifest.Upload, error) {
	if open := l.openIntent(entry.ID); open != nil {
		return open, nil
	}
	return l.announce(entry, entry.NextGeneration)
}

// putSegment puts a segment under the key of its intent, or under the next one
// that no overtaken owner has used, and returns the key.
func (l *Log) putSegment(ctx context.Context, entry *manifest.Segment, intent *manifest.Upload, attempt int) (key string, done *manifest.UploadDone, err error) {
	for {
		done, err = l.putObject(ctx, entry, intent.Key)
		if !errors.Is(err, errLateObject) {
			return intent.Key, done, err
		}
		l.engine.opts.Logger.Warn("object_superseded", "group", "aof2.tier2", "log", l.name, "key", intent.Key, "reason", err)
		failed := &manifest.UploadFailed{Key: intent.Key, Reason: reasonOf(err), Attempt: attemptCount(attempt)}
		next, nextErr := l.announce(entry, intent.Generation+1, manifest.Record{SegmentID: entry.ID, Payload: failed})
		if nextErr != nil {
			return intent.Key, nil, errors.Join(err, nextErr)
		}
		intent = next
	}
}

// openIntent is the intent to upload a segment that was announced last, if it is
// still open: its object may be there. Earlier ones that are open were given up,
// because their keys have objects of somebody else.
func (l *Log) openIntent(id uint64) *manifest.Upload {
	state := l.journal.state()
	entry := state.Segment(id)
	for open := range state.Uploads() {
		if open.SegmentID == id && open.Generation+1 == entry.NextGeneration {
			return open
		}
	}
	return nil
}

// announce records the intent to upload a segment, behind other records.
func (l *Log) announce(entry *manifest.Segment, generation uint32, before ...manifest.Record) (*manifest.Upload, error) {
	key := bucket.SegmentKey{ID: entry.ID, First: entry.FirstSeq, Last: entry.LastSeq, Generation: generation}.String()
	started := manifest.Record{SegmentID: entry.ID, Payload: &manifest.UploadStarted{Key: key, Generation: generation}}
	if err := l.noteMove(append(before, started)...); err != nil {
		return nil, err
	}
	return l.journal.state().Upload(key), nil
}

// keyGivenUp is the key of an intent that was open when this root found itself
// overtaken, "" if there is none or the failure may pass.
func (l *Log) keyGivenUp(id uint64, cause error) string {
	if open := l.openIntent(id); open != nil && stopsUploads(cause) {
		return open.Key
	}
	return ""
}

// putObject creates the object, or adopts the one that is there.
func (l *Log) putObject(ctx context.Context, entry *manifest.Segment, key string) (*manifest.UploadDone, error) {
	attributes, err := l.folder.Put(ctx, key, func(w io.Writer) error { return l.copyWarm(ctx, entry, w) })
	if err == nil {
		return &manifest.UploadDone{
			Key: key, ETag: attributes.ETag, ObjectBytes: uint64(attributes.Bytes), TailBytes: entry.Warm.TailBytes,
		}, nil
	}
	if !errors.Is(err, bucket.ErrExists) {
		return nil, err
	}
	return l.adoptObject(ctx, entry, key)
}

// copyWarm writes the warm file to w and checks that it is what was verified
// when it was made.
func (l *Log) copyWarm(ctx context.Context, entry *manifest.Segment, w io.Writer) (err error) {
	file, err := l.engine.opts.FS.Open(l.paths.warmFile(entry))
	if err != nil {
		return sourceError(manifest.TierWarm, fmt.Errorf("open warm file: %w", err))
	}
	defer func() { err = joinClose(err, file.Close()) }()
	sum, err := copyAndSum(ctx, w, file, int64(entry.Warm.ObjectBytes))
	if err != nil {
		err = fmt.Errorf("read warm file: %w", err)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = sourceError(manifest.TierWarm, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		return err
	}
	if sum != entry.Warm.CRC64 {
		return sourceError(manifest.TierWarm, &tier.CorruptError{
			Where: "warm file", Frame: -1, FirstSeq: entry.FirstSeq, LastSeq: entry.LastSeq,
			Err: fmt.Errorf("CRC-64 is %016x, it was %016x when the file was made", sum, entry.Warm.CRC64),
		})
	}
	return nil
}

// errOtherObject says that a key has an object of something else: this log's
// uploads stop until somebody looks.
var errOtherObject = errors.New("engine: the bucket has another object at this segment's key")

// errLateObject says that a key has the object of an owner that this one has
// overtaken: the next generation is used.
var errLateObject = errors.New("engine: an owner that was overtaken has put its object at this segment's key")

// adoptObject takes over an object that an earlier try put: its compressed bytes
// may differ, the segment in it may not.
func (l *Log) adoptObject(ctx context.Context, entry *manifest.Segment, key string) (*manifest.UploadDone, error) {
	attributes, err := l.folder.Attributes(ctx, key)
	if err != nil {
		return nil, err
	}
	identity := tier.Identity{LogID: l.id, SegmentID: entry.ID}
	object, err := tier.OpenObject(ctx, &coldSource{folder: l.folder, key: key}, attributes.Bytes, 0, identity)
	if err == nil {
		if err := l.isSameSegment(ctx, object, entry, key); err != nil {
			return nil, err
		}
		err = object.WriteSegment(ctx, io.Discard)
	}
	if errors.Is(err, tier.ErrCorrupt) {
		return nil, l.abandonKey(entry, key, err)
	}
	if errors.Is(err, tier.ErrIdentity) {
		return nil, fmt.Errorf("%w: %s: %w", errOtherObject, key, err)
	}
	if err != nil {
		return nil, err
	}
	return &manifest.UploadDone{
		Key: key, ETag: attributes.ETag, ObjectBytes: uint64(attributes.Bytes), TailBytes: uint32(object.TailBytes()),
	}, nil
}

// isSameSegment makes sure that an object holds the segment of its key. Another one
// may have come too late, from an owner that this one had overtaken; one of a higher
// epoch says that this owner was.
func (l *Log) isSameSegment(ctx context.Context, object *tier.Object, entry *manifest.Segment, key string) error {
	footer := object.Footer()
	if tier.SameSegment(&footer, entryFooter(l.id, entry)) {
		return nil
	}
	cause, claimed := errOtherObject, l.claiming.epoch.Load()
	if footer.Epoch > claimed {
		if err := l.folder.Superseded(ctx, claimed); err != nil {
			return err
		}
	} else if l.claiming.overtook && footer.FirstSeq == entry.FirstSeq && footer.LastSeq == entry.LastSeq {
		late, err := l.isLate(ctx, object, entry)
		if err != nil {
			return err
		}
		if late {
			cause = errLateObject
		}
	}
	return fmt.Errorf("%w: %s of epoch %d holds sequences %d to %d with CRC-64 %016x and salt %016x",
		cause, key, footer.Epoch, footer.FirstSeq, footer.LastSeq, footer.SegmentCRC64, footer.Salt)
}

// isLate reports whether an object of another segment may be passed over. It came
// behind this owner's claim, which looked for such, so that nobody has counted it as
// cold; and of both, readers that have only the bucket take the segment that is here,
// because its epoch is higher, or find the same records.
func (l *Log) isLate(ctx context.Context, object *tier.Object, entry *manifest.Segment) (bool, error) {
	source, objectBytes, tailBytes := l.objectSource(entry, manifest.TierWarm)
	warm, err := tier.OpenObject(ctx, source, objectBytes, tailBytes, l.identity(entry))
	if err != nil {
		return false, sourceError(manifest.TierWarm, err)
	}
	theirs, own := object.Footer(), warm.Footer()
	if theirs.Epoch < own.Epoch {
		return true, nil
	}
	return l.holdsSame(ctx, object, entry)
}

// abandonKey gives up a key whose object is damaged: the next try takes the next
// generation.
func (l *Log) abandonKey(entry *manifest.Segment, key string, cause error) error {
	if err := l.noteMove(l.deleteRecord(entry, key)); err != nil {
		return errors.Join(cause, err)
	}
	return fmt.Errorf("object %s is damaged and will be put again under the next generation: %w", key, cause)
}

// deleteRecord queues an object of a segment that no copy of it is any more.
func (l *Log) deleteRecord(entry *manifest.Segment, key string) manifest.Record {
	notBefore := l.engine.opts.Now().Add(deleteGrace).UnixNano()
	return manifest.Record{SegmentID: entry.ID, Payload: &manifest.Tier2DeleteQueued{Key: key, NotBeforeNs: notBefore}}
}

// uploadFailed notes a failure and what follows from it. key is empty if the
// upload did not come as far as its intent.
func (l *Log) uploadFailed(ctx context.Context, entry *manifest.Segment, key string, attempt int, cause error) error {
	if errors.Is(context.Cause(ctx), errBucketSilent) {
		cause = fmt.Errorf("%w within %s: %w", errBucketSilent, l.engine.opts.bucketPatience, cause)
	} else if errors.Is(cause, context.Canceled) {
		return cause // begun again when the log is opened
	}
	reason := reasonOf(cause)
	if l.journal.state().Upload(key) != nil {
		failed := &manifest.UploadFailed{Key: key, Reason: reason, Attempt: attemptCount(attempt)}
		if err := l.noteMove(manifest.Record{SegmentID: entry.ID, Payload: failed}); err != nil {
			return errors.Join(cause, err)
		}
	}
	l.noteBadSource(l.segmentByID(entry.ID), cause)
	failure := fmt.Errorf("upload segment %d: %w", entry.ID, cause)
	if stopsUploads(cause) {
		failure = l.stopUploads(failure)
	}
	l.emit(Event{Kind: EventSegmentUploadFailed, Segment: entry.ID, Reason: reason, Err: failure})
	return failure
}
