package engine

import (
	"time"

	"github.com/aof-nats/aof-nats/manifest"
)

// State is a snapshot of a log for people and metrics.
type State struct {
	Name       string
	ID         uint64
	Epoch      uint64
	Created    int64  // when the log was made, nanoseconds since the Unix epoch
	FirstSeq   uint64 // first sequence kept, 1 for an empty log
	Watermarks Watermarks
	// Unproven counts the records behind Watermarks.Durable that a read-only log
	// found in the files and that nothing there proves durable yet, though their
	// publishers may have been told: the next record does, or a second of idling.
	Unproven  uint64
	Segments  []SegmentState
	HotBytes  int64 // of this log's segment files, preallocated bytes included
	WarmBytes int64 // of its compressed files
	ColdBytes int64 // of its segments in the bucket
	// Poisoned is the failure that ended the log's life as a writer, or nil.
	Poisoned error
	// Backpressure is the kind that refuses appends now, 0 if none does.
	Backpressure BackpressureKind
	// NoRoom is why no further segment can be opened, or nil. What fits into the
	// active segment is still taken.
	NoRoom error
	// Refusing says that appends are refused now, for want of room.
	Refusing bool
	// AppendStop is why nothing is appended until the log is opened again, or nil.
	// It matches ErrNextSeqUnknown. Of a read-only log it says that records may
	// follow the last one that is read.
	AppendStop error
	// UploadsStopped is why nothing of the log goes to the bucket any more, or
	// nil. It matches ErrUploadsStopped.
	UploadsStopped error
	// Refused counts refused appends by kind since the log was opened.
	Refused map[BackpressureKind]uint64
	// DedupWindow is how far back message ids are remembered now.
	DedupWindow time.Duration
	Recovery    RecoveryReport
}

// SegmentState is one segment of a State.
type SegmentState struct {
	ID      uint64
	BaseSeq uint64
	LastSeq uint64 // BaseSeq-1 while it holds none
	Bytes   int64  // of the nearest copy
	// HotBytes, WarmBytes and ColdBytes are of its copy in each tier; 0: the tier
	// has none.
	HotBytes, WarmBytes, ColdBytes int64
	// RawBytes are header and records of a sealed segment, uncompressed.
	RawBytes int64
	Sealed   bool
	Damaged  bool // nothing of it can be read
	// BadCopies are the tiers whose copy was found damaged or missing: it is not
	// counted on.
	BadCopies []string
	// Path is the nearest copy: a file, or its key in the log's folder of the
	// bucket.
	Path string
	// MaxTimestamp is the largest timestamp of a sealed segment, nanoseconds.
	MaxTimestamp int64
}

// State returns what the log is now. It is cheap and safe to call at any time.
func (l *Log) State() State {
	list, recorded := *l.segments.Load(), l.journal.state()
	state := State{
		Name: l.name, ID: l.id, Created: l.fixed.CreatedNS, FirstSeq: l.firstSeq(), Watermarks: l.Watermarks(),
		Segments: make([]SegmentState, 0, len(list)), Refused: make(map[BackpressureKind]uint64),
	}
	for _, s := range list {
		segment := l.segmentState(s, recorded.Segment(s.id()))
		state.HotBytes += segment.HotBytes
		state.WarmBytes += segment.WarmBytes
		state.ColdBytes += segment.ColdBytes
		state.Segments = append(state.Segments, segment)
		state.Unproven += s.unproven
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	state.Recovery = l.recovery // a read-only log finds more at a refresh
	state.Epoch, state.Poisoned, state.Backpressure = l.mu.epoch, l.mu.failure, l.mu.pressure.entered
	state.AppendStop = l.mu.appendStop
	state.NoRoom, state.Refusing, state.UploadsStopped = l.mu.pressure.noRoom, l.refusingLocked(), l.mu.uploadStop
	state.DedupWindow = l.mu.dedup.effectiveWindow(l.now())
	for kind, refused := range l.mu.pressure.total {
		if refused > 0 {
			state.Refused[BackpressureKind(kind)] = refused
		}
	}
	return state
}

// segmentState is a segment with what the manifest says of it, nil if nothing.
func (l *Log) segmentState(s *segmentFile, entry *manifest.Segment) SegmentState {
	state := SegmentState{
		ID: s.id(), BaseSeq: s.baseSeq(), LastSeq: s.lastSeq.Load(), Bytes: s.bytes.Load(), HotBytes: s.bytes.Load(), Path: s.path, Damaged: s.lost != "",
	}
	if footer := s.seal.Load(); footer != nil {
		state.Sealed, state.MaxTimestamp, state.RawBytes = true, footer.MaxTimestamp, int64(footer.IndexOffset)
	}
	if entry == nil {
		return state
	}
	bad := entry.Resident & (entry.Quarantined | s.doubt.copies())
	for _, t := range []manifest.Tier{manifest.TierHot, manifest.TierWarm, manifest.TierCold} {
		if bad.Has(t) {
			state.BadCopies = append(state.BadCopies, t.String())
		}
	}
	if entry.Resident.Has(manifest.TierCold) {
		state.ColdBytes = int64(entry.Cold.ObjectBytes)
	}
	if entry.Resident.Has(manifest.TierWarm) {
		state.WarmBytes = int64(entry.Warm.ObjectBytes)
	}
	switch {
	case state.HotBytes > 0:
	case state.WarmBytes > 0:
		state.Bytes, state.Path = state.WarmBytes, l.paths.warmFile(entry)
	case state.ColdBytes > 0:
		state.Bytes, state.Path = state.ColdBytes, entry.Cold.Key
	}
	return state
}
