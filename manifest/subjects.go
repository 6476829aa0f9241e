package manifest

// This file is the summary of a segment's subjects: what lets a filtered replay
// leave out segments without reading a byte of them.

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/minio/crc64nvme"
)

// SummaryKind says how a SubjectSummary is encoded.
type SummaryKind uint8

// The kinds.
const (
	// SummaryNone: nothing is known; the segment's own index has the subjects.
	SummaryNone SummaryKind = 0
	// SummaryExact: every subject, in byte order, without its common prefix with
	// the one before.
	SummaryExact SummaryKind = 1
	// SummaryFilter: a Bloom filter with less than 1 % false positives.
	SummaryFilter SummaryKind = 2
)

const (
	exactSubjectsMax = 4096
	summaryBytesMax  = 960 << 10 // leaves room in the largest chunk
	filterBitsEach   = 11
	filterProbes     = 7
)

// SubjectSummary tells which subjects a segment may have. The zero value knows
// nothing. It is immutable.
type SubjectSummary struct {
	Kind  SummaryKind
	Count uint32 // of distinct subjects
	Data  []byte
}

// NewSubjectSummary summarizes distinct subjects, which it sorts: exactly up to
// 4,096 of them, by a filter beyond that, not at all when even a filter would
// not fit in a record.
func NewSubjectSummary(subjects []string) SubjectSummary {
	slices.Sort(subjects)
	subjects = slices.Compact(subjects)
	if len(subjects) <= exactSubjectsMax {
		if data := encodeSubjects(subjects); len(data) <= summaryBytesMax {
			return SubjectSummary{SummaryExact, uint32(len(subjects)), data}
		}
	}
	words := (len(subjects)*filterBitsEach + 63) / 64
	if words*8 > summaryBytesMax {
		return SubjectSummary{}
	}
	filter := make([]byte, words*8)
	for _, subject := range subjects {
		probes := probesOf(subject, len(filter))
		for _, bit := range probes {
			filter[bit/8] |= 1 << (bit % 8)
		}
	}
	return SubjectSummary{SummaryFilter, uint32(len(subjects)), filter}
}

// MayContain reports whether the segment may have records of a subject, which is
// a literal one, without wildcards. False is certain.
func (s SubjectSummary) MayContain(subject string) bool {
	switch s.Kind {
	case SummaryExact:
		found := false
		_ = s.walk(func(each []byte) bool {
			found = string(each) == subject
			return !found && string(each) < subject
		})
		return found
	case SummaryFilter:
		for _, bit := range probesOf(subject, len(s.Data)) {
			if s.Data[bit/8]&(1<<(bit%8)) == 0 {
				return false
			}
		}
	}
	return true
}

// Subjects lists all subjects in byte order; ok is false unless the summary is
// exact.
func (s SubjectSummary) Subjects() (subjects []string, ok bool) {
	if s.Kind != SummaryExact {
		return nil, false
	}
	_ = s.walk(func(each []byte) bool {
		subjects = append(subjects, string(each))
		return true
	})
	return subjects, true
}

func (s *SubjectSummary) fields(c *codec) {
	field8(c, "subjects kind", &s.Kind)
	field32(c, "subjects count", &s.Count)
	c.blob("subjects", &s.Data)
	if c.mode == decoding && c.err == nil {
		c.fail(s.validate())
	}
}

// validate makes sure that the other methods cannot be led astray.
func (s *SubjectSummary) validate() error {
	switch s.Kind {
	case SummaryExact:
		count := uint32(0)
		if err := s.walk(func([]byte) bool { count++; return true }); err != nil {
			return err
		}
		if count != s.Count {
			return fmt.Errorf("%w: %d subjects where %d are counted", ErrInvalid, count, s.Count)
		}
	case SummaryFilter:
		if len(s.Data) == 0 || len(s.Data)%8 != 0 {
			return fmt.Errorf("%w: subject filter of %d bytes", ErrInvalid, len(s.Data))
		}
	}
	return nil
}

// walk calls visit with each subject of an exact summary until it returns false.
// The slice is valid during the call.
func (s *SubjectSummary) walk(visit func([]byte) bool) error {
	var subject []byte
	for rest := s.Data; len(rest) > 0; {
		shared, n := binary.Uvarint(rest)
		if n <= 0 || shared > uint64(len(subject)) {
			return fmt.Errorf("%w: common prefix in the list of subjects", ErrInvalid)
		}
		rest = rest[n:]
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return fmt.Errorf("%w: length in the list of subjects", ErrInvalid)
		}
		subject = append(subject[:shared], rest[n:n+int(length)]...)
		rest = rest[n+int(length):]
		if !visit(subject) {
			return nil
		}
	}
	return nil
}

func encodeSubjects(sorted []string) []byte {
	var b []byte
	before := ""
	for _, subject := range sorted {
		shared := 0
		for shared < min(len(before), len(subject)) && before[shared] == subject[shared] {
			shared++
		}
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(subject)-shared))
		b = append(b, subject[shared:]...)
		before = subject
	}
	return b
}

// probesOf are the bits of a subject in a filter of that many bytes.
func probesOf(subject string, filterBytes int) (bits [filterProbes]uint64) {
	hash := mixed(crc64nvme.Checksum([]byte(subject)))
	first, step := hash&0xffffffff, hash>>32|1
	for i := range bits {
		bits[i] = (first + uint64(i)*step) % (uint64(filterBytes) * 8)
	}
	return bits
}

// mixed is the finalizer of MurmurHash3: a checksum is linear in its input, a
// filter needs bits that are not.
func mixed(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
