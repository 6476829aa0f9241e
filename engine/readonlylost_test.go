package engine

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// chunkPaths are the chunks of a manifest.
func chunkPaths(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.mlog"))
	must(t, err)
	return paths
}

// newAbsentRoot is the root of a log that was closed cleanly: segments 1 and 2 are
// only in the bucket, 3 and 4 are segment files, 4 is not sealed. Each holds 40
// sequences, the last one 10.
func newAbsentRoot(t *testing.T) *tieredRoot {
	t.Helper()
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 3, 40)
	for id := range 2 {
		r.mustDo(t, uint64(id+1), planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
	}
	for n := 121; n <= 130; n++ {
		appendTieredManual(t, r.log, n)
	}
	r.close(t)
	return r
}

// openForReading opens the root's log read-only until the test ends.
func (r *tieredRoot) openForReading(t *testing.T) (*Engine, *Log) {
	t.Helper()
	e, err := openReadOnly(r.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, openLogTest(t, e, LogOptions{})
}

func (r *tieredRoot) manifestDir() string { return newLogLayout(r.dir, "orders").manifest }

// segmentPath is the segment file with an id, or where one would lie.
func (r *tieredRoot) segmentPath(id uint64) string {
	paths := newLogLayout(r.dir, "orders")
	found, _ := filepath.Glob(filepath.Join(paths.segments, "*"+segmentSuffix))
	for _, path := range found {
		if name, _ := parseSegmentName(filepath.Base(path)); name.id == id {
			return path
		}
	}
	return filepath.Join(paths.segments, "none")
}

// wantDamage reads a log and wants its damage to be one range, told to a reader
// that skips it, to one that does not, and by the log itself.
func wantDamage(t *testing.T, l *Log, first, last uint64, readable int) {
	t.Helper()
	var skipped []*DamageError
	records := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { skipped = append(skipped, d) }})
	if len(records) != readable || len(skipped) != 1 || skipped[0].FirstSeq != first || skipped[0].LastSeq != last {
		t.Errorf("%d records, skipped %v, want %d and sequences %d to %d", len(records), skipped, readable, first, last)
	}
	told := l.State().Recovery.Damaged
	if len(told) != 1 || told[0].FirstSeq != first || told[0].LastSeq != last {
		t.Errorf("the log tells of %v", told)
	}
	reader, err := l.NewReader(ReadOptions{FromSeq: last})
	if err != nil {
		t.Fatal(err)
	}
	_, err = reader.Next(t.Context())
	var damage *DamageError
	if !errors.As(err, &damage) || damage.FirstSeq > last || damage.LastSeq < last || errors.Is(err, io.EOF) {
		t.Errorf("sequence %d answers %v", last, err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
}

// What lies in front of the segments that are known is damage, unless the manifest
// proves that retention removed it.
func TestAReadOnlyLogWhoseManifestIsLostDoesNotCallItsFrontTrimmed(t *testing.T) {
	for _, c := range []struct {
		name, told string
		lose       func(t *testing.T, manifest string)
	}{
		{"gone", "gone", func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }},
		{"empty", "damaged", func(t *testing.T, dir string) {
			for _, path := range chunkPaths(t, dir) {
				must(t, os.Truncate(path, 0))
			}
		}},
		{"zeros", "damaged", func(t *testing.T, dir string) {
			for _, path := range chunkPaths(t, dir) {
				changeFile(t, path, func(b []byte) []byte { return make([]byte, len(b)) })
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newAbsentRoot(t)
			c.lose(t, r.manifestDir())
			must(t, os.RemoveAll(strings.TrimPrefix(r.opts.Bucket, "file://")))
			_, l := r.openForReading(t)
			wantDamage(t, l, 1, 80, 50)
			if state := l.State(); !strings.Contains(state.Recovery.Incomplete, c.told) || state.FirstSeq != 1 {
				t.Errorf("first sequence %d, the manifest: %q", state.FirstSeq, state.Recovery.Incomplete)
			}
		})
	}
}

// Without segment files either, a log that uploaded something does not look empty.
func TestAReadOnlyLogOfWhichOnlyItsClaimIsLeftIsNotEmpty(t *testing.T) {
	r := newAbsentRoot(t)
	for _, id := range []uint64{3, 4} {
		must(t, os.Remove(r.segmentPath(id)))
	}
	must(t, os.RemoveAll(r.manifestDir()))
	must(t, os.RemoveAll(strings.TrimPrefix(r.opts.Bucket, "file://")))
	_, l := r.openForReading(t)
	wantDamage(t, l, 1, 1, 0)
}

// A segment that the manifest has and no copy holds is damage at its place, also
// where it is the last, until its file is put back.
func TestAReadOnlyLogMeetsAMissingSegmentFileAsDamage(t *testing.T) {
	r := newAbsentRoot(t)
	e, l := r.openForReading(t)
	if last, err := readPrefix(t.Context(), l); err != nil || last != 130 {
		t.Fatalf("read to %d: %v", last, err)
	}
	for _, c := range []struct {
		id, first, last uint64 // last: of the last segment only a bound is known
		readable        int
	}{{3, 81, 120, 90}, {4, 121, 130, 120}} {
		path := r.segmentPath(c.id)
		must(t, os.Rename(path, path+".away"))
		must(t, e.Refresh())
		_, opened := r.openForReading(t)
		for _, l := range []*Log{l, opened} {
			damaged := l.State().Recovery.Damaged
			if len(damaged) != 1 || damaged[0].LastSeq < c.last || c.id == 3 && damaged[0].LastSeq > c.last || damaged[0].Path != path {
				t.Fatalf("without segment %d: %v", c.id, damaged)
			}
			wantDamage(t, l, c.first, damaged[0].LastSeq, c.readable)
		}
		must(t, os.Rename(path+".away", path))
		must(t, e.Refresh())
		if last, err := readPrefix(t.Context(), l); err != nil || last != 130 {
			t.Errorf("put back, it reads to %d: %v", last, err)
		}
	}
}

// A copy of a segment file under another id costs nothing that the log holds.
func TestAReadOnlyLogLeavesOutAStrayCopyOfASegmentFile(t *testing.T) {
	for _, c := range []struct{ of, id uint64 }{{3, 99}, {4, 5}, {4, 1}, {3, 4}} {
		r := newAbsentRoot(t)
		name, _ := parseSegmentName(filepath.Base(r.segmentPath(c.of)))
		name.id = c.id
		stray := newLogLayout(r.dir, "orders").segment(name)
		contents, err := os.ReadFile(r.segmentPath(c.of))
		must(t, err)
		must(t, os.WriteFile(stray, contents, 0o600))
		_, l := r.openForReading(t)
		left := l.State().Recovery.Contradicting
		if len(left) != 1 || left[0].Path != stray || left[0].Reason == "" {
			t.Errorf("a copy of %d as %d: left out %v", c.of, c.id, left)
		}
		if last, err := readPrefix(t.Context(), l); err != nil || last != 130 {
			t.Errorf("a copy of %d as %d: read to %d: %v", c.of, c.id, last, err)
		}
	}
}
