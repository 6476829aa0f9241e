package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file lets a log whose manifest lacks records look at what its folder of
// the bucket holds. An open of a sound log asks the bucket nothing.

// seqNamedMax bounds what the name of an object that cannot be read is believed.
const seqNamedMax = 1 << 62

// adoptObjects lists the log's objects and adopts those that the manifest does
// not know and that fit.
func (r *recovery) adoptObjects() error {
	l := r.log
	if l.folder == nil {
		r.report.BucketUnread = r.whyWithoutBucket()
		return nil
	}
	ctx, cancel := context.WithTimeout(l.moving, l.engine.opts.bucketPatience)
	defer cancel()
	var objects []listedObject
	err := r.askBucket(ctx)
	if err == nil {
		objects, err = l.listGenerations(ctx)
	}
	if err == nil {
		objects = r.unknownObjects(objects)
		err = l.readFooters(ctx, objects)
	}
	if err != nil {
		r.report.BucketUnread = err
		return nil
	}
	for i := range objects {
		if err := r.adoptObject(&objects[i]); err != nil {
			return err
		}
	}
	return nil
}

// see notes what an object is named with where the manifest lost records: at least
// that was given out. A whole manifest knows by itself where its log ends, and the
// sequences of an owner that has overtaken this one are none of it.
func (r *recovery) see(listed *listedObject) {
	if listed.Last >= seqNamedMax {
		return
	}
	r.seen.id = max(r.seen.id, listed.ID)
	if r.incomplete != "" || r.unrecorded {
		r.seen.seq = max(r.seen.seq, listed.Last)
	}
}

// whyWithoutBucket is why no bucket is asked that may have objects of the log; nil
// if none may.
func (r *recovery) whyWithoutBucket() error {
	e := r.log.engine
	switch {
	case e.bucketFailed != nil || e.root.Bucket != "" || e.readOnly && !r.claimed:
		return e.whyWithoutBucket()
	case r.claimed:
		return fmt.Errorf("%w: the log has claimed an epoch in a bucket and is opened without one", ErrUnsupported)
	}
	return nil
}

// askBucket makes sure that the bucket answers, where that is known to tell it,
// and is the one that this root has used: an empty mount point holds nothing, and
// says nothing about what is lost. A reader does not wait for long.
func (r *recovery) askBucket(ctx context.Context) error {
	if r.log.engine.readOnly {
		patient, cancel := context.WithTimeout(ctx, bucketProbePatience)
		defer cancel()
		ctx = patient
	}
	return r.log.checkOwnBucket(ctx, r.claims)
}

// unknownObjects are the objects that the manifest says too little of.
func (r *recovery) unknownObjects(objects []listedObject) (unknown []listedObject) {
	state := r.log.journal.state()
	queued := make(map[string]bool)
	for object := range state.Deletes() {
		queued[object.Key] = true
	}
	for _, listed := range objects {
		r.see(&listed)
		entry := state.Segment(listed.ID)
		known := entry != nil && !entry.Incomplete() && entry.Sealed && entry.Resident.Has(manifest.TierCold)
		if !known && !queued[listed.String()] {
			unknown = append(unknown, listed)
		}
	}
	return unknown
}

// adoptObject makes the manifest count on an object if its segment has none yet.
// The newest generations come first.
func (r *recovery) adoptObject(listed *listedObject) error {
	key, state := listed.String(), r.log.journal.state()
	entry := state.Segment(listed.ID)
	isCold := entry != nil && entry.Resident.Has(manifest.TierCold)
	if isCold && (!entry.Incomplete() && entry.Sealed || entry.Cold.Key != key) {
		return nil
	}
	if listed.object == nil {
		r.notAdopted(listed, listed.err.Error())
		return nil
	}
	footer := listed.object.Footer()
	if refused := r.fitsKey(listed, &footer); refused != "" {
		r.notAdopted(listed, refused)
		return nil
	}
	var arrival []manifest.Record
	if !isCold {
		arrival = r.arrivalOf(listed)
	}
	refused, err := r.adoptSegment(&footer, 0, arrival)
	if refused != "" {
		r.notAdopted(listed, refused)
	} else if err == nil {
		r.report.AdoptedCold++
	}
	return err
}

// fitsKey says what speaks against an object, "" if nothing does. An owner with a
// higher epoch than this root ever claimed has gone its own way.
func (r *recovery) fitsKey(listed *listedObject, f *segment.Footer) string {
	claimed := max(r.claims.Made.Epoch, r.claims.Intended.Epoch)
	switch {
	case f.FirstSeq != listed.First || f.LastSeq != listed.Last:
		return fmt.Sprintf("it holds the sequences %d to %d", f.FirstSeq, f.LastSeq)
	case claimed > 0 && f.Epoch > claimed:
		return fmt.Sprintf("an owner with epoch %d wrote it, this root claimed %d last", f.Epoch, claimed)
	}
	return r.fits(f)
}

func (r *recovery) notAdopted(listed *listedObject, reason string) {
	r.report.NotAdopted = append(r.report.NotAdopted, QuarantineReport{
		Segment: listed.ID, Path: r.log.folder.Name() + "/" + listed.String(), Reason: reason,
	})
	if corrupt := errors.Is(listed.err, tier.ErrCorrupt); corrupt && listed.Last < seqNamedMax {
		r.unreadable = append(r.unreadable, *listed)
	}
}

// addUnread adds what nobody can read for now: the segments in front of those that
// are known, while the bucket that may hold them does not answer; and behind them
// those whose object does not verify.
func (r *recovery) addUnread() {
	if len(r.found) > 0 && r.report.BucketUnread != nil {
		first, trimmed := r.found[0].name, r.log.journal.state().Log().TrimmedTo
		if first.baseSeq > trimmed+1 && first.id > 1 {
			name := segmentName{id: first.id - 1, baseSeq: trimmed + 1}
			front := &foundSegment{name: name, file: r.log.lostSegment(name, lostUnread, first.baseSeq-1)}
			r.found = append([]*foundSegment{front}, r.found...)
		}
	}
	for i := range r.unreadable {
		listed, last := &r.unreadable[i], uint64(0)
		if len(r.found) > 0 {
			last = r.found[len(r.found)-1].name.id
		}
		if listed.ID > last {
			name := segmentName{id: listed.ID, baseSeq: listed.First}
			r.found = append(r.found, &foundSegment{name: name, file: r.log.lostSegment(name, lostObject, listed.Last)})
		}
	}
}

// lostSegment is a segment of which nothing can be read.
func (l *Log) lostSegment(name segmentName, why string, last uint64) *segmentFile {
	s := &segmentFile{fs: l.engine.opts.FS, path: l.paths.segment(name), lost: why}
	s.header = segment.Header{LogID: l.id, ID: name.id, BaseSeq: name.baseSeq}
	s.mapped.evicted = true
	s.lastSeq.Store(last)
	return s
}

// appendStop is why nothing may be appended: the bucket may hold a sequence that
// would be given out again. It cannot while the newest segment file is one that is
// not sealed, because only sealed segments are uploaded, and in order; nor where
// this root never claimed an epoch, without which it uploads nothing.
func (r *recovery) appendStop() error {
	cause := r.report.BucketUnread
	if r.incomplete == "" || cause == nil || !r.claimed {
		return nil
	}
	next := r.log.journal.state().Log().NextSegmentID
	if n := len(r.found); n > 0 && r.found[n-1].wasOpen && r.found[n-1].name.id+1 >= next {
		return nil
	}
	return fmt.Errorf("%w: log %s: %s, and the bucket, which may hold later records, does not answer; open the log again when it does: %w",
		ErrNextSeqUnknown, r.log.name, r.incomplete, cause)
}
