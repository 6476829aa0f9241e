package tier

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// bare is what the key of an object says of the segment.
func bare(f *segment.Footer) segment.Footer {
	return segment.Footer{LogID: f.LogID, ID: f.ID, BaseSeq: f.BaseSeq, FirstSeq: f.FirstSeq, LastSeq: f.LastSeq}
}

// sealed is what the manifest says of it.
func sealed(f *segment.Footer) segment.Footer {
	known := *f
	known.IndexBytes, known.IndexCRC64 = 0, 0
	return known
}

// salvage opens an object of which something is damaged, and checks that whatever
// is found is what was written. It returns the frames that could be read.
func salvage(t *testing.T, object []byte, objectBytes int64, known segment.Footer, file []byte) (o *Object, read []bool) {
	t.Helper()
	o, err := SalvageObject(context.Background(), &memoryReader{b: object}, objectBytes, known)
	if err != nil {
		if !typed(err) {
			t.Fatalf("%v", err)
		}
		return nil, nil
	}
	footer := o.Footer()
	if footer.LastSeq != known.LastSeq || footer.BaseSeq != known.BaseSeq || !o.Salvaged() {
		t.Fatalf("footer %+v", footer)
	}
	next := footer.BaseSeq
	for i := range o.Frames() {
		first, last := o.FrameSeqs(i)
		if first != next || last+1 < first {
			t.Fatalf("frame %d of sequences %d to %d, expected %d", i, first, last, next)
		}
		next = last + 1
		frame, err := o.ReadFrame(context.Background(), i)
		read = append(read, err == nil)
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Frame != i || corrupt.FirstSeq != first && last >= first {
				t.Fatalf("frame %d: %v", i, err)
			}
			continue
		}
		if !bytes.Equal(frame.Bytes, file[frame.Start:][:len(frame.Bytes)]) {
			t.Fatalf("frame %d is not what was written", i)
		}
		wantSeqs(t, frame, first, last, footer.Salt)
	}
	if next != footer.LastSeq+1 {
		t.Fatalf("frames end with %d of %d", next-1, footer.LastSeq)
	}
	return o, read
}

// wantSeqs checks that a frame holds the sequences that it is said to.
func wantSeqs(t *testing.T, frame Frame, first, last uint64, salt uint64) {
	t.Helper()
	b := frame.Bytes
	if frame.Start == 0 {
		b = b[segment.HeaderBytes:]
	}
	var record segment.Record
	for next := first; len(b) > 0; {
		n, err := segment.DecodeRecord(b, salt, &record)
		if err != nil {
			return // it was damaged when it was sealed
		}
		b = b[n:]
		if record.Flags&segment.FlagControl == 0 {
			if record.Seq != next || next > last {
				t.Fatalf("frame %d holds %d where %d is expected of %d to %d", frame.Number, record.Seq, next, first, last)
			}
			next++
		}
	}
}

func allOf(read []bool) bool {
	for _, ok := range read {
		if !ok {
			return false
		}
	}
	return len(read) > 0
}

func TestDamageToTheTailCostsNoRecord(t *testing.T) {
	file := small()
	object, info := compress(t, file)
	all := append([]specimen{{name: "small", file: file, object: object, info: info}}, specimens()...)
	for i, s := range all {
		tail, step := s.info.Bytes-s.info.TailBytes, int64(1)
		if i > 0 { // every byte of one
			step = max(1, s.info.TailBytes/40)
		}
		for at := tail; at < s.info.Bytes; at += step {
			b := bytes.Clone(s.object)
			b[at] ^= 1 << (at % 8)
			for name, known := range map[string]segment.Footer{"sealed": sealed(&s.info.Footer), "bare": bare(&s.info.Footer)} {
				_, read := salvage(t, b, s.info.Bytes, known, s.file)
				// With the index frame lost and the key alone, what follows the
				// records may look like a frame that cannot be read.
				if len(read) > s.info.Frames && name == "bare" {
					read = read[:s.info.Frames]
				}
				if len(read) != s.info.Frames || !allOf(read) {
					t.Fatalf("%s, byte %d of the tail's %d, %s: frames read %v of %d", s.name, at-tail, s.info.TailBytes, name, read, s.info.Frames)
				}
			}
		}
	}
}

func TestDamageToTailAndFrameCostsThatFrame(t *testing.T) {
	for _, s := range specimens() {
		if s.info.Frames < 2 {
			continue
		}
		o, _ := open(t, s.object, 0)
		b := bytes.Clone(s.object)
		b[o.indexFrameOffset()+20] ^= 1
		for i := range o.Frames() {
			offset, length, _ := o.FrameRange(i)
			damaged := bytes.Clone(b)
			damaged[offset+length/2] ^= 1
			for _, known := range []segment.Footer{sealed(&s.info.Footer), bare(&s.info.Footer)} {
				salvaged, read := salvage(t, damaged, s.info.Bytes, known, s.file)
				if salvaged == nil && i == 0 && known.Salt == 0 {
					continue // nothing else has the salt
				}
				if len(read) != o.Frames() {
					t.Fatalf("%s: %d frames of %d", s.name, len(read), o.Frames())
				}
				first, last := o.FrameSeqs(i)
				if f, l := salvaged.FrameSeqs(i); f != first || l != last {
					t.Errorf("%s, frame %d: sequences %d to %d, want %d to %d", s.name, i, f, l, first, last)
				}
				for j := range read {
					if read[j] != (j != i) {
						t.Errorf("%s, damage in frame %d: frame %d read: %v", s.name, i, j, read[j])
					}
				}
			}
		}
	}
}

// Of an object that was cut off, what is left of it is read.
func TestWhatIsLeftOfATruncatedObjectIsSalvaged(t *testing.T) {
	for _, s := range specimens() {
		o, _ := open(t, s.object, 0)
		step := max(1, len(s.object)/100)
		for n := 0; n < len(s.object); n += step {
			whole := 0
			for i := range o.Frames() {
				if offset, length, _ := o.FrameRange(i); offset+length <= int64(n) {
					whole++
				}
			}
			for _, objectBytes := range []int64{int64(n), s.info.Bytes} { // as found, as recorded
				for _, known := range []segment.Footer{sealed(&s.info.Footer), bare(&s.info.Footer)} {
					_, read := salvage(t, s.object[:n], objectBytes, known, s.file)
					if len(read) < whole || whole > 0 && !allOf(read[:whole]) {
						t.Fatalf("%s, %d bytes of %d: frames read %v, %d are whole", s.name, n, len(s.object), read, whole)
					}
				}
			}
		}
	}
}

// No claim of a frame or of the table makes a salvage allocate more than the
// object's content.
func TestHostileFramesDoNotMakeASalvageAllocate(t *testing.T) {
	file := small()
	object, info := compress(t, file)
	var before, after runtime.MemStats
	for _, at := range []int64{4, 5, 6, 7, 8, 9, info.Bytes - info.TailBytes + 4, info.Bytes - info.TailBytes + 6} {
		for _, value := range []uint32{0xffffffff, 0x7fffffff, 0xa0000000, 0x00ffffff} {
			b := bytes.Clone(object)
			binary.LittleEndian.PutUint32(b[at:], value)
			b[len(b)-1] ^= 1 // and no seek table
			runtime.ReadMemStats(&before)
			salvage(t, b, info.Bytes, sealed(&info.Footer), file)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("%#x at %d: %d bytes were allocated", value, at, grown)
			}
		}
	}
}

func TestASalvageFindsNoOtherSegment(t *testing.T) {
	file := small()
	object, info := compress(t, file)
	object[info.Bytes-info.TailBytes+20] ^= 1
	for name, change := range map[string]func(*segment.Footer){
		"log":     func(f *segment.Footer) { f.LogID++ },
		"segment": func(f *segment.Footer) { f.ID++ },
		"base":    func(f *segment.Footer) { f.BaseSeq++ },
	} {
		known := bare(&info.Footer)
		change(&known)
		_, err := SalvageObject(context.Background(), &memoryReader{b: object}, info.Bytes, known)
		if !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
