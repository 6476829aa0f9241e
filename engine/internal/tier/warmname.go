package tier

import (
	"fmt"
	"strconv"
	"strings"
)

// WarmSuffix ends the name of a warm object.
const WarmSuffix = ".zst"

const warmNumberWidth = 20

// WarmName is what the file name of a warm object says.
type WarmName struct {
	SegmentID uint64 // 1 to 2^32 - 1
	BaseSeq   uint64 // at least 1
	Sealed    int64  // ns since the epoch, as in the manifest; not negative
}

func (n WarmName) String() string {
	return fmt.Sprintf("%020d_%020d_%020d%s", n.SegmentID, n.BaseSeq, n.Sealed, WarmSuffix)
}

// ParseWarmName is the inverse of String and accepts nothing else.
func ParseWarmName(file string) (name WarmName, ok bool) {
	stem, ok := strings.CutSuffix(file, WarmSuffix)
	parts := strings.Split(stem, "_")
	if !ok || len(parts) != 3 {
		return WarmName{}, false
	}
	var numbers [3]uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || len(part) != warmNumberWidth {
			return WarmName{}, false
		}
		numbers[i] = n
	}
	name = WarmName{SegmentID: numbers[0], BaseSeq: numbers[1], Sealed: int64(numbers[2])}
	if name.SegmentID == 0 || name.SegmentID >= 1<<32 || name.BaseSeq == 0 || name.Sealed < 0 {
		return WarmName{}, false
	}
	return name, true
}
