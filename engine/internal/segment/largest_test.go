package segment

import "testing"

// A segment of the largest size whose end is damaged has no room to be sealed in: it
// grows by seal mark, index and footer, and is read like any other.
func TestTheLargestSegmentThatGrewToBeSealedIsInsideTheBounds(t *testing.T) {
	if longest := SegmentBytesMax + SealBytesMax(SegmentBytesMax); longest > FileBytesMax {
		t.Errorf("it is up to %d bytes long, %d are read", longest, FileBytesMax)
	}
	for offset, fits := range map[uint64]bool{SegmentBytesMax + SealMarkBytes: true, SegmentBytesMax + SealMarkBytes + 8: false} {
		footer := Footer{BaseSeq: 1, LastSeq: 0, IndexOffset: offset, IndexBytes: 64, Flags: FooterSealed}
		var encoded [FooterBytes]byte
		footer.Encode(&encoded)
		if _, err := DecodeFooter(encoded[:]); (err == nil) != fits {
			t.Errorf("index at %d: %v", offset, err)
		}
	}
}
