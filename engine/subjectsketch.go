package engine

import (
	"context"
	"math/bits"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file is what is kept in memory of the subjects of sealed segments. It can
// say that a segment surely holds no record that a filter matches, and nothing
// else: whoever gets another answer looks into the segment.

const (
	// sketchBytesMax bounds the sketches of a log; those of its newest segments
	// are kept.
	sketchBytesMax = 32 << 20
	// A sketch denies all but one of 70,000 subjects that its segment lacks: a
	// condition asks every segment of a log, and each wrong answer costs a read. The
	// extra bits matter where subjects are few.
	sketchBitsEach  = 24
	sketchBitsExtra = 128
	sketchProbes    = 12
	// hashesPending is how many hashes a sketcher gathers before it drops those
	// that it has twice.
	hashesPending = 1 << 16
)

// subjectSketch is a Bloom filter of a sealed segment's subjects and of their
// beginnings up to each dot. It is immutable.
type subjectSketch struct{ words []uint64 }

func (k *subjectSketch) memoryBytes() int64 { return int64(len(k.words))*8 + 24 }

// lacks reports whether what was hashed was surely not added.
func (k *subjectSketch) lacks(hash uint64) bool {
	count, stride := uint64(len(k.words))*64, mixed(hash+0x9e3779b97f4a7c15)
	for range sketchProbes {
		bit, _ := bits.Mul64(hash, count)
		if k.words[bit/64]&(1<<(bit%64)) == 0 {
			return true
		}
		hash, stride = hash+stride, bits.RotateLeft64(stride, 9)
	}
	return false
}

func (k *subjectSketch) add(hash uint64) {
	count, stride := uint64(len(k.words))*64, mixed(hash+0x9e3779b97f4a7c15)
	for range sketchProbes {
		bit, _ := bits.Mul64(hash, count)
		k.words[bit/64] |= 1 << (bit % 64)
		hash, stride = hash+stride, bits.RotateLeft64(stride, 9)
	}
}

func sketchHash(subject []byte) uint64 { return mixed(segment.CRC64(subject)) }

// mixed is the finalizer of SplitMix64: a checksum is linear in its input, a
// filter needs bits that are not.
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sketcher gathers the subjects of one segment.
type sketcher struct {
	hashes []uint64
	unique int // of hashes, when those that were there twice were dropped last
	before []byte
}

func (g *sketcher) add(subject []byte) {
	shared := 0
	for shared < min(len(g.before), len(subject)) && g.before[shared] == subject[shared] {
		shared++
	}
	if g.before != nil && shared == len(subject) && shared == len(g.before) {
		return
	}
	for i := shared; i < len(subject); i++ {
		if subject[i] == '.' {
			g.hashes = append(g.hashes, sketchHash(subject[:i+1]))
		}
	}
	g.hashes = append(g.hashes, sketchHash(subject))
	g.before = append(g.before[:0], subject...)
	if len(g.hashes) >= 2*g.unique+hashesPending {
		g.compact()
	}
}

func (g *sketcher) compact() {
	slices.Sort(g.hashes)
	g.hashes = slices.Compact(g.hashes)
	g.unique = len(g.hashes)
}

// sketch is nil if it would be larger than what a log may have.
func (g *sketcher) sketch() *subjectSketch {
	g.compact()
	k := &subjectSketch{words: make([]uint64, (len(g.hashes)*sketchBitsEach+sketchBitsExtra+63)/64)}
	if k.memoryBytes() > sketchBytesMax {
		return nil
	}
	for _, hash := range g.hashes {
		k.add(hash)
	}
	return k
}

// wanted is a filter as sketches are asked for it.
type wanted struct {
	filter  []byte
	literal bool
	hash    uint64 // of the subject, or of what the filter's subjects begin with
	any     bool   // they have no beginning in common
}

func newWanted(filter []byte) wanted {
	w := wanted{filter: filter, literal: isLiteral(filter)}
	begin := filter
	if !w.literal {
		begin = literalBeginning(filter)
		w.any = len(begin) == 0
	}
	w.hash = sketchHash(begin)
	return w
}

// lacks reports whether a sealed segment surely has no record that is wanted, as
// far as memory knows.
func (l *Log) lacks(s *segmentFile, w *wanted, far *reach) bool {
	if w.any {
		return false
	}
	if sketch := s.sketch.Load(); sketch != nil {
		return sketch.lacks(w.hash)
	}
	entry := l.entryOf(s)
	if entry == nil || !isComplete(entry) {
		return false
	}
	summary := &entry.Warm.Subjects
	switch {
	case summary.Kind == manifest.SummaryFilter && w.literal:
		return !summary.MayContain(string(w.filter))
	case summary.Kind == manifest.SummaryExact && far.spend(lookBytes+int64(len(summary.Data))) == nil:
		return l.keepSummary(s, summary).lacks(w.hash)
	}
	return false
}

// isComplete reports whether all of a segment's records verified when it was
// sealed. Where some did not, nobody knows their subjects.
func isComplete(entry *manifest.Segment) bool {
	return entry.Sealed && entry.RecordCount == entry.LastSeq+1-entry.FirstSeq
}

// keepSummary makes a sketch of what the manifest has.
func (l *Log) keepSummary(s *segmentFile, summary *manifest.SubjectSummary) *subjectSketch {
	var gathered sketcher
	subjects, _ := summary.Subjects()
	for _, subject := range subjects {
		gathered.add([]byte(subject))
	}
	sketch := gathered.sketch() // of few subjects: it is never too large
	l.subjects.keep(s, sketch)
	return sketch
}

// keepIndex makes a sketch of what an index knows, if that is all subjects.
func (l *Log) keepIndex(s *segmentFile, index *segment.Index) {
	subjects, exact := index.Subjects()
	if !exact || index.Damaged() || s.sketch.Load() != nil {
		return
	}
	var gathered sketcher
	for subject := range subjects {
		gathered.add([]byte(subject.Name))
	}
	l.subjects.keep(s, gathered.sketch())
}

// keep keeps a sketch, for which those of older segments give way.
func (t *subjectTracker) keep(s *segmentFile, sketch *subjectSketch) {
	if sketch == nil {
		return
	}
	t.keeping.Lock()
	defer t.keeping.Unlock()
	list := *t.log.segments.Load()
	total := sketch.memoryBytes()
	for _, other := range list {
		if kept := other.sketch.Load(); kept != nil && other != s {
			total += kept.memoryBytes()
		}
	}
	for _, oldest := range list {
		if total <= t.sketchBytes {
			break
		}
		oldest.sketchDropped.Store(true)
		if oldest == s {
			return
		}
		if kept := oldest.sketch.Swap(nil); kept != nil {
			total -= kept.memoryBytes()
		}
	}
	s.sketch.Store(sketch)
}

// learn makes the sketch of a segment that was just sealed, if conditions are in
// use: no append has to look into it.
func (t *subjectTracker) learn(ctx context.Context, s *segmentFile) {
	t.log.mu.Lock()
	enabled := t.enabled
	t.log.mu.Unlock()
	if !enabled {
		return
	}
	// A wildcard, since filters of the index may deny a subject: then not all
	// records are read. What is wrong with them is told to who asks for them.
	_, _, _ = t.log.lastInSegment(ctx, s, []byte("*"), toKeep())
}
