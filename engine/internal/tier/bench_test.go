package tier

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// benchSegments are sealed segments of events. AOF_BENCH_EVENTS names files of
// events, one a line, separated as in PATH; without it they are made up.
var benchSegments = sync.OnceValue(func() map[string][]byte {
	segments := map[string][]byte{}
	for _, path := range filepath.SplitList(os.Getenv("AOF_BENCH_EVENTS")) {
		b, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		var events [][]byte
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			events = append(events, bytes.Clone(lines.Bytes()))
		}
		segments[filepath.Base(path)] = benchSegment(len(events), func(i int) []byte { return events[i] })
	}
	if len(segments) == 0 {
		r := random(9)
		segments["made-up"] = benchSegment(100_000, func(int) []byte { return event(r) })
	}
	return segments
})

func benchSegment(records int, payload func(i int) []byte) []byte {
	w := newBuilder()
	for i := range records {
		w.record("events", payload(i))
	}
	return w.sealed()
}

func benchEach(b *testing.B, run func(b *testing.B, file []byte)) {
	for name, file := range benchSegments() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			run(b, file)
		})
	}
}

func BenchmarkCompress(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		var info ObjectInfo
		for b.Loop() {
			var err error
			info, err = Compress(context.Background(), io.Discard, bytes.NewReader(file), int64(len(file)), testIdentity(), 0)
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(file))/float64(info.Bytes), "ratio")
		b.ReportMetric(float64(info.Frames), "frames")
	})
}

// BenchmarkCompressInOneFrame is what frames are measured against: the same
// bytes, encoder and level, without places to begin at.
func BenchmarkCompressInOneFrame(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		var object []byte
		for b.Loop() {
			object = encoder.EncodeAll(file, object[:0])
		}
		b.ReportMetric(float64(len(file))/float64(len(object)), "ratio")
	})
}

// BenchmarkDecodeLimit is the limit of a warm sequential read: the streaming
// decoder on the same object, which gives bytes and knows no records.
func BenchmarkDecodeLimit(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		object, _ := compress(b, file)
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			b.Fatal(err)
		}
		defer decoder.Close()
		for b.Loop() {
			if err := decoder.Reset(bytes.NewReader(object)); err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, decoder); err != nil || n != int64(len(file)) {
				b.Fatal(n, err)
			}
		}
	})
}

// BenchmarkReadFrames is a sequential read of the frames, each verified against
// its checksum; BenchmarkReadRecords verifies and visits each record as well.
func BenchmarkReadFrames(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		o := benchObject(b, file)
		for b.Loop() {
			visit(b, o, func(Frame) {})
		}
	})
}

// against runs a limit and our work in turn and compares the fastest runs of
// each, so that other work on the machine falls out.
func against(b *testing.B, bytes int, limit, ours func() error) {
	fastest := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for i, run := range []func() error{limit, ours} {
			start := time.Now()
			if err := run(); err != nil {
				b.Fatal(err)
			}
			fastest[i] = min(fastest[i], time.Since(start))
		}
	}
	b.ReportMetric(float64(fastest[0])/float64(fastest[1]), "of-limit")
	b.ReportMetric(float64(bytes)/1e6/fastest[0].Seconds(), "limit-MB/s")
}

// BenchmarkReadAgainstLimit is what the bar for warm reads is stated for.
func BenchmarkReadAgainstLimit(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		o := benchObject(b, file)
		object, _ := compress(b, file)
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			b.Fatal(err)
		}
		defer decoder.Close()
		against(b, len(file), func() error {
			if err := decoder.Reset(bytes.NewReader(object)); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, decoder)
			return err
		}, func() error {
			visit(b, o, func(Frame) {})
			return nil
		})
	})
}

func BenchmarkCompressAgainstLimit(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		var object []byte
		against(b, len(file), func() error {
			object = encoder.EncodeAll(file, object[:0])
			return nil
		}, func() error {
			_, err := Compress(context.Background(), io.Discard, bytes.NewReader(file), int64(len(file)), testIdentity(), 0)
			return err
		})
	})
}

func BenchmarkReadRecords(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		o := benchObject(b, file)
		for b.Loop() {
			visit(b, o, func(frame Frame) {
				rest := frame.Bytes
				if frame.Start == 0 {
					rest = rest[segment.HeaderBytes:]
				}
				var r segment.Record
				for len(rest) > 0 {
					n, err := segment.DecodeRecord(rest, testSalt, &r)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			})
		}
	})
}

// inPlace gives ranges of memory without copying them: the cost of the source
// is not what is measured.
type inPlace []byte

func (b inPlace) ReadRange(_ context.Context, offset, length int64) ([]byte, error) {
	return b[offset : offset+length], nil
}

func benchObject(b *testing.B, file []byte) *Object {
	object, info := compress(b, file)
	o, err := OpenObject(context.Background(), inPlace(object), info.Bytes, info.TailBytes, testIdentity())
	if err != nil {
		b.Fatal(err)
	}
	return o
}

// visit reads all frames, 8 at a time, as a sequential reader does.
func visit(b *testing.B, o *Object, use func(Frame)) {
	var frames []Frame
	for first := 0; first < o.Frames(); first += 8 {
		var err error
		frames, err = o.ReadFrames(context.Background(), first, min(8, o.Frames()-first), frames)
		if err != nil {
			b.Fatal(err)
		}
		for _, frame := range frames {
			use(frame)
		}
	}
}

func BenchmarkReadFrame(b *testing.B) {
	for name, file := range benchSegments() {
		b.Run(name, func(b *testing.B) {
			o := benchObject(b, file)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := o.ReadFrame(context.Background(), i%o.Frames()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenObject(b *testing.B) {
	for name, file := range benchSegments() {
		b.Run(name, func(b *testing.B) {
			object, info := compress(b, file)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := OpenObject(context.Background(), inPlace(object), info.Bytes, info.TailBytes, testIdentity()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWriteSegment(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		o := benchObject(b, file)
		for b.Loop() {
			if err := o.WriteSegment(context.Background(), io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The library's own reader, for comparison.
func BenchmarkSeekableReader(b *testing.B) {
	benchEach(b, func(b *testing.B, file []byte) {
		object, _ := compress(b, file)
		decoder, err := zstd.NewReader(nil)
		if err != nil {
			b.Fatal(err)
		}
		defer decoder.Close()
		for b.Loop() {
			r, err := seekable.NewReader(bytes.NewReader(object), decoder)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(file)) {
				b.Fatal(n, err)
			}
		}
	})
}
