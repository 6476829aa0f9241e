package segment

import (
	"cmp"
	"math/bits"
)

// A filter answers whether a subject may stand in a frame: a Bloom filter of
// 10 bits a subject, and 32 more, with 7 probes, which is wrong for at most 1 %
// of the subjects that do not. (The 32 matter where subjects are few: there the
// probes of a stride meet more often than independent ones would.)

const (
	filterBitsPerSubject = 10
	filterBitsExtra      = 32
	filterProbes         = 7
	filterWordBytes      = 8
	// filterRoundingBytesMax bounds what the extra bits, rounding to whole
	// words and the length prefix add to a filter.
	filterRoundingBytesMax = filterBitsExtra/8 + filterWordBytes + 4
)

// subjectHash is what a filter knows of a subject: the starting point and the
// stride of its probes.
type subjectHash struct{ start, stride uint64 }

const goldenRatio = 0x9e3779b97f4a7c15

// hashSubject derives both values from the CRC-64/NVME of the subject. A CRC is
// linear, so its bits are mixed before use.
func hashSubject(subject []byte) subjectHash {
	crc := CRC64(subject)
	return subjectHash{start: mix64(crc), stride: mix64(crc+goldenRatio) | 1}
}

func (h subjectHash) compare(other subjectHash) int {
	return cmp.Or(cmp.Compare(h.start, other.start), cmp.Compare(h.stride, other.stride))
}

// mix64 is the finalizer of SplitMix64.
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// probe returns the i-th bit of a filter of bitCount bits: start + i*stride
// modulo 2^64, scaled to the filter by the high half of a 128-bit product.
func (h subjectHash) probe(i int, bitCount uint64) uint64 {
	bit, _ := bits.Mul64(h.start+uint64(i)*h.stride, bitCount)
	return bit
}

// filterBytes returns the length of the filter of that many subjects: whole
// words, none for none.
func filterBytes(subjects int) int {
	if subjects == 0 {
		return 0
	}
	bitCount := subjects*filterBitsPerSubject + filterBitsExtra
	return (bitCount + 8*filterWordBytes - 1) / (8 * filterWordBytes) * filterWordBytes
}

// addToFilter sets the bits of a subject.
func addToFilter(filter []byte, h subjectHash) {
	bitCount := uint64(len(filter)) * 8
	for i := range filterProbes {
		bit := h.probe(i, bitCount)
		filter[bit/8] |= 1 << (bit % 8)
	}
}

// filterHolds reports whether the subject may have been added.
func filterHolds(filter []byte, h subjectHash) bool {
	bitCount := uint64(len(filter)) * 8
	if bitCount == 0 {
		return false
	}
	for i := range filterProbes {
		bit := h.probe(i, bitCount)
		if filter[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}
