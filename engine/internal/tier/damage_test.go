package tier

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// typed says that an error is one that a caller can decide on.
func typed(err error) bool {
	var corrupt *CorruptError
	return errors.As(err, &corrupt) || errors.Is(err, ErrIdentity) || errors.Is(err, segment.ErrVersion)
}

// readAll opens an object and reads all of it, frame by frame and whole.
func readAll(object []byte, objectBytes, tailBytes int64) (o *Object, restored []byte, err error) {
	o, err = OpenObject(context.Background(), &memoryReader{b: object}, objectBytes, tailBytes, testIdentity())
	if err != nil {
		return nil, nil, err
	}
	var whole bytes.Buffer
	err = o.WriteSegment(context.Background(), &whole)
	return o, whole.Bytes(), err
}

func TestObjectTruncatedAtEveryLength(t *testing.T) {
	file := small()
	object, info := compress(t, file)
	for n := range object {
		for name, err := range map[string]error{
			"its length known, the object short": second(readAll(object[:n], info.Bytes, info.TailBytes)),
			"its length as found":                second(readAll(object[:n], int64(n), 0)),
			"its length as found, tail known":    second(readAll(object[:n], int64(n), info.TailBytes)),
		} {
			if !errors.Is(err, ErrCorrupt) || !typed(err) {
				t.Fatalf("%d bytes, %s: %v", n, name, err)
			}
		}
	}
}

func second(_ *Object, _ []byte, err error) error { return err }

func TestObjectFlippedAtEveryByte(t *testing.T) {
	file := small()
	object, info := compress(t, file)
	unnoticed := 0
	for at := range object {
		for _, bits := range []byte{0xff, 1 << (at % 8)} {
			b := bytes.Clone(object)
			b[at] ^= bits
			o, restored, err := readAll(b, info.Bytes, info.TailBytes*int64(bits&1))
			if err == nil && bytes.Equal(restored, file) {
				unnoticed++
				continue
			}
			if err == nil || !typed(err) {
				t.Fatalf("byte %d, bits %x: %v", at, bits, err)
			}
			if o != nil {
				framesAreRightOrCorrupt(t, o, file, at)
			}
		}
	}
	// Bits that mean nothing: one in each frame's descriptor, two in the table's,
	// what a bit stream is filled up with.
	if unnoticed > len(object)/50 {
		t.Errorf("%d of %d flips changed nothing", unnoticed, 2*len(object))
	}
}

// framesAreRightOrCorrupt reads each frame of an object with one bad byte: only
// the frame that holds it may fail, and must say so.
func framesAreRightOrCorrupt(t *testing.T, o *Object, file []byte, at int) {
	t.Helper()
	inTable := int64(at) >= o.indexFrameOffset()
	failed := 0
	for i := range o.Frames() {
		frame, err := o.ReadFrame(context.Background(), i)
		offset, length, _ := o.FrameRange(i)
		if err == nil {
			if !bytes.Equal(frame.Bytes, file[frame.Start:][:len(frame.Bytes)]) {
				t.Fatalf("byte %d: frame %d has wrong bytes", at, i)
			}
			continue
		}
		failed++
		var corrupt *CorruptError
		first, last := o.FrameSeqs(i)
		if !errors.As(err, &corrupt) || corrupt.Frame != i || corrupt.Offset != offset || corrupt.FirstSeq != first || corrupt.LastSeq != last {
			t.Fatalf("byte %d: frame %d: %v", at, i, err)
		}
		if !inTable && (int64(at) < offset || int64(at) >= offset+length) {
			t.Fatalf("byte %d: frame %d of %d bytes at %d failed", at, i, length, offset)
		}
	}
	if failed != 1 {
		t.Fatalf("byte %d: %d frames failed", at, failed)
	}
	read, err := o.ReadFrames(context.Background(), 0, o.Frames(), nil)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || len(read) != corrupt.Frame {
		t.Fatalf("byte %d: %d frames before %v", at, len(read), err)
	}
}

func TestSegmentFlippedAtEveryByteIsNotCompressed(t *testing.T) {
	w := newBuilder()
	for i := range 30 {
		w.record("orders", fmt.Appendf(nil, "number %d", i))
	}
	file := w.sealed()
	for at := range file {
		b := bytes.Clone(file)
		b[at] ^= 1 << (at % 8)
		err := compressFails(t, b)
		if !typed(err) {
			t.Fatalf("byte %d: %v", at, err)
		}
		var corrupt *CorruptError
		if at >= segment.HeaderBytes && at < len(w.b) {
			start, seq := w.holding(at)
			if !errors.As(err, &corrupt) || corrupt.Offset != int64(start) || corrupt.FirstSeq != seq {
				t.Fatalf("byte %d, in record %d at %d: %v", at, seq, start, err)
			}
		}
	}
}

// holding returns where the record that holds a byte begins, and
// its sequence.
func (w *builder) holding(at int) (start int, seq uint64) {
	start, seq = len(w.b)-segment.SealMarkBytes, w.next
	for i := len(w.starts) - 1; i >= 0 && at < start; i-- {
		start, seq = w.starts[i], w.header.BaseSeq+uint64(i)
	}
	if seq == w.next {
		seq = 0 // a mark has none of its own
	}
	return start, seq
}

// compressFails asserts that a segment is refused and that what was written of
// it is no object.
func compressFails(t *testing.T, file []byte) error {
	t.Helper()
	var object bytes.Buffer
	_, err := Compress(context.Background(), &object, bytes.NewReader(file), int64(len(file)), testIdentity(), 0)
	if err == nil {
		t.Fatal("a damaged segment was compressed")
	}
	if _, _, opened := readAll(object.Bytes(), int64(object.Len()), 0); !errors.Is(opened, ErrCorrupt) {
		t.Fatalf("what was written of a damaged segment opens: %v", opened)
	}
	return err
}

func TestSegmentTruncatedAtEveryLengthIsNotCompressed(t *testing.T) {
	w := newBuilder()
	w.record("orders", []byte("alone"))
	file := w.sealed()
	for n := range file {
		if err := compressFails(t, file[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		_, err := Compress(context.Background(), io.Discard, bytes.NewReader(file[:n]), int64(len(file)), testIdentity(), 0)
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes, its length known: %v", n, err)
		}
	}
}

// A frame whose bytes are good in the place of another: only the seek table
// tells them apart before records are read.
func TestFrameInThePlaceOfAnotherIsNoticed(t *testing.T) {
	w := newBuilder()
	r := random(8)
	for range 2 {
		w.record("orders", noise(r, 131072-48-6)) // two frames of the same length
	}
	object, info := compress(t, w.sealed())
	o, _ := open(t, object, info.TailBytes)
	one, length, content := o.FrameRange(1)
	two, otherLength, otherContent := o.FrameRange(0)
	if content+segment.HeaderBytes != otherContent {
		t.Fatalf("frames of %d and %d bytes", content, otherContent)
	}
	if _, err := decodeFrame(object[one:one+length], nil, content, o.entries[0].checksum); !errors.Is(err, errFrameChecksum) {
		t.Errorf("%v", err)
	}
	if _, err := o.DecodeFrame(1, object[two:two+otherLength], nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

// What is allocated is bounded before it is, whatever the table claims.
func TestHostileSeekTableDoesNotMakeUsAllocate(t *testing.T) {
	object, info := compress(t, small())
	table := len(object) - int(seekTableBytes(int64(info.Frames)+1))
	huge := []uint32{0, 1, 13, 1 << 16, 1 << 24, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	var before, after runtime.MemStats
	for field := range (info.Frames + 1) * 3 {
		for _, value := range huge {
			b := bytes.Clone(object)
			binary.LittleEndian.PutUint32(b[table+seekTableHeadBytes+field*4:], value)
			runtime.ReadMemStats(&before)
			_, _, err := readAll(b, info.Bytes, 0)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("field %d with %d: %v", field, value, err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("field %d with %d: %d bytes were allocated", field, value, grown)
			}
		}
	}
	for _, count := range huge {
		b := bytes.Clone(object)
		binary.LittleEndian.PutUint32(b[len(b)-seekTableFootBytes:], count)
		runtime.ReadMemStats(&before)
		_, _, err := readAll(b, info.Bytes, 0)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrCorrupt) || grown > 16<<20 {
			t.Errorf("count %d: %d bytes were allocated, %v", count, grown, err)
		}
	}
}

func TestLengthsOutOfBoundsAreRefusedBeforeAnyRead(t *testing.T) {
	s := specimens()[2]
	for _, c := range [][2]int64{
		{-1, 0}, {0, 0}, {10, 0}, {1 << 40, 0}, {s.info.Bytes, -1}, {s.info.Bytes, 3}, {s.info.Bytes, s.info.Bytes + 1}, {objectBytesMax, objectBytesMax},
	} {
		src := &memoryReader{b: s.object}
		_, err := OpenObject(context.Background(), src, c[0], c[1], testIdentity())
		if !errors.Is(err, ErrCorrupt) || len(src.taken()) != 0 {
			t.Errorf("%d bytes, tail of %d: %v", c[0], c[1], err)
		}
	}
	if _, err := Compress(context.Background(), io.Discard, bytes.NewReader(s.file), 1<<40, testIdentity(), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a segment of 1 TiB: %v", err)
	}
}

func TestObjectOfAnotherVersionIsSaidToBeOne(t *testing.T) {
	s := specimens()[2]
	for name, change := range map[string]func(file []byte){
		"footer": func(file []byte) { binary.LittleEndian.PutUint16(file[len(file)-segment.FooterBytes+8:], 4) },
		"index": func(file []byte) {
			block := file[s.info.Footer.IndexOffset : len(file)-segment.FooterBytes]
			block[0] = 9
			footer := s.info.Footer
			footer.IndexCRC64 = segment.CRC64(block)
			var b [segment.FooterBytes]byte
			footer.Encode(&b)
			copy(file[len(file)-segment.FooterBytes:], b[:])
		},
	} {
		file := bytes.Clone(s.file)
		change(file)
		_, err := Compress(context.Background(), io.Discard, bytes.NewReader(file), int64(len(file)), testIdentity(), 0)
		if !errors.Is(err, segment.ErrVersion) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, compressing: %v", name, err)
		}
		object := assemble(t, file[:s.info.Footer.IndexOffset], file[s.info.Footer.IndexOffset:])
		_, err = OpenObject(context.Background(), &memoryReader{b: object}, int64(len(object)), 0, testIdentity())
		if !errors.Is(err, segment.ErrVersion) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, opening: %v", name, err)
		}
	}
}
