package segment

// Files are zero when they are put to use, so zeros tell what was never
// written, or lost.

// allZero reports whether b holds zeros only.
func allZero(b []byte) bool {
	for len(b) >= 8 {
		if littleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// nonZeroEnd returns the end of the last 8-byte word of b that is not zero, 0
// if there is none. If the file ends inside that word, the result lies behind
// the end of b.
func nonZeroEnd(b []byte) int {
	n := len(b)
	for ; n%8 != 0; n-- {
		if b[n-1] != 0 {
			return align8(n)
		}
	}
	for n >= 32 {
		w := b[n-32 : n]
		if littleEndian.Uint64(w)|littleEndian.Uint64(w[8:])|littleEndian.Uint64(w[16:])|littleEndian.Uint64(w[24:]) != 0 {
			break
		}
		n -= 32
	}
	for n >= 8 && littleEndian.Uint64(b[n-8:]) == 0 {
		n -= 8
	}
	return n
}

// zeroShares answers whether some sector's share of a range is all zero: what a
// lost write of that sector leaves. It remembers the last zero sector that it
// found, so that questions in growing order cost one pass over the bytes in
// all, however long the ranges are.
type zeroShares struct {
	b    []byte
	next int // first sector, from some question on, that is all zero
}

// in reports whether some sector's share of b[from:to] is all zero. Bytes
// behind the end of b are nobody's share.
func (z *zeroShares) in(from, to int) bool {
	to = min(to, len(z.b))
	if from >= to {
		return false
	}
	first, last := (from+SectorBytes-1)/SectorBytes, to/SectorBytes // whole sectors
	if head := min(first*SectorBytes, to); from < head && allZero(z.b[from:head]) {
		return true
	}
	if tail := max(last*SectorBytes, from); first <= last && tail < to && allZero(z.b[tail:to]) {
		return true
	}
	return first < last && z.firstFrom(first) < last
}

// firstFrom returns the first whole sector, at or behind the given one, that is
// all zero; the number of whole sectors if there is none.
func (z *zeroShares) firstFrom(sector int) int {
	count := len(z.b) / SectorBytes
	for z.next = max(z.next, sector); z.next < count; z.next++ {
		if at := z.next * SectorBytes; allZero(z.b[at : at+SectorBytes]) {
			break
		}
	}
	return z.next
}
