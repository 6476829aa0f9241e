package engine

import "time"

// State is a snapshot of a log for people and metrics.
type State struct {
	Name       string
	ID         uint64
	Epoch      uint64
	Created    int64  // when the log was made, nanoseconds since the Unix epoch
	FirstSeq   uint64 // first sequence kept, 1 for an empty log
	Watermarks Watermarks
	Segments   []SegmentState
	HotBytes   int64 // of this log's segment files, preallocated bytes included
	// Poisoned is the failure that ended the log's life as a writer, or nil.
	Poisoned error
	// Backpressure is the kind that refuses appends now, 0 if none does.
	Backpressure BackpressureKind
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
	Bytes   int64  // of the file
	Sealed  bool
	Damaged bool // nothing of it can be read
	Path    string
	// MaxTimestamp is the largest timestamp of a sealed segment, nanoseconds.
	MaxTimestamp int64
}

// State returns what the log is now. It is cheap and safe to call at any time.
func (l *Log) State() State {
	list := *l.segments.Load()
	state := State{
		Name: l.name, ID: l.id, Created: l.fixed.CreatedNS, FirstSeq: l.firstSeq(), Watermarks: l.Watermarks(),
		Segments: make([]SegmentState, 0, len(list)), Refused: make(map[BackpressureKind]uint64), Recovery: l.recovery,
	}
	for _, s := range list {
		state.HotBytes += s.bytes.Load()
		state.Segments = append(state.Segments, s.state())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	state.Epoch, state.Poisoned, state.Backpressure = l.mu.epoch, l.mu.failure, l.mu.pressure.entered
	state.DedupWindow = l.mu.dedup.effectiveWindow(l.now())
	for kind, refused := range l.mu.pressure.total {
		if refused > 0 {
			state.Refused[BackpressureKind(kind)] = refused
		}
	}
	return state
}

func (s *segmentFile) state() SegmentState {
	state := SegmentState{
		ID: s.id(), BaseSeq: s.baseSeq(), LastSeq: s.lastSeq.Load(), Bytes: s.bytes.Load(), Path: s.path, Damaged: s.lost != "",
	}
	if footer := s.seal.Load(); footer != nil {
		state.Sealed, state.MaxTimestamp = true, footer.MaxTimestamp
	}
	return state
}
