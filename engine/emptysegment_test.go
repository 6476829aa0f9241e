package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// A crash between a segment's header and its first record leaves a segment that
// recovery seals without a record. It is checked, compressed and uploaded like
// any other.
func TestSegmentThatIsSealedEmptyGoesThroughTheTiers(t *testing.T) {
	root, opts := filepath.Join(t.TempDir(), "root"), tieredOptions(t)
	e := openOnDisk(t, root, opts)
	l := openLogTest(t, e, smallSegments())
	appendTiered(t, l, 1, 3)
	id := (*l.segments.Load())[0].id()
	crashed := filepath.Join(t.TempDir(), "crashed")
	copyTree(t, root, crashed)
	cutRecords(t, filepath.Join(newLogLayout(crashed, "orders").segments, filepath.Base((*l.segments.Load())[0].path)))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openOnDisk(t, crashed, opts)
	l = openLogTest(t, e, smallSegments())
	entry := l.journal.state().Segment(id)
	if !entry.Sealed || entry.LastSeq != 0 || entry.RecordCount != 0 {
		t.Fatalf("segment %d is %+v", id, entry)
	}
	awaitCold(t, l)
	if entry := l.journal.state().Segment(id); !entry.GoodCopies().Has(manifest.TierCold) {
		t.Errorf("segment %d is %s", id, entry.GoodCopies())
	}
	appendTiered(t, l, 1, 10)
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 10)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Check(t.Context(), crashed, CheckOptions{Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Errorf("check: %v: %+v", err, report.Logs)
	}
}

// cutRecords makes a segment file what a power cut leaves that lost all of its
// records.
func cutRecords(t *testing.T, path string) {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(contents[segment.HeaderBytes:])
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		t.Fatal(err)
	}
}
