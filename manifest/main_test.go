package manifest

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

var update = flag.Bool("update", false, "write golden files and the tables of docs/manifest-format.md")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testLogID = 0x1122334455667788
	testDir   = "log/manifest"
)

// testClock ticks one microsecond a call, from a fixed time.
func testClock() func() time.Time {
	now := time.Unix(1_700_000_000, 0)
	return func() time.Time {
		now = now.Add(time.Microsecond)
		return now
	}
}

func testOptions() Options {
	return Options{LogID: testLogID, ChunkBytes: ChunkBytesMin, Now: testClock()}
}

func openWriter(t testing.TB, fsys vfs.FS) *Writer {
	t.Helper()
	w, err := Open(fsys, testDir, testOptions())
	must(t, err)
	return w
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendAll(t testing.TB, w *Writer, records ...Record) {
	t.Helper()
	if _, err := w.Append(records...); err != nil {
		t.Fatal(err)
	}
}

func appendAndCommit(t testing.TB, w *Writer, records ...Record) {
	t.Helper()
	appendAll(t, w, records...)
	must(t, w.Commit())
}

// opened and sealed are a segment with ten records a segment id.
func opened(id uint64) Record {
	return Record{SegmentID: id, TimestampNs: int64(id) * 1000, Payload: &SegmentOpened{BaseSeq: 10*(id-1) + 1, Epoch: 1, Salt: 77 * id}}
}

func sealed(id uint64) Record {
	return Record{SegmentID: id, LogicalOffset: 4096, TimestampNs: int64(id)*1000 + 500, Payload: &SealSegment{
		DurableBytes: 4096, SegmentCRC64: 0xabc0 + id, FirstSeq: 10*(id-1) + 1, LastSeq: 10 * id,
		FirstNs: int64(id) * 1000, MaxNs: int64(id)*1000 + 99, RecordCount: 10, LastExtID: 10 * id, WatermarkAtEnd: id,
	}}
}

func custom(size int) Record {
	blob := make([]byte, size)
	for i := range blob {
		blob[i] = byte(i) | 1
	}
	return Record{TimestampNs: 1, Payload: &CustomEvent{SchemaID: 9, Blob: blob}}
}

// compareGolden compares with, or with -update writes, a file in testdata.
func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if string(want) != string(got) {
		t.Errorf("%s differs\n--- want\n%s\n--- got\n%s", path, printable(want), printable(got))
	}
}

func printable(b []byte) string {
	for _, c := range b {
		if c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return hexDump(b)
		}
	}
	return string(b)
}

func checkNothingOpen(t testing.TB, fsys vfs.FS) {
	t.Helper()
	if files, maps := vfs.OpenHandles(fsys); files != 0 || maps != 0 {
		t.Errorf("left open: %d files, %d maps", files, maps)
	}
}

// contents is what a manifest directory shows.
type contents struct {
	records []Record
	wrong   []Entry
}

func readContents(t failer, fsys vfs.FS) contents {
	t.Helper()
	var c contents
	must(t, Inspect(fsys, testDir, func(e Entry) error {
		switch {
		case e.Err != nil:
			e.Raw = append([]byte(nil), e.Raw...)
			c.wrong = append(c.wrong, e)
		case e.Kind == EntryRecord:
			c.records = append(c.records, *e.Record)
		}
		return nil
	}))
	return c
}

// failer is what helpers need of a test, or of a simulation.
type failer interface {
	Helper()
	Fatal(values ...any)
}

func hexDump(b []byte) string { return hex.Dump(b) }
