package manifest

// This file is State, the result of replay, as its readers see it.

import "iter"

// State is what the records so far say about a log. It is immutable and safe for
// concurrent use; Apply returns another one that shares most of its memory. The
// zero value is not usable: NewState, or a Writer, makes one.
type State struct {
	log          LogState
	segments     pageMap[uint64, *Segment]
	uploads      pageMap[string, *Upload]
	deletes      pageMap[string, *Delete]
	dictionaries pageMap[uint32, *Dictionary]
	nextOrdinal  uint64
	// skipped are snapshot sections of a newer version, kept for the next one.
	skipped []section
}

// NewState is the state of a log before its first record.
func NewState() *State {
	return &State{log: LogState{NextSeq: 1, NextSegmentID: 1}, nextOrdinal: 1}
}

// Log is what is known of the log as a whole. Its slices must not be changed.
func (s *State) Log() LogState { return s.log }

// NextOrdinal is 1 + the ordinal of the last record that the state reflects.
func (s *State) NextOrdinal() uint64 { return s.nextOrdinal }

// SegmentCount is the number of live segments: those with records that are not
// trimmed, or with bytes somewhere.
func (s *State) SegmentCount() int { return s.segments.size }

// Segment is what is known of a segment, nil if it is not live.
func (s *State) Segment(id uint64) *Segment {
	segment, _ := s.segments.get(id)
	return segment
}

// LastSegment is the live segment with the highest id, nil if there is none.
func (s *State) LastSegment() *Segment {
	segment, _ := s.segments.last()
	return segment
}

// Segments visits the live segments by id.
func (s *State) Segments() iter.Seq[*Segment] { return values(&s.segments) }

// Upload is the open intent for a key, nil if there is none.
func (s *State) Upload(key string) *Upload {
	upload, _ := s.uploads.get(key)
	return upload
}

// Uploads visits the open intents to upload by key.
func (s *State) Uploads() iter.Seq[*Upload] { return values(&s.uploads) }

// Deletes visits the open intents to delete by key.
func (s *State) Deletes() iter.Seq[*Delete] { return values(&s.deletes) }

// Dictionary is a dictionary by id, nil if it is not known.
func (s *State) Dictionary(id uint32) *Dictionary {
	dictionary, _ := s.dictionaries.get(id)
	return dictionary
}

// Dictionaries visits the dictionaries by id.
func (s *State) Dictionaries() iter.Seq[*Dictionary] { return values(&s.dictionaries) }

// Apply is the state after one record more. It changes nothing else. A step that
// crash recovery repeats leaves the state as it is. Where the record does not fit
// the state, the error is a *ContradictionError and the state that is returned is
// s. The record's ordinal is not judged: a set one moves NextOrdinal.
func (s *State) Apply(r Record) (*State, error) {
	b := edit(s)
	if err := b.apply(&r); err != nil {
		return s, err
	}
	return b.publish(), nil
}

func values[K uint32 | uint64 | string, V any](m *pageMap[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, value := range m.all() {
			if !yield(value) {
				return
			}
		}
	}
}
