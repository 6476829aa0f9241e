package tier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

func forEachSpecimen(t *testing.T, test func(t *testing.T, s specimen, object []byte, info ObjectInfo)) {
	for _, s := range specimens() {
		t.Run(s.name, func(t *testing.T) {
			test(t, s, s.object, s.info)
		})
	}
}

func TestObjectInfoSaysWhatWasWritten(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, s specimen, object []byte, info ObjectInfo) {
		if info.Bytes != int64(len(object)) || info.CRC64 != segment.CRC64(object) {
			t.Errorf("%d bytes with CRC %x: %+v", len(object), segment.CRC64(object), info)
		}
		if s.frames != 0 && info.Frames != s.frames {
			t.Errorf("%d frames, expected %d", info.Frames, s.frames)
		}
		footer, _, ok := segment.FindFooter(s.file, testHeader().LogID, testHeader().ID)
		if !ok || footer != info.Footer || len(info.Index.Frames()) > info.Frames {
			t.Errorf("%+v", info.Footer)
		}
		again, _ := compress(t, s.file)
		if !bytes.Equal(again, object) {
			t.Error("the same segment gave other bytes")
		}
	})
}

// What any zstd tool does with the object.
func TestPlainZstdDecoderGivesTheSegmentFile(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, s specimen, object []byte, _ ObjectInfo) {
		plain, err := zstd.NewReader(bytes.NewReader(object), zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		got, err := io.ReadAll(plain)
		if err != nil || !bytes.Equal(got, s.file) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(s.file), err)
		}
	})
}

// What any reader of the seekable format does with the object.
func TestSeekableReaderReadsAnyPlaceOfTheSegment(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, s specimen, object []byte, _ ObjectInfo) {
		plain, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		r, err := seekable.NewReader(bytes.NewReader(object), plain)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(s.file) / 3, len(s.file) - 200} {
			b := make([]byte, 100)
			if _, err := r.ReadAt(b, int64(at)); err != nil || !bytes.Equal(b, s.file[at:at+100]) {
				t.Errorf("at %d: %v", at, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestObjectGivesTheSegmentBack(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, s specimen, object []byte, info ObjectInfo) {
		for _, tailBytes := range []int64{info.TailBytes, 0} {
			o, _ := open(t, object, tailBytes)
			if o.Footer() != info.Footer || o.Bytes() != info.Bytes || o.TailBytes() != info.TailBytes ||
				o.Frames() != info.Frames || o.SegmentBytes() != int64(len(s.file)) {
				t.Fatalf("%+v", o.Footer())
			}
			var restored bytes.Buffer
			if err := o.WriteSegment(context.Background(), &restored); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(restored.Bytes(), s.file) {
				t.Fatal("another segment came back")
			}
		}
	})
}

func TestFramesHoldTheSegmentAsTheIndexSays(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, s specimen, object []byte, info ObjectInfo) {
		o, _ := open(t, object, info.TailBytes)
		all, err := o.ReadFrames(context.Background(), 0, o.Frames(), nil)
		if err != nil || len(all) != o.Frames() {
			t.Fatalf("%d frames: %v", len(all), err)
		}
		next := int64(0)
		for i := range o.Frames() {
			frame, err := o.ReadFrame(context.Background(), i)
			if err != nil {
				t.Fatal(err)
			}
			end := frame.Start + int64(len(frame.Bytes))
			if frame.Number != i || frame.Start != next || !bytes.Equal(frame.Bytes, s.file[next:end]) {
				t.Fatalf("frame %d at %d of %d bytes", i, frame.Start, len(frame.Bytes))
			}
			if all[i].Number != i || all[i].Start != next || !bytes.Equal(all[i].Bytes, frame.Bytes) {
				t.Fatalf("frame %d of many differs", i)
			}
			if i > 0 && frame.Start != o.Index().Frames()[i].Offset {
				t.Fatalf("frame %d at %d", i, frame.Start)
			}
			if o.FrameAt(frame.Start) != i || o.FrameAt(end-1) != i {
				t.Fatalf("frame %d: its offsets are in %d and %d", i, o.FrameAt(frame.Start), o.FrameAt(end-1))
			}
			next = end
		}
		if next != int64(info.Footer.IndexOffset) {
			t.Errorf("frames end at %d of %d", next, info.Footer.IndexOffset)
		}
	})
}

func TestEveryRecordIsOneFrameAway(t *testing.T) {
	forEachSpecimen(t, func(t *testing.T, s specimen, object []byte, info ObjectInfo) {
		o, _ := open(t, object, info.TailBytes)
		r := random(2)
		for range min(info.Footer.Count, 50) {
			seq := info.Footer.FirstSeq + r.Uint64N(info.Footer.LastSeq-info.Footer.FirstSeq+1)
			i := o.FrameAt(o.Index().SeekSeq(seq))
			if first, last := o.FrameSeqs(i); seq < first || seq > last {
				t.Fatalf("sequence %d is not in %d to %d of frame %d", seq, first, last, i)
			}
			frame, err := o.ReadFrame(context.Background(), i)
			if err != nil {
				t.Fatal(err)
			}
			if !o.Index().Frames()[i].Damaged && !slices.Contains(seqsOf(t, o, frame), seq) {
				t.Fatalf("frame %d has no record %d", i, seq)
			}
		}
	})
}

// seqsOf walks the records of a frame without damage.
func seqsOf(t *testing.T, o *Object, frame Frame) []uint64 {
	t.Helper()
	offset := max(frame.Start, segment.HeaderBytes)
	var seqs []uint64
	for offset < frame.Start+int64(len(frame.Bytes)) {
		var r segment.Record
		n, err := segment.DecodeRecord(frame.Bytes[offset-frame.Start:], o.Footer().Salt, &r)
		if err != nil {
			t.Fatalf("frame %d at %d: %v", frame.Number, offset, err)
		}
		if r.Flags&segment.FlagControl == 0 {
			seqs = append(seqs, r.Seq)
		}
		offset += int64(n)
	}
	return seqs
}

func TestDamagedRangeOfASegmentIsCarriedAlong(t *testing.T) {
	w := newBuilder()
	r := random(3)
	for range 3000 {
		w.record("orders", event(r))
	}
	object, info := compress(t, w.partial(1500))
	o, _ := open(t, object, info.TailBytes)
	i := o.FrameAt(int64(w.starts[1500]))
	if !o.Index().Frames()[i].Damaged || info.Footer.Flags&segment.FooterPartial == 0 || info.Footer.Count != 2999 {
		t.Fatalf("frame %d is not marked: %+v", i, info.Footer)
	}
	frame, err := o.ReadFrame(context.Background(), i)
	if err != nil {
		t.Fatal(err)
	}
	var record segment.Record
	if _, err := segment.DecodeRecord(frame.Bytes[int64(w.starts[1500])-frame.Start:], testSalt, &record); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("the damaged record verifies: %v", err)
	}
	if _, err := segment.DecodeRecord(frame.Bytes[int64(w.starts[1501])-frame.Start:], testSalt, &record); err != nil || record.Seq != 1001+1501 {
		t.Errorf("the record behind it: %+v, %v", record, err)
	}
}

func TestLevelsGiveObjectsOfTheSameSegment(t *testing.T) {
	file := specimens()[3].file
	sizes := map[int]int64{}
	for _, level := range []int{1, 3, 7, 19} {
		var object bytes.Buffer
		info, err := Compress(context.Background(), &object, bytes.NewReader(file), int64(len(file)), testIdentity(), level)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := open(t, object.Bytes(), 0)
		if err := o.WriteSegment(context.Background(), io.Discard); err != nil {
			t.Errorf("level %d: %v", level, err)
		}
		sizes[level] = info.Bytes
	}
	if sizes[19] >= sizes[1] {
		t.Errorf("sizes by level: %v", sizes)
	}
}
