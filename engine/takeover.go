package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file lets a root that may be an older state of its log, such as one that
// was restored from a copy, go on behind what its bucket has. That is done while
// the log is opened, before anything is appended, served or reported as absent,
// and not later. docs/adr/0018 has the reasons.

// takeOverPatience is how long an open waits for a bucket that may go on behind it.
const takeOverPatience = 30 * time.Second

// mayBeOlder reports whether there is a sign that the bucket goes on behind this
// root: it is not where it was when it claimed last, or a claim found it out. Who
// only reads takes nothing over.
func (r *recovery) mayBeOlder() bool {
	e, known := r.log.engine, r.claims
	moved := known.Place != "" && known.Place != e.place()
	return !e.readOnly && r.log.folder != nil && e.claimedHere(known) && (moved || known.BucketGoesOn)
}

// takeOver adopts the objects that go on behind this root, if the last claim in
// the bucket is its own. Without the bucket the log opens as it is: the next open
// looks, and before the next claim somebody does too.
func (r *recovery) takeOver() error {
	if !r.mayBeOlder() {
		return nil
	}
	l := r.log
	ctx, cancel := context.WithTimeout(l.moving, min(takeOverPatience, l.engine.opts.bucketPatience))
	defer cancel()
	objects, unread := r.objectsBehind(ctx)
	if unread == nil {
		err := r.adoptBehind(ctx, objects)
		if err != nil && bucket.KindOf(err) == 0 && ctx.Err() == nil {
			return fmt.Errorf("take over what the bucket has: %w", err)
		}
		unread = err
	}
	if unread != nil {
		l.engine.opts.Logger.Warn("bucket_not_taken_over", "group", "aof2.tier2", "log", l.name, "error", unread)
		return nil
	}
	r.claims.Place, r.claims.BucketGoesOn = l.engine.place(), false
	return l.writeClaims(r.claims)
}

// objectsBehind lists the objects of segments that this root has not, or has not
// sealed, in order. Those of epochs before its last look were put by owners that it
// had overtaken.
func (r *recovery) objectsBehind(ctx context.Context) (list []listedObject, err error) {
	l, state := r.log, r.log.journal.state()
	highest, err := l.folder.HighestEpoch(ctx)
	if err == nil && highest < r.claims.Made.Epoch {
		err = l.checkOwnBucket(ctx, r.claims)
	}
	if err == nil {
		_, err = l.checkOwnClaim(ctx, r.claims, highest)
	}
	if err != nil {
		return nil, err
	}
	objects, err := l.listObjects(ctx)
	if err != nil {
		return nil, err
	}
	for _, listed := range objects {
		entry := state.Segment(listed.ID)
		if entry == nil && listed.First > state.Log().TrimmedTo || entry != nil && entry.Opened && !entry.Sealed {
			list = append(list, listed)
		}
	}
	return list, l.readFooters(ctx, list)
}

// adoptBehind adopts objects as long as each continues the log.
func (r *recovery) adoptBehind(ctx context.Context, objects []listedObject) error {
	for entry := range r.log.journal.state().Segments() {
		if entry.Sealed {
			continue
		}
		if len(objects) == 0 || objects[0].ID != entry.ID {
			return nil // where this root ends is not known before that segment is read
		}
		if fits, err := r.adoptTail(ctx, &objects[0], entry); err != nil || !fits {
			return err
		}
		objects = objects[1:]
	}
	for i := range objects {
		listed, log := &objects[i], r.log.journal.state().Log()
		if !r.isOfThisLog(listed) || listed.First != log.NextSeq || listed.ID < log.NextSegmentID {
			return nil
		}
		footer := listed.object.Footer()
		refused, err := r.adoptSegment(&footer, 0, r.arrivalOf(listed))
		if err != nil {
			return err
		}
		if refused != "" {
			r.notAdopted(listed, refused)
			return nil
		}
		r.report.AdoptedCold++
	}
	return nil
}

// isOfThisLog reports whether an object opens, is what its name says, and was put
// by an owner that this root had not overtaken.
func (r *recovery) isOfThisLog(listed *listedObject) bool {
	if listed.object == nil {
		return false
	}
	footer := listed.object.Footer()
	return footer.FirstSeq == listed.First && footer.LastSeq == listed.Last && footer.Epoch >= r.claims.CheckedEpoch
}

// arrivalOf are the records that make the manifest count on an object.
func (r *recovery) arrivalOf(listed *listedObject) (records []manifest.Record) {
	key := listed.String()
	if r.log.journal.state().Upload(key) == nil {
		records = append(records, manifest.Record{SegmentID: listed.ID, Payload: &manifest.UploadStarted{Key: key, Generation: listed.Generation}})
	}
	done := &manifest.UploadDone{Key: key, ObjectBytes: uint64(listed.bytes), TailBytes: uint32(listed.object.TailBytes())}
	return append(records, manifest.Record{SegmentID: listed.ID, Payload: done})
}

// adoptTail takes the object of a segment that is not sealed here for the whole of
// it, if that holds every record that this root has: the file is evicted. Nothing
// is adopted of a segment to which two roots have appended.
func (r *recovery) adoptTail(ctx context.Context, listed *listedObject, entry *manifest.Segment) (fits bool, err error) {
	found := r.hotFile(entry.ID)
	if found == nil || found.file.lost != "" || found.footer != nil || !r.isOfThisLog(listed) {
		return false, nil
	}
	footer := listed.object.Footer()
	if footer.Salt != entry.Salt || footer.BaseSeq != entry.BaseSeq {
		return false, nil
	}
	if held, err := r.isHeldBy(ctx, listed.object, found); err != nil || !held {
		return false, err
	}
	evicted := manifest.Record{SegmentID: entry.ID, Payload: &manifest.LocalEvicted{Tier: manifest.TierHot}}
	refused, err := r.adoptSegment(&footer, 0, append(r.arrivalOf(listed), evicted))
	if refused != "" {
		r.notAdopted(listed, refused)
	}
	if err != nil || refused != "" {
		return false, err
	}
	r.report.AdoptedCold++
	return true, r.dropFile(found)
}

// isHeldBy reports whether an object verifies whole and holds all the records of a
// segment file.
func (r *recovery) isHeldBy(ctx context.Context, object *tier.Object, found *foundSegment) (bool, error) {
	contents, err := r.log.readWhole(found.file)
	if err != nil {
		return false, err
	}
	scan := segment.Scan(contents, found.file.header, r.known(slices.Index(r.found, found)))
	if scan.Damaged() || scan.RecordsEnd < segment.HeaderBytes {
		return false, nil
	}
	local := recordWalk{image: contents[:scan.RecordsEnd], at: segment.HeaderBytes, salt: found.file.header.Salt}
	held, err := compareRecords(ctx, object, local.next)
	if errors.Is(err, ErrDamaged) || err == nil && !held {
		return false, nil
	}
	if err == nil {
		err = object.WriteSegment(ctx, io.Discard)
	}
	if isBadCopy(err) {
		return false, nil
	}
	return err == nil, err
}

// dropFile removes the file of a segment that was evicted.
func (r *recovery) dropFile(found *foundSegment) error {
	r.found = slices.DeleteFunc(r.found, func(f *foundSegment) bool { return f == found })
	r.log.engine.hot.giveBack(found.file.bytes.Load())
	return r.log.unlink(found.file.path, r.log.paths.segments)
}
