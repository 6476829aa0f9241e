package tier

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

const testSalt = 0x1122334455667788

func testHeader() segment.Header {
	return segment.Header{LogID: 0xa1a2a3a4a5a6a7a8, ID: 7, BaseSeq: 1001, Created: 1700000000000000000, Epoch: 3, Salt: testSalt}
}

func testIdentity() Identity {
	return Identity{LogID: testHeader().LogID, SegmentID: testHeader().ID, Salt: testSalt}
}

// builder writes a segment file record by record.
type builder struct {
	header segment.Header
	b      []byte
	next   uint64
	clock  int64
	starts []int // of the data records
}

func newBuilder() *builder {
	w := &builder{header: testHeader()}
	w.next, w.clock = w.header.BaseSeq, w.header.Created
	var head [segment.HeaderBytes]byte
	w.header.Encode(&head)
	w.b = append(w.b, head[:]...)
	return w
}

func (w *builder) record(subject string, payload []byte) {
	w.clock += 1000
	w.starts = append(w.starts, len(w.b))
	w.b = segment.AppendRecord(w.b, testSalt, &segment.Record{
		Seq: w.next, Timestamp: w.clock, ExtID: w.next + 5000, Subject: []byte(subject), Payload: payload,
	})
	w.next++
}

// sealed ends the records with a seal mark and writes index and footer.
func (w *builder) sealed() []byte {
	w.b = segment.AppendSealMark(w.b, testSalt, w.next-1, 0, w.clock)
	return finish(w.b, w.header, []segment.Extent{{
		Offset: segment.HeaderBytes, End: int64(len(w.b)), FirstSeq: w.header.BaseSeq, LastSeq: w.next - 1,
	}}, 0)
}

// partial damages the n-th record and seals what recovery would keep.
func (w *builder) partial(n int) []byte {
	w.b[w.starts[n]+60] ^= 1
	w.b = segment.AppendSealMark(w.b, testSalt, w.next-1, 0, w.clock)
	found := segment.Scan(w.b, w.header, segment.Known{RecordsEnd: int64(len(w.b)), LastSeq: w.next - 1, Complete: true})
	return finish(w.b, w.header, found.Extents, segment.FooterPartial)
}

func finish(records []byte, h segment.Header, extents []segment.Extent, flags uint32) []byte {
	index, sum := segment.BuildIndex(records, h, extents)
	f := segment.Footer{
		LogID: h.LogID, ID: h.ID, Salt: h.Salt, Epoch: h.Epoch, BaseSeq: h.BaseSeq,
		Count: sum.Count, FirstSeq: sum.FirstSeq, LastSeq: sum.LastSeq,
		FirstTimestamp: sum.FirstTimestamp, MaxTimestamp: sum.MaxTimestamp,
		FirstExtID: sum.FirstExtID, LastExtID: sum.LastExtID,
		DurableBytes: uint64(len(records)), ManifestOrdinal: 42,
		SegmentCRC64: segment.CRC64(records), IndexOffset: uint64(len(records)),
		IndexBytes: uint64(len(index)), IndexCRC64: segment.CRC64(index), Flags: segment.FooterSealed | flags,
	}
	var foot [segment.FooterBytes]byte
	f.Encode(&foot)
	file := append([]byte(nil), records...)
	return append(append(file, index...), foot[:]...)
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x71e5)) }

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

// event is a payload such as loggers write: it compresses, and none is like the
// one before.
func event(r *rand.Rand) []byte {
	return fmt.Appendf(nil, `{"id":%d,"kind":"order","region":"eu-%d","amount":%d.%02d,"paid":%v,"note":"%x"}`,
		r.Uint32(), r.IntN(9), r.IntN(5000), r.IntN(100), r.IntN(2) == 0, r.Uint64())
}

// specimen is a segment file of some kind, and an object of it. Tests share
// them and change neither.
type specimen struct {
	name   string
	frames int // record frames, 0: not said
	file   []byte
	object []byte
	info   ObjectInfo
}

var specimens = sync.OnceValue(func() []specimen {
	r := random(1)
	one := newBuilder()
	one.record("orders", []byte("x"))
	many := newBuilder()
	for i := range 3000 {
		many.record(fmt.Sprintf("orders.%d", i%7), event(r))
	}
	subjects := newBuilder()
	for i := range 4000 {
		subjects.record(fmt.Sprintf("device.%d.%x", i, r.Uint32()), noise(r, 60))
	}
	large := newBuilder()
	for _, n := range []int{10, 300 << 10, 5, 3 << 19, 131024, 131072 - 48 - 6, 7} {
		large.record("orders", noise(r, n))
	}
	repeating := newBuilder()
	repeating.record("orders", bytes.Repeat(noise(r, 5000), 600))
	damaged := newBuilder()
	for range 3000 {
		damaged.record("orders", event(r))
	}
	header := newBuilder()
	all := []specimen{
		{name: "empty", frames: 1, file: newBuilder().sealed()},
		{name: "nothing but a header", frames: 1, file: finish(header.b, header.header, nil, segment.FooterPartial)},
		{name: "one record", frames: 1, file: one.sealed()},
		{name: "many records", file: many.sealed()},
		{name: "many subjects", file: subjects.sealed()},
		{name: "records longer than a frame", frames: 5, file: large.sealed()},
		{name: "a record longer than the window", frames: 2, file: repeating.sealed()},
		{name: "partial", file: damaged.partial(1500)},
	}
	for i := range all {
		var object bytes.Buffer
		file := all[i].file
		info, err := Compress(context.Background(), &object, bytes.NewReader(file), int64(len(file)), testIdentity(), 0)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", all[i].name, err))
		}
		all[i].object, all[i].info = object.Bytes(), info
	}
	return all
})

// small is a segment with two frames of records, short enough to be damaged in
// every byte.
func small() []byte {
	w := newBuilder()
	w.record("orders", []byte("first"))
	w.record("invoices", bytes.Repeat([]byte("again and "), 13200))
	for i := range 20 {
		w.record("orders.eu", fmt.Appendf(nil, "record %d", i))
	}
	return w.sealed()
}

func compress(t testing.TB, file []byte) ([]byte, ObjectInfo) {
	t.Helper()
	var object bytes.Buffer
	info, err := Compress(context.Background(), &object, bytes.NewReader(file), int64(len(file)), testIdentity(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return object.Bytes(), info
}

func open(t testing.TB, object []byte, tailBytes int64) (*Object, *memoryReader) {
	t.Helper()
	src := &memoryReader{b: object}
	o, err := OpenObject(context.Background(), src, int64(len(object)), tailBytes, testIdentity())
	if err != nil {
		t.Fatal(err)
	}
	return o, src
}

// memoryReader is an object in memory that counts what is read of it.
type memoryReader struct {
	b  []byte
	mu struct {
		sync.Mutex
		ranges [][2]int64 // offset, length
	}
}

func (r *memoryReader) ReadRange(ctx context.Context, offset, length int64) ([]byte, error) {
	r.mu.Lock()
	r.mu.ranges = append(r.mu.ranges, [2]int64{offset, length})
	r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if offset < 0 || length < 0 || offset+length > int64(len(r.b)) {
		return nil, fmt.Errorf("range %d+%d of %d: %w", offset, length, len(r.b), io.ErrUnexpectedEOF)
	}
	return bytes.Clone(r.b[offset : offset+length]), nil
}

// taken returns the ranges read since the last call.
func (r *memoryReader) taken() [][2]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	ranges := r.mu.ranges
	r.mu.ranges = nil
	return ranges
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
