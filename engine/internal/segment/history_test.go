package segment

import "math/rand/v2"

// Seeded histories of a segment, and ways to hurt its bytes.

// history appends random records, batches, marks and syncs.
func history(w *builder, random *rand.Rand) {
	for range random.IntN(24) {
		step(w, random)
	}
}

func step(w *builder, random *rand.Rand) {
	switch random.IntN(10) {
	case 0, 1:
		w.sync()
	case 2:
		w.markPair(DurableMark)
	case 3:
		w.batch(payloadBytes(random), payloadBytes(random), payloadBytes(random))
	case 4:
		w.markPair(CloseMark)
		w.epochMark(uint64(random.IntN(9)) + 1)
	case 5:
		w.record("orders.eu", make([]byte, 1100), 0) // holds a zero sector of its own
	default:
		w.add(payloadBytes(random))
	}
}

func payloadBytes(random *rand.Rand) int {
	if random.IntN(8) == 0 {
		return 600 + random.IntN(1500)
	}
	return random.IntN(200)
}

// hurt damages b in one place between the header and to: a flipped bit, a zeroed sector, a
// sector of garbage, a zeroed word.
func hurt(b []byte, random *rand.Rand, to int) {
	if to <= HeaderBytes {
		return
	}
	at := HeaderBytes + random.IntN(to-HeaderBytes)
	sector := max(at/SectorBytes*SectorBytes, HeaderBytes)
	end := min(at/SectorBytes*SectorBytes+SectorBytes, len(b))
	switch random.IntN(6) {
	case 0:
		clear(b[sector:end])
	case 1:
		for i := sector; i < end; i++ {
			b[i] = byte(random.Uint32()) | 1
		}
	case 2:
		clear(b[at&^7 : min(at&^7+8, len(b))])
	default:
		b[at] ^= 1 << random.IntN(8)
	}
}
