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
		return l.uploadFailed(ctx, entry, "", attempt, err)
	}
	intent, err := l.uploadIntent(entry)
	if err != nil {
		return err
	}
	done, err := l.putObject(ctx, entry, intent.Key)
	if err == nil {
		err = l.folder.Superseded(ctx, epoch)
	}
	if err != nil {
		return l.uploadFailed(ctx, entry, intent.Key, attempt, err)
	}
	records := []manifest.Record{{SegmentID: id, Payload: done}}
	if old := entry.Cold.Key; entry.Resident.Has(manifest.TierCold) && old != intent.Key {
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
	for open := range l.journal.state().Uploads() {
		if open.SegmentID == entry.ID {
			return open, nil
		}
	}
	key := bucket.SegmentKey{ID: entry.ID, First: entry.FirstSeq, Last: entry.LastSeq, Generation: entry.NextGeneration}.String()
	started := &manifest.UploadStarted{Key: key, Generation: entry.NextGeneration}
	if err := l.noteMove(manifest.Record{SegmentID: entry.ID, Payload: started}); err != nil {
		return nil, err
	}
	return l.journal.state().Upload(key), nil
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
		return fmt.Errorf("read warm file: %w", err)
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

// adoptObject takes over an object that an earlier try put: its compressed bytes
// may differ, the segment in it may not.
func (l *Log) adoptObject(ctx context.Context, entry *manifest.Segment, key string) (*manifest.UploadDone, error) {
	attributes, err := l.folder.Attributes(ctx, key)
	if err != nil {
		return nil, err
	}
	object, err := tier.OpenObject(ctx, &coldSource{folder: l.folder, key: key}, attributes.Bytes, 0, l.identity(entry))
	if err == nil {
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
	footer := object.Footer()
	if footer.FirstSeq != entry.FirstSeq || footer.LastSeq != entry.LastSeq || footer.SegmentCRC64 != entry.SegmentCRC64 {
		return nil, fmt.Errorf("%w: %s holds sequences %d to %d with CRC-64 %016x", errOtherObject, key, footer.FirstSeq, footer.LastSeq, footer.SegmentCRC64)
	}
	return &manifest.UploadDone{
		Key: key, ETag: attributes.ETag, ObjectBytes: uint64(attributes.Bytes), TailBytes: uint32(object.TailBytes()),
	}, nil
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
		failed := &manifest.UploadFailed{Key: key, Reason: reason, Attempt: uint16(min(attempt, 1<<16-1))}
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
