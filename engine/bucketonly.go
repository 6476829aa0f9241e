package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/exactjson"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file opens logs of which there is nothing but a bucket: a listing names
// the objects, and their footers say what is in them.

// footersAtOnce is how many objects are opened at the same time.
const footersAtOnce = 16

// openBucketOnly opens a bucket as a root that is only cold.
func openBucketOnly(url string, opts Options) (*Engine, error) {
	opts.Bucket = url
	opts.ensureDefaults()
	e := newEngine(url, opts)
	e.readOnly, e.bucketOnly = true, true
	if err := e.openBucket(); err != nil {
		return nil, err
	}
	return e, nil
}

// readBucketIdentity reads what was stored of a log in its folder.
func (e *Engine) readBucketIdentity(ctx context.Context, folder string) (identity logFile, err error) {
	name, id, _ := bucket.ParseFolder(folder)
	identity = logFile{FormatVersion: rootFormatVersion, Name: name, LogID: fmt.Sprintf("%016x", id), BucketFolder: folder}
	opened, err := e.bucket.Log(folder)
	if err != nil {
		return identity, err
	}
	body, err := opened.ReadAll(ctx, bucket.LogKey, jsonBytesMax)
	if errors.Is(err, bucket.ErrMissing) {
		return identity, nil // the folder's name says enough
	}
	if err != nil {
		return identity, err
	}
	var stored logFile
	if err := exactjson.Unmarshal(body, &stored); err != nil || stored.LogID != identity.LogID {
		e.opts.Logger.Error("bucket_identity_damaged", "group", "aof2.tier2", "log", name, "key", folder+"/"+bucket.LogKey, "error", err)
		return identity, nil // it says no more than the folder's name, and every footer has the id
	}
	if stored.FormatVersion > rootFormatVersion {
		return identity, fmt.Errorf("%w: %s/%s", ErrNewerFormat, folder, bucket.LogKey)
	}
	stored.BucketFolder = folder
	return stored, nil
}

// refreshFromBucket lists the log's objects and takes over those that are new.
func (l *Log) refreshFromBucket(ctx context.Context) error {
	keys, err := l.listObjects(ctx)
	if err != nil {
		return err
	}
	state := l.stateFor(keys)
	var fresh []listedObject
	for _, listed := range keys {
		if entry := state.Segment(listed.ID); entry == nil || entry.Cold.Key != listed.String() {
			fresh = append(fresh, listed)
		}
	}
	if err := l.readFooters(ctx, fresh); err != nil {
		return err
	}
	if err := l.salvageListed(ctx, fresh); err != nil {
		return err
	}
	for i := range fresh {
		if fresh[i].object == nil {
			continue // reported when somebody reads there
		}
		next, err := applyObject(state, &fresh[i])
		if err != nil { // it costs its own sequences and no others
			l.engine.opts.Logger.Error("object_not_adopted", "group", "aof2.tier2", "log", l.name, "key", fresh[i].String(), "error", err)
			continue
		}
		state = next
		if s := l.segmentByID(fresh[i].ID); s != nil {
			s.doubt.trust(manifest.TierCold) // a new generation replaces the one that was found damaged
		}
	}
	l.journal.published.Store(state)
	l.publishList(l.coldSegments(keys))
	l.publishCold()
	return nil
}

// listedObject is an object of a segment: its key, and what its footer says.
type listedObject struct {
	bucket.SegmentKey
	bytes  int64
	object *tier.Object // nil if it does not open
	err    error
}

// listObjects returns the object of each segment that counts, in order.
func (l *Log) listObjects(ctx context.Context) ([]listedObject, error) {
	objects, err := l.listGenerations(ctx)
	return slices.CompactFunc(objects, func(a, b listedObject) bool { return a.ID == b.ID }), err
}

// listGenerations returns the objects of segments that are part of the log, by id,
// for each segment the one that counts first.
func (l *Log) listGenerations(ctx context.Context) (objects []listedObject, err error) {
	for listed, err := range l.folder.List(ctx, bucket.SegmentsPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list objects: %w", err)
		}
		key, ok := bucket.ParseSegmentKey(listed.Key)
		if !ok || key.Dictionary {
			continue
		}
		objects = append(objects, listedObject{SegmentKey: key, bytes: listed.Bytes})
	}
	return l.dropSuperseded(ctx, objects)
}

// readFooters opens objects that are not open, several at a time. One that is
// damaged stays closed; an error is that of the bucket.
func (l *Log) readFooters(ctx context.Context, objects []listedObject) error {
	var group sync.WaitGroup
	atOnce := footersAtOnce
	if l.engine.opts.manual {
		atOnce = 1 // in order
	}
	slots := make(chan struct{}, atOnce)
	for i := range objects {
		if objects[i].object != nil {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			listed := &objects[i]
			source := &coldSource{folder: l.folder, key: listed.String()}
			listed.object, listed.err = tier.OpenObject(ctx, source, listed.bytes, 0, tier.Identity{LogID: l.id, SegmentID: listed.ID})
		})
	}
	group.Wait()
	for i := range objects {
		if err := objects[i].err; err != nil && !isBadCopy(err) {
			return fmt.Errorf("open %s: %w", objects[i].SegmentKey, err)
		}
	}
	return nil
}

// salvageListed opens those that are damaged for what can be read of them.
func (l *Log) salvageListed(ctx context.Context, objects []listedObject) error {
	for i := range objects {
		listed := &objects[i]
		if !tier.Salvageable(listed.err) {
			continue
		}
		object, err := tier.SalvageObject(ctx, &coldSource{folder: l.folder, key: listed.String()}, listed.bytes, listed.footer(l.id))
		if err != nil && !isBadCopy(err) {
			return fmt.Errorf("open %s: %w", listed.SegmentKey, err)
		}
		listed.object = object
	}
	return nil
}

// footer is what an object's key says of its segment.
func (o *listedObject) footer(logID uint64) segment.Footer {
	return segment.Footer{LogID: logID, ID: o.ID, BaseSeq: o.First, FirstSeq: o.First, LastSeq: o.Last, Flags: segment.FooterSealed}
}

// applyObject is the state with a segment more that only the bucket holds.
func applyObject(state *manifest.State, listed *listedObject) (*manifest.State, error) {
	footer, key, tailBytes := listed.object.Footer(), listed.String(), uint32(listed.object.TailBytes())
	if listed.object.Salvaged() {
		tailBytes = 0 // it has none that could be read at once
	}
	opened := openedRecord(segment.Header{ID: footer.ID, BaseSeq: footer.BaseSeq, Epoch: footer.Epoch, Salt: footer.Salt})
	for _, record := range []manifest.Record{
		opened, sealedRecord(&footer),
		{SegmentID: footer.ID, Payload: &manifest.UploadStarted{Key: key, Generation: listed.Generation}},
		{SegmentID: footer.ID, Payload: &manifest.UploadDone{
			Key: key, ObjectBytes: uint64(listed.bytes), TailBytes: tailBytes,
		}},
		{SegmentID: footer.ID, Payload: &manifest.LocalEvicted{Tier: manifest.TierHot}},
	} {
		var err error
		if state, err = state.Apply(record); err != nil {
			return state, err
		}
	}
	return state, nil
}

// coldSegments is the list of segments that the objects make. Of one that does
// not open, its key says which sequences are lost.
func (l *Log) coldSegments(keys []listedObject) []*segmentFile {
	known := make(map[uint64]*segmentFile)
	for _, s := range *l.segments.Load() {
		known[s.id()] = s
	}
	state := l.journal.state()
	list := make([]*segmentFile, 0, len(keys))
	for i := range keys {
		listed := &keys[i]
		entry := state.Segment(listed.ID)
		s := known[listed.ID]
		if s == nil || entry != nil && !s.isOf(entry) {
			s = l.coldSegment(listed, entry)
		}
		list = append(list, s)
	}
	return list
}

// isOf reports whether a segment of a bucket is the one that its entry describes.
func (s *segmentFile) isOf(entry *manifest.Segment) bool {
	sealed := s.seal.Load()
	return sealed != nil && s.header.Salt == entry.Salt && s.baseSeq() == entry.BaseSeq &&
		s.lastSeq.Load() == entry.LastSeq && sealed.SegmentCRC64 == entry.SegmentCRC64
}

func (l *Log) coldSegment(listed *listedObject, entry *manifest.Segment) *segmentFile {
	s := &segmentFile{fs: l.engine.opts.FS, path: l.folder.Name() + "/" + listed.String()}
	s.mapped.evicted = true
	if entry == nil {
		s.header = segment.Header{LogID: l.id, ID: listed.ID, BaseSeq: listed.First}
		s.lost = lostObject
		s.lastSeq.Store(listed.Last)
		return s
	}
	s.header = entryHeader(l.id, entry)
	s.noteSealed(entryFooter(l.id, entry))
	return s
}
