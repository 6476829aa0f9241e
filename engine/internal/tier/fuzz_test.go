package tier

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

func goldenObjects(f *testing.F) [][]byte {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*.zst"))
	if err != nil || len(paths) != len(goldens) {
		f.Fatalf("golden files: %v, %v", paths, err)
	}
	var objects [][]byte
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		objects = append(objects, b)
	}
	return objects
}

// useObject opens and reads bytes that may be anything. What it accepts must be
// consistent.
func useObject(t *testing.T, b []byte, tailBytes int64) {
	src := &memoryReader{b: b}
	want := testIdentity()
	want.Salt = 0
	o, err := OpenObject(context.Background(), src, int64(len(b)), tailBytes, want)
	useSalvaged(t, src)
	if err != nil {
		if !typed(err) {
			t.Fatalf("%v", err)
		}
		return
	}
	var plain []byte
	complete := true
	for i := range o.Frames() {
		frame, err := o.ReadFrame(context.Background(), i)
		if err != nil {
			if !typed(err) {
				t.Fatalf("%v", err)
			}
			complete = false
			continue
		}
		if complete && frame.Start != int64(len(plain)) {
			t.Fatalf("frame %d at %d behind %d", i, frame.Start, len(plain))
		}
		plain = append(plain, frame.Bytes...)
	}
	var restored bytes.Buffer
	err = o.WriteSegment(context.Background(), &restored)
	if err != nil && !typed(err) {
		t.Fatalf("%v", err)
	}
	if err == nil && (!complete || !bytes.HasPrefix(restored.Bytes(), plain) || int64(restored.Len()) != o.SegmentBytes()) {
		t.Fatalf("%d bytes restored of %d", restored.Len(), o.SegmentBytes())
	}
	footer := o.Footer()
	if err == nil && segment.CRC64(plain) != footer.SegmentCRC64 {
		t.Fatal("restored with a wrong checksum")
	}
}

// useSalvaged opens the same bytes as an object whose tail is damaged.
func useSalvaged(t *testing.T, src *memoryReader) {
	t.Helper()
	known := testHeader()
	for _, salt := range []uint64{0, known.Salt} {
		footer := segment.Footer{LogID: known.LogID, ID: known.ID, Salt: salt, BaseSeq: known.BaseSeq, FirstSeq: known.BaseSeq, LastSeq: known.BaseSeq + 30}
		o, err := SalvageObject(context.Background(), src, int64(len(src.b)), footer)
		if err != nil {
			if !typed(err) {
				t.Fatalf("salvage: %v", err)
			}
			continue
		}
		for i := range o.Frames() {
			if _, err := o.ReadFrame(context.Background(), i); err != nil && !typed(err) {
				t.Fatalf("salvaged frame: %v", err)
			}
		}
	}
}

func FuzzObject(f *testing.F) {
	for _, b := range goldenObjects(f) {
		f.Add(b, int64(0))
		f.Add(b, int64(200))
		f.Add(b[:len(b)-len(b)/3], int64(0))
		torn := bytes.Clone(b)
		torn[len(b)-1] ^= 1
		f.Add(torn, int64(0))
	}
	f.Fuzz(useObject)
}

// FuzzSeekTable puts any sizes into a table that is otherwise well-formed,
// behind good frames.
func FuzzSeekTable(f *testing.F) {
	objects := goldenObjects(f)
	f.Add(uint8(0), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	for i, b := range objects {
		count := binary.LittleEndian.Uint32(b[len(b)-seekTableFootBytes:])
		table := b[int64(len(b))-seekTableBytes(int64(count)):]
		f.Add(uint8(i), table[seekTableHeadBytes:len(table)-seekTableFootBytes])
	}
	f.Fuzz(func(t *testing.T, which uint8, entries []byte) {
		b := objects[int(which)%len(objects)]
		count := binary.LittleEndian.Uint32(b[len(b)-seekTableFootBytes:])
		object := bytes.Clone(b[:int64(len(b))-seekTableBytes(int64(count))])
		entries = entries[:len(entries)/seekTableEntryBytes*seekTableEntryBytes]
		object = binary.LittleEndian.AppendUint32(object, 0x184d2a5e)
		object = binary.LittleEndian.AppendUint32(object, uint32(len(entries)+seekTableFootBytes))
		object = append(object, entries...)
		object = binary.LittleEndian.AppendUint32(object, uint32(len(entries)/seekTableEntryBytes))
		object = append(object, 0x80, 0xb1, 0xea, 0x92, 0x8f)
		useObject(t, object, 0)
	})
}

// FuzzIndexFrame puts any index and footer into an object whose stream is good,
// their checksums mended on request.
func FuzzIndexFrame(f *testing.F) {
	file := small()
	_, info := compress(f, file)
	recordsEnd := info.Footer.IndexOffset
	cut := info.Index.Frames()[1].Offset
	f.Add(file[recordsEnd:], uint16(0), true)
	f.Add(file[recordsEnd:], uint16(1), true)
	f.Add(file[len(file)-segment.FooterBytes:], uint16(3), false)
	f.Fuzz(func(t *testing.T, tail []byte, split uint16, mend bool) {
		tail = bytes.Clone(tail)
		if at := len(tail) - segment.FooterBytes; mend && at >= 0 {
			foot := tail[at:]
			binary.LittleEndian.PutUint64(foot[144:], uint64(at))
			binary.LittleEndian.PutUint64(foot[152:], segment.CRC64(tail[:at]))
			binary.LittleEndian.PutUint32(foot[188:], crc32.Checksum(foot[:188], crc32.MakeTable(crc32.Castagnoli)))
		}
		at := cut + int64(split%3)*8
		useObject(t, assemble(t, file[:at], file[at:recordsEnd], tail), 0)
	})
}

func FuzzParseWarmName(f *testing.F) {
	f.Add(WarmName{SegmentID: 7, BaseSeq: 1001, Sealed: 5}.String())
	f.Add("00000000004294967296_0_0.zst")
	f.Fuzz(func(t *testing.T, file string) {
		if name, ok := ParseWarmName(file); ok && name.String() != file {
			t.Fatalf("%q gave %+v", file, name)
		}
	})
}
