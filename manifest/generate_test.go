package manifest

// This file generates records for simulated histories: mostly ones that fit the
// state, some that contradict it.

import (
	"fmt"
	"math/rand/v2"

	"github.com/minio/crc64nvme"
)

type generator struct {
	random *rand.Rand
	clock  int64
	keys   int
}

func (g *generator) percent(p int) bool { return g.random.IntN(100) < p }

// next is a record that may follow a state.
func (g *generator) next(s *State) Record {
	g.clock += 1 + g.random.Int64N(1000)
	r := Record{TimestampNs: g.clock}
	if g.percent(25) {
		r.Payload = g.filler()
		return r
	}
	last := s.LastSegment()
	if last == nil || last.Sealed && g.percent(50) {
		base := s.Log().NextSeq
		r.SegmentID = s.Log().NextSegmentID
		r.Payload = &SegmentOpened{BaseSeq: base, Epoch: s.Log().Epoch, Salt: g.random.Uint64()}
		return r
	}
	if !last.Sealed && g.percent(60) {
		r.SegmentID, r.LogicalOffset = last.ID, 4096
		r.Payload = g.seal(last)
		return r
	}
	if g.percent(15) {
		r.Payload = g.aboutLog(s)
		return r
	}
	r.SegmentID = g.anySegment(s)
	r.Payload = g.aboutSegment(s, r.SegmentID)
	return r
}

// filler is records of many sizes, with sectors of zeros now and then.
func (g *generator) filler() Payload {
	size := g.random.IntN(60)
	switch g.random.IntN(10) {
	case 0:
		size = g.random.IntN(20_000)
	case 1, 2:
		size = g.random.IntN(2_000)
	}
	blob := make([]byte, size)
	if !g.percent(15) {
		for i := range blob {
			blob[i] = byte(g.random.Uint32())
		}
	}
	if g.percent(30) {
		return &Raw{Type: TypeUserFirst + RecordType(g.random.IntN(3)), Bytes: blob}
	}
	return &CustomEvent{SchemaID: g.random.Uint32(), Blob: blob}
}

func (g *generator) seal(s *Segment) Payload {
	count := uint64(g.random.IntN(5))
	return &SealSegment{DurableBytes: 4096, SegmentCRC64: g.random.Uint64(), FirstSeq: s.BaseSeq, LastSeq: s.BaseSeq + count - 1,
		FirstNs: g.clock - 10, MaxNs: g.clock, RecordCount: count, LastExtID: s.BaseSeq + count - 1}
}

func (g *generator) aboutLog(s *State) Payload {
	switch g.random.IntN(5) {
	case 0:
		return &OwnerChanged{Epoch: s.Log().Epoch + uint64(g.random.IntN(3)), Owner: fmt.Sprint("owner-", g.random.IntN(3))}
	case 1:
		return &ChunkUploaded{ChunkIndex: uint64(1 + g.random.IntN(6)), Key: "manifest/x.mlog"}
	case 2:
		return &Tier2Throttle{Reason: Reason(g.random.IntN(9)), RetryAfterMs: 100}
	default:
		return &LogTrimmed{FirstSeqKept: 1 + s.Log().TrimmedTo + uint64(g.random.IntN(6))}
	}
}

func (g *generator) anySegment(s *State) uint64 {
	skip := g.random.IntN(s.SegmentCount() + 1)
	for segment := range s.Segments() {
		if skip == 0 {
			return segment.ID
		}
		skip--
	}
	return s.Log().NextSegmentID // one that is not known
}

func (g *generator) aboutSegment(s *State, id uint64) Payload {
	segment := s.Segment(id)
	if segment == nil {
		segment = &Segment{ID: id}
	}
	tier := Tier(g.random.IntN(tierCount))
	switch g.random.IntN(16) {
	case 0:
		return &CompressionStarted{JobID: g.random.Uint64()}
	case 1, 2:
		return &CompressionDone{ObjectBytes: 100, TailBytes: 10, WarmCRC64: g.random.Uint64(), Subjects: NewSubjectSummary([]string{"a.b", fmt.Sprint("a.", g.keys)})}
	case 3:
		return &CompressionFailed{Reason: ReasonNoSpace, Attempt: 1}
	case 4, 5:
		g.keys++
		return &UploadStarted{Key: fmt.Sprintf("segments/%d_%d", id, g.keys), Generation: segment.NextGeneration}
	case 6, 7:
		for upload := range s.Uploads() {
			if upload.SegmentID == id {
				return &UploadDone{Key: upload.Key, ETag: "e", ObjectBytes: 100, TailBytes: 10}
			}
		}
		return &UploadFailed{Key: "segments/none", Reason: ReasonUnavailable, Attempt: 2}
	case 8:
		return &Tier2DeleteQueued{Key: segment.Cold.Key, NotBeforeNs: g.clock + 5}
	case 9:
		return &Tier2Deleted{Key: segment.Cold.Key}
	case 10:
		return &HydrationStarted{Source: TierCold, Target: Tier(g.random.IntN(2))}
	case 11:
		return &HydrationDone{ResidentBytes: 100}
	case 12:
		return &HydrationFailed{Reason: ReasonCancelled, Attempt: 3}
	case 13:
		return &LocalEvicted{Tier: tier, ReclaimedBytes: 5}
	case 14:
		return &SegmentVerified{Tier: tier, BytesRead: 77}
	default:
		return &SegmentQuarantined{Tier: tier, Reason: ReasonChecksum, Offset: 1, Length: 2}
	}
}

// signature is a record without what depends on its place. The writer makes two
// types itself, at times and with contents that the model does not know.
func signature(r *Record) string {
	if t := r.Type(); t == TypeLogClosed || t == TypeSnapshotMarker {
		return t.String()
	}
	payload, _ := encodeStructure(nil, r.Payload)
	return fmt.Sprintf("%s %d %d %d %d:%016x", r.Type(), r.SegmentID, r.LogicalOffset, r.TimestampNs, len(payload), crc64nvme.Checksum(payload))
}
