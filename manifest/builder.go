package manifest

// This file is the mutable twin of State: what applies many records without
// copying a page for each.

import (
	"errors"
	"fmt"
)

// builder changes its own copy of a State. Not safe for concurrent use.
type builder struct {
	State
	edit *editToken
	// lenient is set behind damage: a step whose cause was lost is taken as it
	// is. It accepts more than the strict rules and never something else, so that
	// replaying what was accepted gives the same state.
	lenient bool
}

func edit(s *State) *builder { return &builder{State: *s, edit: new(editToken)} }

// publish returns the state as it is now, which no later change reaches.
func (b *builder) publish() *State {
	s := b.State
	b.edit = new(editToken)
	return &s
}

// contradiction is an error for the record that is being applied.
func contradiction(cause error, format string, values ...any) error {
	return &ContradictionError{Cause: cause, Detail: fmt.Sprintf(format, values...)}
}

// apply changes the state by one record, or not at all.
func (b *builder) apply(r *Record) error {
	err := checkScope(r)
	if err == nil {
		err = b.transition(r)
	}
	if err != nil {
		if c, ok := errors.AsType[*ContradictionError](err); ok {
			c.Ordinal, c.Type, c.SegmentID = r.Ordinal, r.Type(), r.SegmentID
		}
		return err
	}
	if r.Type() != TypeLogClosed {
		b.log.Closed = false
	}
	b.log.NextSegmentID = max(b.log.NextSegmentID, r.SegmentID+1)
	b.nextOrdinal = max(b.nextOrdinal, r.Ordinal+1)
	return nil
}

func checkScope(r *Record) error {
	if r.SegmentID > segmentIDMax {
		return contradiction(ErrInvalid, "segment ids end at %d", uint64(segmentIDMax))
	}
	if !r.Type().Known() {
		return nil
	}
	scope := recordKinds[r.Type()].scope
	if scope == ScopeLog && r.SegmentID != 0 || scope == ScopeSegment && r.SegmentID == 0 {
		return contradiction(ErrInvalid, "segment id of the wrong kind of record")
	}
	return nil
}

// segmentIDMax keeps ids inside 32 bits: record ids pack them.
const segmentIDMax = 1<<32 - 1

func (b *builder) transition(r *Record) error {
	switch p := r.Payload.(type) {
	case *SegmentOpened:
		return b.segmentOpened(r, p)
	case *SealSegment:
		return b.sealSegment(r, p)
	case *CompressionStarted:
		return b.compressionStarted(r, p)
	case *CompressionDone:
		return b.compressionDone(r, p)
	case *CompressionFailed:
		return b.compressionFailed(r, p)
	case *UploadStarted:
		return b.uploadStarted(r, p)
	case *UploadDone:
		return b.uploadDone(r, p)
	case *UploadFailed:
		return b.uploadFailed(r, p)
	case *Tier2DeleteQueued:
		return b.deleteQueued(r, p)
	case *Tier2Deleted:
		return b.deleted(r, p)
	case *HydrationStarted:
		return b.hydrationStarted(r, p)
	case *HydrationDone:
		return b.hydrationDone(r, p)
	case *HydrationFailed:
		return b.hydrationFailed(r, p)
	case *LocalEvicted:
		return b.localEvicted(r, p)
	case *SegmentVerified:
		return b.segmentVerified(r, p)
	case *SegmentQuarantined:
		return b.segmentQuarantined(r, p)
	default:
		return b.logTransition(r)
	}
}

// logTransition is the records that are not about a segment.
func (b *builder) logTransition(r *Record) error {
	switch p := r.Payload.(type) {
	case *SnapshotMarker:
		b.log.LastSnapshotID = max(b.log.LastSnapshotID, p.SnapshotID)
	case *CustomEvent:
	case *Tier2Throttle:
		b.log.ThrottleReason, b.log.ThrottleRetryMs, b.log.ThrottleNs = p.Reason, p.RetryAfterMs, r.TimestampNs
	case *LogTrimmed:
		return b.logTrimmed(p)
	case *OwnerChanged:
		return b.ownerChanged(p)
	case *ChunkUploaded:
		b.log.addUploadedChunk(p.ChunkIndex)
	case *LogClosed:
		b.log.Closed, b.log.ClosedSegmentID, b.log.ClosedMarkOffset = true, p.SegmentID, p.CloseMarkOffset
	case *DictionaryAdded:
		return b.dictionaryAdded(r, p)
	case *Raw:
		if p.Type < TypeUserFirst {
			b.log.UnknownRecords++
		}
	}
	return nil
}

// forgive turns an error about something missing into none behind damage.
func (b *builder) forgive(err error) error {
	if b.lenient {
		return nil
	}
	return err
}

// change returns a copy of a segment that may be edited and must be put back.
func (b *builder) change(id uint64) (*Segment, error) {
	segment, found := b.segments.get(id)
	if !found {
		if !b.lenient {
			return nil, contradiction(ErrUnknownSegment, "")
		}
		segment = &Segment{ID: id}
	}
	edited := *segment
	return &edited, nil
}

// changeSealed is change for steps that only a sealed segment can take.
func (b *builder) changeSealed(id uint64) (*Segment, error) {
	segment, err := b.change(id)
	if err == nil && !segment.Sealed {
		err = b.forgive(contradiction(ErrNotSealed, ""))
	}
	return segment, err
}

// put takes over an edited segment, or drops it if nothing of it is left.
func (b *builder) put(s *Segment) {
	if b.isRetired(s) {
		b.segments.remove(b.edit, s.ID)
		return
	}
	b.segments.set(b.edit, s.ID, s)
}

func (b *builder) isRetired(s *Segment) bool {
	return s.Sealed && s.Resident == 0 && b.isTrimmed(s)
}

// isTrimmed reports whether a segment is known to have no record that is to be
// kept.
func (b *builder) isTrimmed(s *Segment) bool {
	return s.Sealed && (s.LastSeq < s.BaseSeq || s.LastSeq <= b.log.TrimmedTo)
}
