package tier

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// table encodes a seek table of these compressed and content bytes.
func table(entries ...[2]uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x184d2a5e)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(entries)*seekTableEntryBytes+seekTableFootBytes))
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b, e[0])
		b = binary.LittleEndian.AppendUint32(b, e[1])
		b = binary.LittleEndian.AppendUint32(b, 0)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(entries)))
	return append(b, 0x80, 0xb1, 0xea, 0x92, 0x8f)
}

func TestSeekTableIsBounded(t *testing.T) {
	const huge = 1 << 31
	many := make([][2]uint32, 40)
	for i := range many {
		many[i] = [2]uint32{1000, 60 << 20} // 2.3 GiB together
	}
	for name, entries := range map[string][][2]uint32{
		"fits":                              {{1000, 2000}, {100, 500}},
		"content longer than any segment":   append(slices.Clone(many), [2]uint32{100, 500}),
		"compressed longer than it can be":  {{1000, 800}, {100, 500}},
		"compressed shorter than it can be": {{13, 800}, {100, 500}},
		"no content":                        {{100, 0}, {100, 500}},
		"index longer than it can be":       {{1000, 2000}, {100, 1 << 20}},
		"index of 2 GiB":                    {{1000, 2000}, {100, huge}},
		"index shorter than a footer":       {{1000, 2000}, {100, segment.FooterBytes}},
	} {
		var at int64
		for _, e := range entries {
			at += int64(e[0])
		}
		_, err := parseSeekTable(table(entries...), at)
		if fits := name == "fits"; fits != (err == nil) || !fits && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := parseSeekTable(table(entries...), at+1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, and a byte in between: %v", name, err)
		}
	}
	noChecksums := table([2]uint32{1000, 2000}, [2]uint32{100, 500})
	noChecksums[len(noChecksums)-5] = 0
	if _, err := parseSeekTable(noChecksums, 1100); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without checksums: %v", err)
	}
}

// hollow is a long object of which only the end is there.
type hollow struct {
	bytes int64
	end   []byte
	read  int64
}

func (h *hollow) ReadRange(_ context.Context, offset, length int64) ([]byte, error) {
	h.read += length
	b := make([]byte, length)
	if from := h.bytes - int64(len(h.end)); offset+length > from {
		copy(b[max(from-offset, 0):], h.end[max(offset-from, 0):])
	}
	return b, nil
}

func TestSeekTableThatFillsTheObjectIsNotRead(t *testing.T) {
	for _, count := range []uint32{0, 1, framesMax + 1, 80_000_000} {
		foot := binary.LittleEndian.AppendUint32(nil, count)
		src := &hollow{bytes: 1 << 30, end: append(foot, 0x80, 0xb1, 0xea, 0x92, 0x8f)}
		_, err := OpenObject(context.Background(), src, src.bytes, 0, testIdentity())
		if !errors.Is(err, ErrCorrupt) || src.read > bareTailBytes {
			t.Errorf("%d frames: %d bytes were read, %v", count, src.read, err)
		}
	}
}

// Sizes that add up, far larger than what is there: the frame's own header has
// to agree before memory is taken.
func TestConsistentLiesDoNotMakeUsAllocate(t *testing.T) {
	object, info := compress(t, small())
	o, _ := open(t, object, info.TailBytes)
	var entries [][2]uint32
	for i := range o.Frames() {
		_, length, _ := o.FrameRange(i)
		entries = append(entries, [2]uint32{uint32(length), 1 << 30})
	}
	indexBytes := uint32(info.TailBytes - seekTableBytes(int64(o.Frames()+1)))
	entries = append(entries, [2]uint32{indexBytes, 60 << 20})
	b := append(bytes.Clone(object[:int64(len(object))-seekTableBytes(int64(o.Frames()+1))]), table(entries...)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := OpenObject(context.Background(), &memoryReader{b: b}, int64(len(b)), 0, testIdentity())
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errFrameHeader) || grown > 1<<20 {
		t.Errorf("%d bytes were allocated: %v", grown, err)
	}
}

func TestTailOfAnotherLengthIsRefused(t *testing.T) {
	object, info := compress(t, small())
	for _, tailBytes := range []int64{info.TailBytes - 1, info.TailBytes + 1, info.Bytes, seekTableFootBytes} {
		_, err := OpenObject(context.Background(), &memoryReader{b: object}, info.Bytes, tailBytes, testIdentity())
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("tail of %d bytes instead of %d: %v", tailBytes, info.TailBytes, err)
		}
	}
}

func TestFrameMustCarryChecksumAndSize(t *testing.T) {
	content := bytes.Repeat([]byte("content "), 100)
	encode := func(options ...zstd.EOption) []byte {
		encoder, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		return encoder.EncodeAll(content, nil)
	}
	good := encode()
	unsized := streamed(t, content)
	twice := append(encode(), good...)
	for name, c := range map[string]struct {
		frame  []byte
		length int
		want   error
	}{
		"good":               {good, len(content), nil},
		"without a checksum": {encode(zstd.WithEncoderCRC(false)), len(content), errFrameHeader},
		"without a size":     {unsized, len(content), errFrameHeader},
		"of another size":    {good, len(content) - 1, errFrameHeader},
		"with a dictionary":  {encode(zstd.WithEncoderDictRaw(7, content)), len(content), errFrameHeader},
		"two frames for one": {twice, len(content), zstd.ErrDecoderSizeExceeded},
		"two frames for two": {twice, 2 * len(content), errFrameHeader},
		"a skippable frame":  {table([2]uint32{1, 1}), len(content), errFrameHeader},
	} {
		checksum := binary.LittleEndian.Uint32(c.frame[len(c.frame)-frameChecksumBytes:])
		got, err := decodeFrame(c.frame, nil, int64(c.length), checksum)
		if !errors.Is(err, c.want) || err == nil && !bytes.Equal(got, content) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// streamed encodes as a stream, whose frame does not know its size.
func streamed(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	encoder, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(content, 300) {
		if _, err := encoder.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := encoder.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Frames that lie closer together than the format allows would make more of
// them than a segment can have.
func TestIndexWithFramesTooCloseIsRefused(t *testing.T) {
	file := small()
	_, info := compress(t, file)
	recordsEnd, at := info.Footer.IndexOffset, len(file)-segment.FooterBytes
	second := info.Index.Frames()[1].Offset
	for offset, refused := range map[int64]bool{second: false, segment.HeaderBytes + segment.FrameBytes - 8: true, 136: true, int64(recordsEnd): true} {
		tail := bytes.Clone(file[recordsEnd:])
		entry := 8 + 8 + 8 + 24 // head of the block, of the section, of the frames, the first entry
		binary.LittleEndian.PutUint32(tail[entry+16:], uint32(offset))
		footer := info.Footer
		footer.IndexCRC64 = segment.CRC64(tail[:at-int(recordsEnd)])
		var foot [segment.FooterBytes]byte
		footer.Encode(&foot)
		copy(tail[at-int(recordsEnd):], foot[:])
		changed := append(bytes.Clone(file[:recordsEnd]), tail...)
		_, err := Compress(context.Background(), &bytes.Buffer{}, bytes.NewReader(changed), int64(len(changed)), testIdentity(), 0)
		if refused != errors.Is(err, ErrCorrupt) || !refused && err != nil {
			t.Errorf("compressing with a frame at %d: %v", offset, err)
		}
		parts := [][]byte{file[:offset], file[offset:recordsEnd], tail}
		if offset == int64(recordsEnd) {
			parts = [][]byte{file[:recordsEnd], tail}
		}
		object := assemble(t, parts...)
		_, err = OpenObject(context.Background(), &memoryReader{b: object}, int64(len(object)), 0, testIdentity())
		if refused != errors.Is(err, ErrCorrupt) || !refused && err != nil {
			t.Errorf("opening with a frame at %d: %v", offset, err)
		}
	}
}
