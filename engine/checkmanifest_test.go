package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/manifest"
)

// A flip in a sealed chunk, of a chunk that was closed and of a snapshot is
// found, header, records, fill and checksums. What carries no meaning: the zeros behind the records of the last chunk,
// where a flip looks like the beginning of a write that was torn.
func TestCheckFindsFlippedBytesOfTheManifest(t *testing.T) {
	s := newSpecimen(t, true)
	dir := newLogLayout(s.root, "orders").manifest
	addSnapshot(t, dir, s.files[0].header.LogID)
	chunks, err := filepath.Glob(filepath.Join(dir, "*.mlog"))
	if err != nil || len(chunks) == 0 {
		t.Fatal(chunks, err)
	}
	snapshots, err := filepath.Glob(filepath.Join(dir, "snapshot_*.bin"))
	if err != nil || len(snapshots) == 0 {
		t.Fatal(snapshots, err)
	}
	for _, path := range append(chunks, snapshots...) {
		for _, at := range bytesToFlip(meaningfulBytes(t, path), func(at int) bool { return at <= 400 || at%4 == 0 }) {
			changed(t, path, flipped(t, path, at), func() {
				report, err := Check(t.Context(), s.root, CheckOptions{})
				if errors.Is(err, ErrNewerFormat) {
					t.Fatalf("%s, byte %d: a flip is taken for a newer version", path, at)
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range report.Logs[0].Damage {
					if f.Part == PartManifest {
						if f.Cost != CostNone {
							t.Fatalf("byte %d: %v", at, f)
						}
						return
					}
				}
				t.Fatalf("%s, byte %d: %v", path, at, report.Logs[0])
			})
		}
	}
	last := chunks[len(chunks)-1]
	info, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	changed(t, last, flipped(t, last, int(info.Size())-100), func() {
		report := checkPlace(t, s.root, CheckOptions{})
		if !report.OK() || !hasNote(report, FoundTorn) {
			t.Errorf("%v, %+v", report.Err(), report.Logs[0].Notes)
		}
	})
}

// addSnapshot writes a snapshot of a manifest and closes it again.
func addSnapshot(t *testing.T, dir string, logID uint64) {
	t.Helper()
	w, err := manifest.Open(nil, dir, manifest.Options{LogID: logID, QuarantineDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	log := w.State().Log()
	if _, err := w.WriteSnapshot(log); err != nil {
		t.Fatal(err)
	}
	if err := w.CloseLog(log.ClosedSegmentID, log.ClosedMarkOffset); err != nil {
		t.Fatal(err)
	}
}

// meaningfulBytes is how many bytes of a file are not the zeros at its end.
func meaningfulBytes(t *testing.T, path string) int {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(contents)
	for end > 0 && contents[end-1] == 0 {
		end--
	}
	return end
}

// In a segment that is not sealed each record, each mark and the header is found
// if the log was closed. After a kill, what nothing proves durable is noted.
func TestCheckFindsFlippedBytesOfASegmentThatIsNotSealed(t *testing.T) {
	for _, closed := range []bool{true, false} {
		s := newSpecimen(t, closed)
		path, f := s.path(s.root, 3), s.files[3]
		last := f.records[len(f.records)-1]
		notes, inLast := 0, 0
		for _, at := range bytesToFlip(int(f.end), func(at int) bool { return at <= 400 || at >= int(f.end)-700 || at%11 == 0 }) {
			if int64(at) >= last.at {
				inLast++
			}
			changed(t, path, flipped(t, path, at), func() {
				report := checkPlace(t, s.root, CheckOptions{})
				if !closed && report.OK() && hasNote(report, FoundTorn) {
					notes++
					return
				}
				found := wantFinding(t, report, path, "hot")
				for _, p := range f.records {
					if inside := int64(at) >= p.at && int64(at) < p.end; inside && !p.control() && (found.FirstSeq != p.Seq || found.Cost != CostLost) {
						t.Fatalf("byte %d, record %d: %v", at, p.Seq, found)
					}
				}
			})
		}
		if !closed && notes != inLast {
			t.Errorf("%d bytes were noted of %d in the last record", notes, inLast)
		}
		// The zeros behind the end carry no meaning.
		changed(t, path, flipped(t, path, int(f.bytes)-100), func() {
			if report := checkPlace(t, s.root, CheckOptions{}); !report.OK() || !hasNote(report, FoundTorn) {
				t.Errorf("%v, %+v", report.Err(), report.Logs[0].Notes)
			}
		})
	}
}
