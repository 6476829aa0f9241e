package segment

import "hash/crc32"

// rangeChecker verifies the checksums of records in bytes that may be hostile.
// Bytes made for it could hold a header that verifies at every aligned offset,
// each claiming a body of half the file: checked one by one, that is quadratic.
// So bodies are checksummed directly only until the failed ones add up to a
// few times the file; from then on the checksum of a range is derived from
// those of the prefixes that end at multiples of checkpointBytes.
type rangeChecker struct {
	b        []byte
	salt     uint32
	wasted   int      // bytes of bodies that did not verify
	prefixes []uint32 // checksum, from 0, of b[:i*checkpointBytes]
}

const (
	checkpointBytes = 4 << 10
	wastedFactorMax = 4
)

// headerVerifies reports whether the checksum of the record header at offset
// holds. The header lies inside the bytes.
func (c *rangeChecker) headerVerifies(offset int) bool {
	return c.headerChecksum(offset) == littleEndian.Uint32(c.b[offset+recordHeaderChecksumAt:])
}

func (c *rangeChecker) headerChecksum(offset int) uint32 {
	return crc32.Update(c.salt, castagnoli, c.b[offset+recordBodyBytesAt:offset+recordHeaderChecksumAt])
}

// recordVerifies reports whether both checksums of the record b[offset:end]
// hold.
func (c *rangeChecker) recordVerifies(offset, end int) bool {
	b := c.b[offset:end]
	crc := crc32.Update(c.salt, castagnoli, b[recordBodyBytesAt:recordHeaderChecksumAt])
	if crc != littleEndian.Uint32(b[recordHeaderChecksumAt:]) {
		return false
	}
	stored := littleEndian.Uint32(b)
	if c.wasted <= wastedFactorMax*len(c.b) || end-offset <= 2*checkpointBytes {
		if crc32.Update(crc, castagnoli, b[recordHeaderChecksumAt:]) == stored {
			return true
		}
		c.wasted += end - offset
		return false
	}
	return c.derive(crc, offset+recordHeaderChecksumAt, end) == stored
}

// derive returns the checksum, going on from seed, of b[from:to]. The checksum
// is linear: two that go over the same bytes differ by their difference at the
// start, shifted by the length.
func (c *rangeChecker) derive(seed uint32, from, to int) uint32 {
	if c.prefixes == nil {
		c.checkpoint()
	}
	first := (from + checkpointBytes - 1) / checkpointBytes
	last := to / checkpointBytes
	crc := crc32.Update(seed, castagnoli, c.b[from:first*checkpointBytes])
	crc = c.prefixes[last] ^ shiftChecksum(crc^c.prefixes[first], last-first)
	return crc32.Update(crc, castagnoli, c.b[last*checkpointBytes:to])
}

func (c *rangeChecker) checkpoint() {
	c.prefixes = make([]uint32, 1, len(c.b)/checkpointBytes+1)
	crc := uint32(0)
	for at := checkpointBytes; at <= len(c.b); at += checkpointBytes {
		crc = crc32.Update(crc, castagnoli, c.b[at-checkpointBytes:at])
		c.prefixes = append(c.prefixes, crc)
	}
}

// checkpointShifts holds x^(8*checkpointBytes*2^i) modulo the polynomial, in
// the reflected representation of CRC-32C.
var checkpointShifts = func() (shifts [32]uint32) {
	shift := uint32(1) << (31 - 1) // x
	for range 3 + 12 {             // 8 bits a byte, 4096 bytes
		shift = multiplyModulo(shift, shift)
	}
	for i := range shifts {
		shifts[i] = shift
		shift = multiplyModulo(shift, shift)
	}
	return shifts
}()

// shiftChecksum returns what the difference of two checksums becomes when both
// go over the same bytes, checkpoints times checkpointBytes of them.
func shiftChecksum(difference uint32, checkpoints int) uint32 {
	for i := 0; checkpoints != 0; i++ {
		if checkpoints&1 != 0 {
			difference = multiplyModulo(difference, checkpointShifts[i])
		}
		checkpoints >>= 1
	}
	return difference
}

// multiplyModulo multiplies two polynomials modulo that of CRC-32C, both with
// their highest power in the lowest bit.
func multiplyModulo(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}
