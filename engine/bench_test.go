package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"testing"

	"github.com/minio/crc64nvme"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// benchRecord is a record of 128 bytes of payload.
func benchRecord() *Record {
	return &Record{Subject: []byte("bench"), Payload: make([]byte, 128), Timestamp: 1}
}

func openBench(b *testing.B, opts LogOptions) *Log {
	b.Helper()
	return openBenchOn(b, vfs.OS(), opts)
}

func openBenchOn(b *testing.B, disk vfs.FS, opts LogOptions) *Log {
	b.Helper()
	e, err := Open(b.TempDir(), Options{HotBytesMax: 64 << 30, WarmBytesMax: NoWarm, FS: disk})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	l, err := e.OpenLog("bench", opts)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// BenchmarkCopyAndChecksum is the limit that appends and reads are compared
// with: 128 bytes copied and put through CRC-64.
func BenchmarkCopyAndChecksum(b *testing.B) {
	source, target := make([]byte, 128), make([]byte, 64<<20)
	b.SetBytes(128)
	var sum uint64
	for i := range b.N {
		at := i * 128 % len(target)
		copy(target[at:], source)
		sum = crc64nvme.Checksum(target[at : at+128])
	}
	binary.LittleEndian.PutUint64(target, sum)
}

// BenchmarkCopyAndChecksumRecord is the same for a whole record as the segment
// holds it, with its own checksum: what a read is compared with.
func BenchmarkCopyAndChecksumRecord(b *testing.B) {
	rec := benchRecord()
	size := segment.RecordBytes(len(rec.Subject), 0, len(rec.Payload))
	table := crc32.MakeTable(crc32.Castagnoli)
	source, target := make([]byte, size), make([]byte, 64<<20)
	b.SetBytes(128)
	var sum uint32
	for i := range b.N {
		at := i * size % (len(target) - size)
		copy(target[at:], source)
		sum = crc32.Checksum(target[at:at+size], table)
	}
	binary.LittleEndian.PutUint32(target, sum)
}

// BenchmarkAppendWritten is the engine's append up to the return of the last
// pwrite: one goroutine appends half a million records into a segment that has
// taken as many before the clock starts. Seals and syncs are left out.
func BenchmarkAppendWritten(b *testing.B) {
	const count = 500_000
	rec := benchRecord()
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		l := openBench(b, LogOptions{SegmentBytesMin: 256 << 20, SegmentBytesMax: 256 << 20, UnflushedBytesMax: 1 << 30})
		warm(b, l, rec)
		appendWritten(b, l, rec, count)
		b.StartTimer()
		appendWritten(b, l, rec, count)
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/record")
}

func appendWritten(b *testing.B, l *Log, rec *Record, count int) {
	var last uint64
	for range count {
		last = appendBench(b, l, rec)
	}
	if err := l.Wait(b.Context(), last, Written); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppendSustained is the same with the default segments, seals and
// syncs included.
func BenchmarkAppendSustained(b *testing.B) {
	l := openBench(b, LogOptions{})
	rec := benchRecord()
	warm(b, l, rec)
	b.SetBytes(128)
	b.ReportAllocs()
	b.ResetTimer()
	var last uint64
	for range b.N {
		last = appendBench(b, l, rec)
	}
	if err := l.Wait(b.Context(), last, Durable); err != nil {
		b.Fatal(err)
	}
}

func warm(b *testing.B, l *Log, rec *Record) {
	b.Helper()
	if _, err := l.AppendSync(b.Context(), rec); err != nil {
		b.Fatal(err)
	}
}

func appendBench(b *testing.B, l *Log, rec *Record) uint64 {
	for {
		seq, err := l.Append(rec)
		if err == nil {
			return seq
		}
		if !errors.Is(err, ErrBackpressure) {
			b.Fatal(err)
		}
		if err := l.awaitAdvance(b.Context(), Durable, l.durable.Load()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendSync is 64 goroutines that each wait for their record to be
// durable. of-limit is which share of writers / mean time of a sync is reached.
// The segments are the default ones, past the first few.
func BenchmarkAppendSync(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			disk := newTimedDisk()
			l := openBenchOn(b, disk, LogOptions{})
			appendTogether(b, l, 64, 40_000)
			disk.reset()
			b.ResetTimer()
			appendTogether(b, l, writers, b.N)
			rate, mean := float64(b.N)/b.Elapsed().Seconds(), disk.mean()
			b.ReportMetric(rate, "acks/s")
			b.ReportMetric(float64(mean.Nanoseconds())/1e3, "sync-us")
			b.ReportMetric(float64(b.N)/float64(max(1, disk.count.Load())), "records/sync")
			b.ReportMetric(rate*mean.Seconds()/float64(writers), "of-limit")
		})
	}
}
func appendTogether(b *testing.B, l *Log, writers, count int) {
	var group sync.WaitGroup
	for w := range writers {
		share := count / writers
		if w < count%writers {
			share++
		}
		group.Go(func() { appendShare(b, l, share) })
	}
	group.Wait()
}

func appendShare(b *testing.B, l *Log, count int) {
	rec := benchRecord()
	for range count {
		if _, err := l.AppendSync(context.Background(), rec); err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkReadHot reads records of 128 bytes in order, verified and borrowed.
func BenchmarkReadHot(b *testing.B) {
	l := openBench(b, LogOptions{})
	rec := benchRecord()
	const count = 500_000
	var last uint64
	for range count {
		last = appendBench(b, l, rec)
	}
	if err := l.Wait(b.Context(), last, Durable); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(128)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		done += readBench(b, l, b.N-done)
	}
}

func readBench(b *testing.B, l *Log, atMost int) (count int) {
	r, err := l.NewReader(ReadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for count < atMost {
		if _, err := r.Next(context.Background()); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			b.Fatal(err)
		}
		count++
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	return count
}

// withSegments gives a log sealed segments of one size, all of them only hot, as if
// they had been written.
func withSegments(b *testing.B, l *Log, count int, bytes int64) {
	b.Helper()
	state, list := l.journal.state(), make([]*segmentFile, 0, count)
	for i := range uint64(count) {
		header := segment.Header{LogID: l.id, ID: i + 1, BaseSeq: 10*i + 1, Created: 1, Epoch: 1, Salt: i}
		footer := segment.Footer{ID: header.ID, Salt: i, BaseSeq: header.BaseSeq, Count: 10, FirstSeq: header.BaseSeq, LastSeq: 10*i + 10}
		for _, record := range []manifest.Record{openedRecord(header), sealedRecord(&footer)} {
			next, err := state.Apply(record)
			if err != nil {
				b.Fatal(err)
			}
			state = next
		}
		s := &segmentFile{header: header}
		s.bytes.Store(bytes)
		s.noteSealed(&footer)
		list = append(list, s)
	}
	l.journal.published.Store(state)
	l.segments.Store(&list)
}

// BenchmarkRoomForCompression is what a segment that is prepared waits for under the
// lock of the disk's room: in a log of 10,000 segments that are only hot, as large as
// the next one, or larger.
func BenchmarkRoomForCompression(b *testing.B) {
	for name, bytes := range map[string]int64{"as large": 64 << 20, "larger": 65 << 20} {
		b.Run(name, func(b *testing.B) {
			e, err := Open(b.TempDir(), Options{manual: true})
			if err != nil {
				b.Fatal(err)
			}
			l, err := e.OpenLog("bench", LogOptions{})
			if err != nil {
				b.Fatal(err)
			}
			whole := l.segments.Load()
			withSegments(b, l, 10_000, bytes)
			for b.Loop() {
				e.disk.forCompression(64 << 20)
			}
			l.segments.Store(whole)
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkPlan is what a poke of the coordinator costs under its lock, in a log of
// 10,000 segments that are only hot.
func BenchmarkPlan(b *testing.B) {
	e, err := Open(b.TempDir(), Options{manual: true})
	if err != nil {
		b.Fatal(err)
	}
	l, err := e.OpenLog("bench", LogOptions{})
	if err != nil {
		b.Fatal(err)
	}
	whole := l.segments.Load()
	withSegments(b, l, 10_000, 64<<20)
	for b.Loop() {
		e.coordinator.plan(e.opts.Now())
	}
	l.segments.Store(whole)
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
