package tier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestOpeningWithKnownTailIsOneRangeRead(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, _ specimen, object []byte, info ObjectInfo) {
		_, src := open(t, object, info.TailBytes)
		want := [][2]int64{{info.Bytes - info.TailBytes, info.TailBytes}}
		if got := src.taken(); !slices.Equal(got, want) {
			t.Errorf("read %v, expected %v", got, want)
		}
	})
}

func TestOpeningABareObjectReadsItsLast64KiB(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, _ specimen, object []byte, info ObjectInfo) {
		_, src := open(t, object, 0)
		first := min(info.Bytes, bareTailBytes)
		if got, want := src.taken(), [][2]int64{{info.Bytes - first, first}}; !slices.Equal(got, want) {
			t.Errorf("read %v, expected %v", got, want)
		}
	})
}

// Subjects that nothing repeats make an index of more than 64 KiB.
func TestOpeningABareObjectReadsTheRestOfALongTail(t *testing.T) {
	w := newBuilder()
	r := random(4)
	for range 60000 {
		w.record(fmt.Sprintf("%x", noise(r, 8)), []byte("x"))
	}
	file := w.sealed()
	object, info := compress(t, file)
	if info.TailBytes < bareTailBytes+1000 {
		t.Fatalf("the tail has %d bytes only", info.TailBytes)
	}
	o, src := open(t, object, 0)
	if o.TailBytes() != info.TailBytes {
		t.Errorf("tail of %d bytes", o.TailBytes())
	}
	want := [][2]int64{
		{info.Bytes - bareTailBytes, bareTailBytes},
		{info.Bytes - info.TailBytes, info.TailBytes - bareTailBytes},
	}
	if got := src.taken(); !slices.Equal(got, want) {
		t.Errorf("read %v, expected %v", got, want)
	}
	var restored bytes.Buffer
	if err := o.WriteSegment(context.Background(), &restored); err != nil || !bytes.Equal(restored.Bytes(), file) {
		t.Errorf("another segment came back: %v", err)
	}
}

func TestReadFrameIsOneRangeReadOfExactlyTheFrame(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, _ specimen, object []byte, info ObjectInfo) {
		o, src := open(t, object, info.TailBytes)
		src.taken()
		next := int64(0)
		for i := range o.Frames() {
			frame, err := o.ReadFrame(context.Background(), i)
			if err != nil {
				t.Fatal(err)
			}
			offset, length, content := o.FrameRange(i)
			if offset != next || content != int64(len(frame.Bytes)) {
				t.Fatalf("frame %d at %d with %d bytes", i, offset, content)
			}
			if got, want := src.taken(), [][2]int64{{offset, length}}; !slices.Equal(got, want) {
				t.Fatalf("frame %d: read %v, expected %v", i, got, want)
			}
			next += length
		}
		if next != info.Bytes-info.TailBytes {
			t.Errorf("frames end at %d of %d", next, info.Bytes-info.TailBytes)
		}
	})
}

func TestReadFramesIsOneRangeRead(t *testing.T) {
	s := specimens()[3]
	o, src := open(t, s.object, s.info.TailBytes)
	src.taken()
	if _, err := o.ReadFrames(context.Background(), 1, 2, nil); err != nil {
		t.Fatal(err)
	}
	from, _, _ := o.FrameRange(1)
	last, length, _ := o.FrameRange(2)
	if got, want := src.taken(), [][2]int64{{from, last + length - from}}; !slices.Equal(got, want) {
		t.Errorf("read %v, expected %v", got, want)
	}
}

func TestRestoringReadsTheObjectOnceInLongRanges(t *testing.T) {
	w := newBuilder()
	r := random(5)
	for len(w.b) < 10<<20 {
		w.record("orders", noise(r, 60<<10))
	}
	w.record("orders", noise(r, 5<<20)) // in a range of its own
	file := w.sealed()
	object, info := compress(t, file)
	o, src := open(t, object, info.TailBytes)
	src.taken()
	if err := o.WriteSegment(context.Background(), io.Discard); err != nil {
		t.Fatal(err)
	}
	ranges := src.taken()
	next := int64(0)
	for _, read := range ranges {
		if read[0] != next || read[1] > spanBytes+2<<20 {
			t.Fatalf("read %v", ranges)
		}
		next += read[1]
	}
	if next != info.Bytes-info.TailBytes || len(ranges) > 6 {
		t.Errorf("%d ranges up to %d of %d", len(ranges), next, info.Bytes-info.TailBytes)
	}
}

func TestDecodeFrameUsesTheMemoryGiven(t *testing.T) {
	s := specimens()[3]
	o, _ := open(t, s.object, s.info.TailBytes)
	offset, length, content := o.FrameRange(1)
	memory := make([]byte, 0, content+decodeSlackBytes)
	frame, err := o.DecodeFrame(1, s.object[offset:offset+length], memory)
	if err != nil || &frame.Bytes[0] != &memory[:1][0] {
		t.Errorf("other memory was used: %v", err)
	}
	// The least of several runs: a decoder that waits to be used again may be
	// collected in between, and the race detector drops some on purpose.
	allocations := math.Inf(1)
	for range 20 {
		allocations = min(allocations, testing.AllocsPerRun(1, func() {
			if _, err := o.DecodeFrame(1, s.object[offset:offset+length], memory); err != nil {
				t.Fatal(err)
			}
		}))
	}
	if allocations > 2 {
		t.Errorf("%v allocations to decode a frame", allocations)
	}
}

func TestCompressAllocatesLittleForAFrame(t *testing.T) {
	w := newBuilder()
	r := random(6)
	for len(w.b) < 2<<20 {
		w.record("orders", event(r))
	}
	file := w.sealed()
	frames := 0
	allocations := testing.AllocsPerRun(2, func() {
		info, err := Compress(context.Background(), io.Discard, bytes.NewReader(file), int64(len(file)), testIdentity(), 0)
		if err != nil {
			t.Fatal(err)
		}
		frames = info.Frames
	})
	if allocations > float64(frames)*2+60 {
		t.Errorf("%v allocations for %d frames", allocations, frames)
	}
}

func TestObjectIsReadConcurrently(t *testing.T) {
	s := specimens()[3]
	o, _ := open(t, s.object, s.info.TailBytes)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range o.Frames() {
				frame, err := o.ReadFrame(context.Background(), i)
				if err != nil || !bytes.Equal(frame.Bytes, s.file[frame.Start:frame.Start+int64(len(frame.Bytes))]) {
					t.Errorf("frame %d: %v", i, err)
				}
			}
			var restored bytes.Buffer
			if err := o.WriteSegment(context.Background(), &restored); err != nil || !bytes.Equal(restored.Bytes(), s.file) {
				t.Errorf("restore: %v", err)
			}
		})
	}
	wait.Wait()
}

func TestMemoryBytesCoversTheIndex(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, _ specimen, object []byte, info ObjectInfo) {
		o, _ := open(t, object, info.TailBytes)
		if got := o.MemoryBytes(); got < o.Index().MemoryBytes()+int64(24*o.Frames()) || got > 4<<10+8*int64(info.Footer.IndexBytes) {
			t.Errorf("%d bytes for an index of %d", got, info.Footer.IndexBytes)
		}
	})
}

func TestFileReaderReadsWarmFiles(t *testing.T) {
	s := specimens()[3]
	for name, disk := range map[string]struct {
		fs  vfs.FS
		dir string
	}{"memory": {vfs.NewMem(1), "/"}, "os": {vfs.OS(), t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(disk.dir, WarmName{SegmentID: 7, BaseSeq: 1001, Sealed: 5}.String())
			if err := vfs.WriteFileAtomic(disk.fs, path, s.object); err != nil {
				t.Fatal(err)
			}
			file, err := disk.fs.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			src := NewFileReader(file)
			o, err := OpenObject(context.Background(), src, s.info.Bytes, s.info.TailBytes, testIdentity())
			if err != nil {
				t.Fatal(err)
			}
			var restored bytes.Buffer
			if err := o.WriteSegment(context.Background(), &restored); err != nil || !bytes.Equal(restored.Bytes(), s.file) {
				t.Errorf("another segment came back: %v", err)
			}
			if _, err := src.ReadRange(context.Background(), s.info.Bytes-1, 2); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("a range behind the end: %v", err)
			}
			cancelled, cancel := context.WithCancel(context.Background())
			cancel()
			if _, err := src.ReadRange(cancelled, 0, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("with a cancelled context: %v", err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := o.ReadFrame(context.Background(), 0); !errors.Is(err, os.ErrClosed) {
				t.Errorf("from a closed file: %v", err)
			}
		})
	}
}

func TestFramesOfAnEmptySegment(t *testing.T) {
	header := specimens()[1]
	o, _ := open(t, header.object, 0)
	frame, err := o.ReadFrame(context.Background(), 0)
	if err != nil || frame.Start != 0 || len(frame.Bytes) != segment.HeaderBytes || o.FrameAt(segment.HeaderBytes) != 0 {
		t.Errorf("%+v, %v", frame, err)
	}
	if first, last := o.FrameSeqs(0); last+1 != first {
		t.Errorf("sequences %d to %d", first, last)
	}
}
