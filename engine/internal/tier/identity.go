package tier

import (
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// Identity says which segment is expected.
type Identity struct {
	LogID, SegmentID uint64
	// Salt of the segment; 0 if it is not known, and then not compared.
	Salt uint64
}

func (i Identity) String() string {
	return fmt.Sprintf("segment %d of log %016x with salt %016x", i.SegmentID, i.LogID, i.Salt)
}

// check compares the identity with a footer whose checksum holds.
func (i Identity) check(f *segment.Footer) error {
	got := Identity{LogID: f.LogID, SegmentID: f.ID, Salt: f.Salt}
	if got.LogID != i.LogID || got.SegmentID != i.SegmentID || i.Salt != 0 && got.Salt != i.Salt {
		return &IdentityError{Want: i, Got: got}
	}
	return nil
}

// SameSegment reports whether two footers are of the same segment with the same
// header and records, so that an object of the one may be adopted as an object
// of the other: log id, segment id, salt, first and last sequence and CRC-64
// agree. The compressed bytes of the two may differ.
func SameSegment(a, b *segment.Footer) bool {
	return a.LogID == b.LogID && a.ID == b.ID && a.Salt == b.Salt &&
		a.FirstSeq == b.FirstSeq && a.LastSeq == b.LastSeq && a.SegmentCRC64 == b.SegmentCRC64
}
