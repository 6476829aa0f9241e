package segment

import (
	"fmt"
	"iter"
	"slices"
)

// Subject is what a dictionary knows of one subject of a segment.
type Subject struct {
	Name     string
	Count    uint64 // records that verify
	FirstSeq uint64
	LastSeq  uint64
	// Frames are the numbers, in Index.Frames, of the frames that hold such a
	// record. The caller must not change them.
	Frames []int
}

// Subjects returns the segment's subjects in byte order of their names, and
// whether the index knows them: with filters it yields nothing. A subject may
// be missing only if all its records are damaged: see Damaged. The Frames of a
// yielded subject are valid until the next step.
func (x *Index) Subjects() (subjects iter.Seq[Subject], exact bool) {
	if x.dictionary == nil {
		return func(func(Subject) bool) {}, false
	}
	return func(yield func(Subject) bool) {
		var frames []int
		for i := range x.dictionary.entries {
			e := x.dictionary.at(i)
			frames = e.appendFrames(frames[:0])
			if !yield(e.subject(frames)) {
				return
			}
		}
	}, true
}

// SubjectCount returns how many subjects the segment holds, and false if the
// index does not know.
func (x *Index) SubjectCount() (count int, exact bool) {
	if x.dictionary == nil {
		return 0, false
	}
	return len(x.dictionary.entries), true
}

func (e *entry) subject(frames []int) Subject {
	return Subject{Name: string(e.name), Count: e.count, FirstSeq: e.firstSeq, LastSeq: e.lastSeq, Frames: frames}
}

// Lookup looks for one subject. exact says that a dictionary answered: then
// present is certain (but for damaged records) and s complete. Otherwise
// filters did: present means maybe, absent is certain, and of s only Name and
// Frames, those that may hold it, are set.
func (x *Index) Lookup(subject string) (s Subject, present, exact bool) {
	if x.dictionary != nil {
		e, ok := x.dictionary.find(subject)
		if !ok {
			return Subject{Name: subject}, false, true
		}
		return e.subject(e.appendFrames(nil)), true, true
	}
	s.Name = subject
	h := hashSubject([]byte(subject))
	for i, filter := range x.filters {
		if filterHolds(filter, h) {
			s.Frames = append(s.Frames, i)
		}
	}
	return s, len(s.Frames) > 0, false
}

// FramesMatching returns, in order, the numbers of the frames that must be read
// to meet every record whose subject match accepts, and every damaged range:
// what stood there may have matched. literal, if not empty, is the complete
// list of subjects that match accepts, and match may then be nil. Filters can
// only answer for literal; without it they give all frames.
func (x *Index) FramesMatching(match func(subject []byte) bool, literal []string) []int {
	wanted := make([]bool, len(x.frames))
	switch {
	case len(literal) > 0:
		for _, subject := range literal {
			s, _, _ := x.Lookup(subject)
			for _, frame := range s.Frames {
				wanted[frame] = true
			}
		}
	case x.dictionary != nil && match != nil:
		x.dictionary.mark(wanted, match)
	default:
		for i := range wanted {
			wanted[i] = true
		}
	}
	numbers := make([]int, 0, len(wanted))
	for i := range wanted {
		if wanted[i] || x.frames[i].Damaged {
			numbers = append(numbers, i)
		}
	}
	return slices.Clip(numbers)
}

// mark sets wanted for the frames of the subjects that match accepts.
func (d *dictionary) mark(wanted []bool, match func(subject []byte) bool) {
	var frames []int
	for i := range d.entries {
		e := d.at(i)
		if !match(e.name) {
			continue
		}
		frames = e.appendFrames(frames[:0])
		for _, frame := range frames {
			wanted[frame] = true
		}
	}
}

// decodeFilters splits the filters section: for each frame a length as varint
// and that many bytes.
func decodeFilters(body []byte, frameCount int) ([][]byte, error) {
	filters := make([][]byte, 0, frameCount)
	r := varintReader{b: body}
	for i := range frameCount {
		filter := r.take(r.next())
		if r.bad {
			return nil, fmt.Errorf("frame %d: %w", i, ErrShort)
		}
		filters = append(filters, filter)
	}
	return filters, nil
}
