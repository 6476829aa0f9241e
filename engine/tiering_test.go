package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/aof-nats/aof-nats/manifest"
)

// tieredOptions are budgets that a few small segments fill.
func tieredOptions(t *testing.T) Options {
	return Options{
		HotBytesMax: 8 * segmentBytesFloor, WarmBytesMax: 3 * segmentBytesFloor,
		Bucket: "file://" + filepath.Join(t.TempDir(), "bucket"),
	}
}

// tieredRecord is the n-th record: incompressible enough to fill segments.
func tieredRecord(n int) Record {
	payload := make([]byte, 700)
	random := simRandom{state: uint64(n)}
	for i := range payload {
		payload[i] = byte(random.next())
	}
	return Record{
		Subject: []byte(fmt.Sprintf("orders.%d", n%5)), Payload: payload, ExtID: uint64(n),
		Timestamp: int64(time.Hour) + int64(n)*int64(time.Second),
	}
}

func appendTiered(t *testing.T, l *Log, first, count int) {
	t.Helper()
	for n := first; n < first+count; n++ {
		rec := tieredRecord(n)
		eventually(t, "the record is taken", func() bool {
			_, err := l.AppendSync(t.Context(), &rec)
			if err != nil && !errors.Is(err, ErrBackpressure) {
				t.Fatalf("append %d: %v", n, err)
			}
			return err == nil
		})
	}
}

func wantTiered(t *testing.T, records []Record, first, step, count int) {
	t.Helper()
	if len(records) != count {
		t.Fatalf("%d records, want %d", len(records), count)
	}
	for i, rec := range records {
		n := first + i*step
		want := tieredRecord(n)
		if rec.Seq != uint64(n) || !bytes.Equal(rec.Payload, want.Payload) || !bytes.Equal(rec.Subject, want.Subject) ||
			rec.Timestamp != want.Timestamp || rec.ExtID != want.ExtID {
			t.Fatalf("record %d is %d %s", n, rec.Seq, rec.Subject)
		}
	}
}

// wantReadableEveryWay reads records 1 to count in each way there is.
func wantReadableEveryWay(t *testing.T, l *Log, count int) {
	t.Helper()
	wantTiered(t, readAll(t, l, ReadOptions{ToSeq: uint64(count)}), 1, 1, count)
	for n := 1; n <= count; n += count/37 + 1 {
		wantTiered(t, readAll(t, l, ReadOptions{FromSeq: uint64(n), ToSeq: uint64(n)}), n, 1, 1)
		at := tieredRecord(n).Timestamp
		wantTiered(t, readAll(t, l, ReadOptions{FromTime: at, ToSeq: uint64(n)}), n, 1, 1)
		wantTiered(t, readAll(t, l, ReadOptions{FromTime: at - 1, ToSeq: uint64(n)}), n, 1, 1)
		r, err := l.NewReader(ReadOptions{FromSeq: uint64(n)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := r.RecordID()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		wantTiered(t, readAll(t, l, ReadOptions{FromRecordID: id, ToSeq: uint64(n)}), n, 1, 1)
	}
	wantTiered(t, readAll(t, l, ReadOptions{Subjects: []string{"orders.2"}, ToSeq: uint64(count)}), 2, 5, (count+3)/5)
	wantTiered(t, readAll(t, l, ReadOptions{Subjects: []string{"*.2"}, ToSeq: uint64(count)}), 2, 5, (count+3)/5)
}

// residency counts the sealed segments that each tier holds.
func residency(l *Log) (hot, warm, cold, coldOnly int) {
	for entry := range l.journal.state().Segments() {
		if !entry.Sealed {
			continue
		}
		for t, n := range map[manifest.Tier]*int{manifest.TierHot: &hot, manifest.TierWarm: &warm, manifest.TierCold: &cold} {
			if entry.Resident.Has(t) {
				*n++
			}
		}
		if entry.Resident == manifest.TierSet(0).With(manifest.TierCold) {
			coldOnly++
		}
	}
	return hot, warm, cold, coldOnly
}

// awaitCold waits until everything that is sealed is in the bucket.
func awaitCold(t *testing.T, l *Log) {
	t.Helper()
	eventually(t, "all sealed segments are cold", func() bool {
		for entry := range l.journal.state().Segments() {
			if entry.Sealed && !entry.Resident.Has(manifest.TierCold) {
				return false
			}
		}
		return true
	})
}

func TestSegmentsMoveThroughTheTiersAndAreReadFromEach(t *testing.T) {
	const count = 3000
	root, opts := filepath.Join(t.TempDir(), "root"), tieredOptions(t)
	e := openOnDisk(t, root, opts)
	l := openLogTest(t, e, smallSegments())
	appendTiered(t, l, 1, count)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCold(t, l)
	if err := l.Wait(shortly(t), count, Cold); err != nil {
		t.Fatalf("wait for cold: %v", err)
	}
	eventually(t, "budgets are kept", func() bool {
		return e.hot.used.Load() <= opts.HotBytesMax && e.warm.Load() <= opts.WarmBytesMax
	})
	hot, warm, cold, coldOnly := residency(l)
	if hot == 0 || warm == 0 || coldOnly < 10 || cold <= coldOnly {
		t.Errorf("%d segments hot, %d warm, %d cold, %d only cold", hot, warm, cold, coldOnly)
	}
	wantReadableEveryWay(t, l, count)
	wantWarmFilesDecompressToSegments(t, l)

	// Nothing of it depends on what the process remembers.
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openOnDisk(t, root, opts)
	l = openLogTest(t, e, smallSegments())
	wantReadableEveryWay(t, l, count)
	appendTiered(t, l, count+1, 50)
	wantTiered(t, readAll(t, l, ReadOptions{FromSeq: count - 10}), count-10, 1, 61)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	// Nor on a lock, nor on the root.
	for _, place := range []string{root, opts.Bucket} {
		readOnly, err := OpenReadOnly(place)
		if err != nil {
			t.Fatal(err)
		}
		wantReadableEveryWay(t, openLogTest(t, readOnly, LogOptions{}), count)
		if names, err := readOnly.Logs(); err != nil || len(names) != 1 || names[0] != "orders" {
			t.Errorf("logs of %s: %v, %v", place, names, err)
		}
		if err := readOnly.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantWarmFilesDecompressToSegments compares warm files, decompressed by a plain
// decoder, with the hot files of the same segments.
func wantWarmFilesDecompressToSegments(t *testing.T, l *Log) {
	t.Helper()
	compared := 0
	for entry := range l.journal.state().Segments() {
		if !entry.Resident.Has(manifest.TierHot) || !entry.Resident.Has(manifest.TierWarm) {
			continue
		}
		compressed, err := os.Open(l.paths.warmFile(entry))
		if err != nil {
			t.Fatal(err)
		}
		decoder, err := zstd.NewReader(compressed)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(decoder)
		decoder.Close()
		if closeErr := compressed.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		segmentBytes, err := os.ReadFile(l.paths.hotFile(entry))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plain, segmentBytes) {
			t.Errorf("segment %d: the warm file gives other bytes", entry.ID)
		}
		compared++
	}
	if compared == 0 {
		t.Error("no segment is both hot and warm")
	}
}
