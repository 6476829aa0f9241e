package segment

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
)

// builder writes a segment the way an engine does: records into a buffer, a
// sync now and then, marks behind a sync.
type builder struct {
	header  Header
	b       []byte
	next    uint64
	durable int      // offset that a sync has reached
	placed  []placed // every record, in order
	clock   int64
}

// placed is where a record lies.
type placed struct {
	offset, end int
	seq         uint64
	control     ControlKind // 0 for data
	batch       bool        // the next record belongs to the same batch
}

const testSalt = 0x1122334455667788

func testHeader() Header {
	return Header{LogID: 0xa1a2a3a4a5a6a7a8, ID: 7, BaseSeq: 1001, Created: 1700000000000000000, Epoch: 3, Salt: testSalt}
}

func newBuilder() *builder { return newBuilderOf(testHeader()) }

func newBuilderOf(h Header) *builder {
	w := &builder{header: h, next: h.BaseSeq, clock: h.Created}
	var head [HeaderBytes]byte
	h.Encode(&head)
	w.b = append(w.b, head[:]...)
	w.durable = len(w.b)
	return w
}

func (w *builder) unsynced() uint32 { return uint32(len(w.b) - w.durable) }

func (w *builder) sync() { w.durable = len(w.b) }

// add appends data records of these payload lengths, filled with bytes that
// are not zero.
func (w *builder) add(payloadBytes ...int) {
	for _, n := range payloadBytes {
		w.record("orders.eu", fill(n), 0)
	}
}

// addSynced appends records and syncs behind each.
func (w *builder) addSynced(payloadBytes ...int) {
	for _, n := range payloadBytes {
		w.add(n)
		w.sync()
	}
}

// batch appends an atomic batch.
func (w *builder) batch(payloadBytes ...int) {
	for i, n := range payloadBytes {
		var flags Flags
		if i < len(payloadBytes)-1 {
			flags = FlagBatchContinues
		}
		w.record("orders.eu", fill(n), flags)
	}
}

func (w *builder) record(subject string, payload []byte, flags Flags) {
	w.clock += 1000
	offset := len(w.b)
	w.b = AppendRecord(w.b, w.header.Salt, &Record{
		Seq: w.next, Timestamp: w.clock, ExtID: w.next + 5000, Unsynced: w.unsynced(), Flags: flags,
		Subject: []byte(subject), Payload: payload,
	})
	w.placed = append(w.placed, placed{offset: offset, end: len(w.b), seq: w.next, batch: flags&FlagBatchContinues != 0})
	w.next++
}

// fillUpTo appends one record so that the next begins at offset.
func (w *builder) fillUpTo(offset int) {
	w.add(offset - len(w.b) - RecordHeaderBytes - len("orders.eu"))
}

// markPair syncs and writes a pair of marks, which it syncs.
func (w *builder) markPair(kind ControlKind) {
	w.sync()
	offset := len(w.b)
	w.b = AppendMarkPair(w.b, int64(offset), w.header.Salt, kind, w.next-1, 0, w.clock)
	middle := len(w.b) - MarkBytes
	w.placed = append(w.placed,
		placed{offset: offset, end: middle, seq: w.next - 1, control: DurableMark},
		placed{offset: middle, end: len(w.b), seq: w.next - 1, control: kind})
	w.sync()
}

func (w *builder) epochMark(epoch uint64) {
	offset := len(w.b)
	w.b = AppendEpochMark(w.b, w.header.Salt, w.next-1, w.unsynced(), w.clock, epoch)
	w.placed = append(w.placed, placed{offset: offset, end: len(w.b), seq: w.next - 1, control: EpochMark})
}

func (w *builder) sealMark() {
	offset := len(w.b)
	w.b = AppendSealMark(w.b, w.header.Salt, w.next-1, w.unsynced(), w.clock)
	w.placed = append(w.placed, placed{offset: offset, end: len(w.b), seq: w.next - 1, control: SealMark})
}

// padded returns a copy of the file, filled up with zeros as a file that was
// allocated ahead is.
func (w *builder) padded(zeros int) []byte {
	return append(append([]byte(nil), w.b...), make([]byte, align8(zeros))...)
}

// sealed returns the whole file of a segment whose records end with a seal
// mark: index and footer behind it.
func (w *builder) sealed() []byte {
	w.sealMark()
	return finish(w.b, w.header, []Extent{w.run()}, 0)
}

// run is the extent of all records.
func (w *builder) run() Extent {
	return Extent{Offset: HeaderBytes, End: int64(len(w.b)), FirstSeq: w.header.BaseSeq, LastSeq: w.next - 1}
}

// finish writes index and footer behind records.
func finish(records []byte, h Header, extents []Extent, flags uint32) []byte {
	index, sum := BuildIndex(records, h, extents)
	f := Footer{
		LogID: h.LogID, ID: h.ID, Salt: h.Salt, Epoch: h.Epoch, BaseSeq: h.BaseSeq,
		Count: sum.Count, FirstSeq: sum.FirstSeq, LastSeq: sum.LastSeq,
		FirstTimestamp: sum.FirstTimestamp, MaxTimestamp: sum.MaxTimestamp,
		FirstExtID: sum.FirstExtID, LastExtID: sum.LastExtID,
		DurableBytes: uint64(len(records)), ManifestOrdinal: 42,
		SegmentCRC64: CRC64(records), IndexOffset: uint64(len(records)),
		IndexBytes: uint64(len(index)), IndexCRC64: CRC64(index), Flags: FooterSealed | flags,
	}
	var foot [FooterBytes]byte
	f.Encode(&foot)
	file := append([]byte(nil), records...)
	return append(append(file, index...), foot[:]...)
}

// at returns the i-th record that was written; negative counts from the end.
func (w *builder) at(i int) placed {
	if i < 0 {
		i += len(w.placed)
	}
	return w.placed[i]
}

// zeroShareIn is the rule of zeroShares, spelled out.
func zeroShareIn(b []byte, from, to int) bool {
	for to = min(to, len(b)); from < to; {
		next := min((from/SectorBytes+1)*SectorBytes, to)
		if allZero(b[from:next]) {
			return true
		}
		from = next
	}
	return false
}

func fill(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%250) + 1
	}
	return b
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5e9)) }

func cloneBytes(b []byte) []byte { return append([]byte(nil), b...) }

// flip returns a copy of b with one bit of a byte changed.
func flip(b []byte, at int) []byte {
	c := cloneBytes(b)
	c[at] ^= 1 << (at % 8)
	return c
}

func hexDump(b []byte) string { return hex.Dump(b) }

// checkResult asserts what holds of every scan, whatever the bytes.
func checkResult(t testing.TB, b []byte, h Header, known Known, r ScanResult) {
	t.Helper()
	if err := resultError(b, h, known, r); err != nil {
		t.Fatalf("%v\nknown %+v\nresult %+v", err, known, r)
	}
}

func resultError(b []byte, h Header, known Known, r ScanResult) error {
	end, last := int64(HeaderBytes), h.BaseSeq-1
	for i, e := range r.Extents {
		if e.Offset != end || e.End < e.Offset || e.Offset%8 != 0 || e.FirstSeq != last+1 || e.LastSeq+1 < e.FirstSeq {
			return fmt.Errorf("extent %d is not contiguous", i)
		}
		if i > 0 && !e.Damaged && !r.Extents[i-1].Damaged {
			return fmt.Errorf("extent %d: two runs in a row", i)
		}
		if !e.Damaged {
			if err := runError(b, h, e); err != nil {
				return fmt.Errorf("extent %d: %w", i, err)
			}
		}
		end, last = e.End, e.LastSeq
	}
	switch {
	case r.RecordsEnd != end || r.LastSeq != last:
		return fmt.Errorf("ends at %d with %d", end, last)
	case end > max(int64(len(b)), HeaderBytes):
		return fmt.Errorf("records end behind the file")
	case r.DurableEnd < HeaderBytes || r.DurableEnd > r.RecordsEnd:
		return fmt.Errorf("durable end out of bounds")
	case r.Closed && (r.Sealed || r.Cut != nil):
		return fmt.Errorf("closed and sealed or cut")
	case r.Short && (r.Closed || r.Sealed || known.Complete || len(r.Extents) == 0 || !r.Extents[len(r.Extents)-1].Damaged):
		return fmt.Errorf("a file that was made shorter does not end with damage")
	case r.Cut != nil && (r.Cut.Offset != r.RecordsEnd || r.Cut.End <= r.Cut.Offset || r.Cut.End > int64(len(b)) || r.Sealed):
		return fmt.Errorf("cut out of bounds")
	case known.Complete && known.LastSeq >= h.BaseSeq && r.LastSeq != known.LastSeq:
		return fmt.Errorf("a complete segment ends with %d", r.LastSeq)
	case known.Complete && (r.DurableEnd != r.RecordsEnd || r.Cut != nil && r.Cut.Batch):
		return fmt.Errorf("a complete segment was cut")
	}
	return nil
}

// runError walks a run as a reader does.
func runError(b []byte, h Header, e Extent) error {
	next := e.FirstSeq
	for offset := e.Offset; offset < e.End; {
		var r Record
		n, err := DecodeRecord(b[offset:e.End], h.Salt, &r)
		if n == 0 {
			return fmt.Errorf("at %d: %w", offset, err)
		}
		if r.Flags&FlagControl == 0 {
			if r.Seq != next {
				return fmt.Errorf("at %d: sequence %d, expected %d", offset, r.Seq, next)
			}
			next++
		} else if r.Seq+1 != next {
			return fmt.Errorf("at %d: control record with sequence %d, expected %d", offset, r.Seq, next-1)
		}
		offset += int64(n)
	}
	if next != e.LastSeq+1 {
		return fmt.Errorf("run ends with %d", next-1)
	}
	return nil
}
