package segment

import (
	"hash/crc32"
	"testing"
)

func TestDerivedChecksumEqualsTheDirectOne(t *testing.T) {
	random := random(1)
	b := make([]byte, 300<<10)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	c := rangeChecker{b: b}
	for range 2000 {
		from := random.IntN(len(b) - 2*checkpointBytes)
		to := from + 2*checkpointBytes + random.IntN(len(b)-from-2*checkpointBytes+1)
		seed := random.Uint32()
		if got, want := c.derive(seed, from, to), crc32.Update(seed, castagnoli, b[from:to]); got != want {
			t.Fatalf("%d to %d: %#x, want %#x", from, to, got, want)
		}
	}
}

// hostileBytes holds, as often as it can, a record header that verifies and
// claims a body up to the end, each followed by a record that verifies, so that
// every one of them is tried.
func hostileBytes(size int) ([]byte, Header) {
	w := newBuilder()
	for size-len(w.b) > 300 {
		offset := len(w.b)
		w.b = append(w.b, make([]byte, RecordHeaderBytes)...)
		head := w.b[offset:]
		littleEndian.PutUint32(head[recordBodyBytesAt:], uint32(size-offset-RecordHeaderBytes))
		littleEndian.PutUint64(head[recordSeqAt:], w.next)
		littleEndian.PutUint16(head[recordSubjectBytesAt:], 1)
		sealChecksums(head, testSalt)
		head[0]++
		w.next++
		w.record("s", nil, 0)
	}
	return w.padded(size - len(w.b)), w.header
}

func TestScanOfHostileBytesIsNotQuadratic(t *testing.T) {
	b, h := hostileBytes(4 << 20)
	s := newScanner(b, h, Known{})
	w := walk{scanner: s, want: h.BaseSeq, durable: HeaderBytes}
	w.run()
	if len(w.spans) < 60000 {
		t.Fatalf("only %d spans: the bytes are not hostile enough", len(w.spans))
	}
	if limit := (wastedFactorMax + 2) * len(b); s.checksums.wasted > limit {
		t.Errorf("%d bytes of bodies were checked in vain, limit %d", s.checksums.wasted, limit)
	}
	if s.checksums.prefixes == nil {
		t.Error("the derived checksums were never needed")
	}
	checkResult(t, b, h, Known{}, Scan(b, h, Known{}))
}
