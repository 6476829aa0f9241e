package segment

import "testing"

func TestZeroSharesInGrowingOrder(t *testing.T) {
	random := random(1)
	for range 300 {
		b := make([]byte, random.IntN(8*SectorBytes))
		for range random.IntN(12) {
			if len(b) > 0 {
				b[random.IntN(len(b))] = 1
			}
		}
		z := zeroShares{b: b}
		for from := 0; from < len(b)+8; from += 1 + random.IntN(100) {
			to := from + random.IntN(6*SectorBytes)
			if got, want := z.in(from, to), zeroShareIn(b, from, to); got != want {
				t.Fatalf("%d to %d of %d: %v, want %v", from, to, len(b), got, want)
			}
		}
	}
}

func TestNonZeroEnd(t *testing.T) {
	for n := range 80 {
		b := make([]byte, n)
		if got := nonZeroEnd(b); got != 0 {
			t.Fatalf("%d zeros: %d", n, got)
		}
		for i := range b {
			b[i] = 1
			if got, want := nonZeroEnd(b), align8(i+1); got != want {
				t.Fatalf("last byte %d of %d: %d, want %d", i, n, got, want)
			}
			b[i] = 0
		}
	}
}
