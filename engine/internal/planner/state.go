package planner

// Tier is a place for the bytes of a sealed segment.
type Tier uint8

// The tiers.
const (
	Hot Tier = iota
	Warm
	Cold
	tiers
)

// Kind is a kind of move.
type Kind uint8

// The moves that Plan gives. None is what a segment at rest makes. A move that
// the coordinator starts by itself (hydration, a delete) has a kind from
// KindsReserved on: Plan leaves such a segment alone.
const (
	None Kind = iota
	Compress
	Upload
	EvictHot
	EvictWarm
	kinds
	KindsReserved Kind = 16
)

var kindNames = [kinds]string{"none", "compress", "upload", "evict hot", "evict warm"}

func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "other"
}

// State is what Plan decides on. The caller owns it; Plan only reads it.
type State struct {
	Logs []Log
	// HotBytes is what the hot tier takes on disk, with unsealed segments,
	// prepared ones and all else that its budget counts.
	HotBytes int64
	// WarmBytes is what complete warm files take, verified or not. What a
	// compression under way has written is not in it: Plan counts that by what
	// it may take at most.
	WarmBytes int64
	// DiskLackBytes is what the disk of both local tiers is short of, whatever the
	// budgets say, for what met its end and waits: the next segment, a compression.
	// 0: there is room.
	DiskLackBytes int64
	// Bucket says that a cold tier is configured.
	Bucket bool
	// BucketAnswers says that its circuit breaker is closed. Opening and
	// closing it is the breaker's business: Plan sends nothing to find out.
	BucketAnswers bool
	// Free is how many more moves of each kind may start.
	Free [kinds]int
}

// Log is the sealed segments of one log that have a copy on a local disk, in
// any order. Those that are only cold may be left out.
type Log struct {
	ID       uint64
	Segments []Segment
	// StartedNs is when a move of each kind last started in this log, 0 if it
	// is not known.
	StartedNs [kinds]int64
}

// Segment is a sealed segment. Times are ns since the epoch.
type Segment struct {
	ID         uint64
	SealedNs   int64
	AccessedNs int64 // last read, 0 if there was none
	Copies     [tiers]Copy
	Moving     Kind // the move under way
	Failures   [kinds]Failure
}

// Copy is the bytes of a segment in one tier; the zero value is none.
type Copy struct {
	Bytes    int64 // on disk or in the bucket
	Verified bool  // complete and checked: it counts
	Pins     int   // holds by readers of this copy
}

// Failure is what the last tries of a move came to; the zero value is none.
type Failure struct {
	Attempt     int   // how often in a row
	NotBeforeNs int64 // see Backoff
}

// Budgets bounds the local tiers. A low watermark is at most its budget.
type Budgets struct {
	HotBytes, HotLowBytes   int64
	WarmBytes, WarmLowBytes int64
}

// NewBudgets returns the budgets with their usual watermarks: 3/4 of the hot
// tier, because unsealed segments may take 1/8 and their successors another;
// 7/8 of the warm one.
func NewBudgets(hotBytes, warmBytes int64) Budgets {
	return Budgets{
		HotBytes: hotBytes, HotLowBytes: hotBytes - hotBytes/4,
		WarmBytes: warmBytes, WarmLowBytes: warmBytes - warmBytes/8,
	}
}

// Action is a move to start. Whoever carries it out checks once more that the
// victim of an eviction is not pinned: that may have changed since.
type Action struct {
	Kind           Kind
	LogID, Segment uint64
	// Bytes is what the move reads, or frees.
	Bytes int64
}

// CompressedBytesMax bounds what the warm copy of a segment may take, where
// nothing in it can be compressed.
func CompressedBytesMax(segmentBytes int64) int64 { return segmentBytes + segmentBytes/256 + 1024 }
