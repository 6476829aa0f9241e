package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/manifest"
)

// checkPlace checks a place and proves that this changed nothing in the
// directories.
func checkPlace(t *testing.T, place string, opts CheckOptions, dirs ...string) *CheckReport {
	t.Helper()
	var before []string
	for _, dir := range dirs {
		before = append(before, hashTree(t, dir))
	}
	report, err := Check(t.Context(), place, opts)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	for i, dir := range dirs {
		if hashTree(t, dir) != before[i] {
			t.Errorf("the check changed %s", dir)
		}
	}
	return report
}

// wantHealthy checks a place that is.
func wantHealthy(t *testing.T, place string, opts CheckOptions, dirs ...string) *LogCheck {
	t.Helper()
	report := checkPlace(t, place, opts, dirs...)
	if !report.OK() || report.Err() != nil || len(report.Logs) != 1 {
		t.Fatalf("%+v: %v", report, report.Err())
	}
	return &report.Logs[0]
}

// checkedRoot is a root with a bucket in which segments are in every tier and in
// every stage, closed.
type checkedRoot struct {
	root, bucket string
	count        int
	state        *manifest.State
	paths        logLayout
	folder       string
}

// newCheckedRoot makes one; more is done to it before it is closed.
func newCheckedRoot(t *testing.T, count int) *checkedRoot {
	t.Helper()
	opts := tieredOptions(t)
	made := &checkedRoot{
		root: filepath.Join(t.TempDir(), "root"), bucket: strings.TrimPrefix(opts.Bucket, "file://"), count: count,
	}
	e := openOnDisk(t, made.root, opts)
	l := openLogTest(t, e, smallSegments())
	appendTiered(t, l, 1, count)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCold(t, l)
	eventually(t, "budgets are kept", func() bool {
		return e.hot.used.Load() <= opts.HotBytesMax && e.warm.Load() <= opts.WarmBytesMax
	})
	appendTiered(t, l, count+1, 5)
	made.count += 5
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	made.state, made.paths, made.folder = l.journal.state(), l.paths, l.folder.Name()
	return made
}

// object is the file of an object: in a directory that is a bucket, names of
// folders end with "+".
func (r *checkedRoot) object(key string) string {
	folder, name := filepath.Split(r.folder + "/" + key)
	return filepath.Join(r.bucket, strings.ReplaceAll(folder, "/", "+/"), name)
}

// with returns a live segment that is in exactly these tiers.
func (r *checkedRoot) with(t *testing.T, tiers ...manifest.Tier) *manifest.Segment {
	t.Helper()
	var set manifest.TierSet
	for _, tier := range tiers {
		set = set.With(tier)
	}
	for entry := range r.state.Segments() {
		if entry.Sealed && entry.Resident == set {
			return entry
		}
	}
	t.Fatalf("no segment is %s", set)
	return nil
}

// changed runs a check while a file has other contents, nil: while it is not
// there, and puts it back.
func changed(t *testing.T, path string, contents []byte, check func()) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	aside := path + ".aside"
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	if contents != nil {
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	check()
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
}

func flipped(t *testing.T, path string, at int) []byte {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	contents[at] ^= 0x10
	return contents
}

func TestCheckOfHealthyRootsInEveryStage(t *testing.T) {
	t.Run("never sealed, in use and closed", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "root")
		e := openTest(t, root)
		l := openLogTest(t, e, smallSegments())
		appendMany(t, l, 1, 50)
		wantHealthy(t, root, CheckOptions{})
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if found := wantHealthy(t, root, CheckOptions{}, root); found.Records != 50 || found.LastSeq != 50 || found.Segments != 1 {
			t.Errorf("%+v", found)
		}
	})
	for _, closed := range []bool{true, false} {
		s := newSpecimen(t, closed)
		found := wantHealthy(t, s.root, CheckOptions{}, s.root)
		if closed && (found.Records != uint64(s.count) || found.Copies[manifest.TierHot] != len(s.files)) {
			t.Errorf("%+v", found)
		}
	}
	r := newCheckedRoot(t, 2000)
	for _, deep := range []bool{false, true} {
		found := wantHealthy(t, r.root, CheckOptions{Deep: deep}, r.root, r.bucket)
		if found.Records != uint64(r.count) || found.FirstSeq != 1 || found.LastSeq != uint64(r.count) || found.EpochLast == 0 {
			t.Errorf("deep %v: %+v", deep, found)
		}
		for tier, copies := range found.Copies {
			if copies == 0 {
				t.Errorf("no copy in tier %d was looked at", tier)
			}
		}
		found = wantHealthy(t, "file://"+r.bucket, CheckOptions{Deep: deep}, r.bucket)
		if found.Records != uint64(r.count-5) || found.LastSeq != uint64(r.count-5) {
			t.Errorf("bucket, deep %v: %+v", deep, found)
		}
	}
}

// A root is checked while its engine appends, seals, compresses, uploads and
// evicts.
func TestCheckOfARootInUse(t *testing.T) {
	opts := tieredOptions(t)
	root := filepath.Join(t.TempDir(), "root")
	l := openLogTest(t, openOnDisk(t, root, opts), smallSegments())
	appendTiered(t, l, 1, 50)
	ended := inBackground(func() error {
		for n := 51; n <= 3000; n++ {
			rec := tieredRecord(n)
			if _, err := l.AppendSync(context.Background(), &rec); err != nil && !errors.Is(err, ErrBackpressure) {
				return err
			} else if err != nil {
				n--
			}
		}
		return nil
	})
	for checks := 0; ; checks++ {
		found := wantHealthy(t, root, CheckOptions{Deep: checks%2 == 1})
		if found.Records < 40 {
			t.Fatalf("%+v", found)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d checks", checks)
			return
		default:
		}
	}
}

// wantFinding looks for damage in a file.
func wantFinding(t *testing.T, report *CheckReport, path string, part FindingPart) *Finding {
	t.Helper()
	if !errors.Is(report.Err(), ErrDamaged) {
		t.Fatalf("nothing is damaged: %v", report.Err())
	}
	for i := range report.Logs {
		for j := range report.Logs[i].Damage {
			if f := &report.Logs[i].Damage[j]; f.Part == part && strings.HasSuffix(strings.ReplaceAll(path, "+/", "/"), f.Path) {
				if f.Reason == "" || f.Cost == "" || f.Kind == "" {
					t.Errorf("a finding that says little: %v", f)
				}
				return f
			}
		}
	}
	t.Fatalf("no finding in %s: %+v", path, report.Logs)
	return nil
}

func TestCheckFindsFlippedBytesOfASealedSegment(t *testing.T) {
	s := newSpecimen(t, true)
	path := s.path(s.root, 1)
	f := s.files[1]
	// Behind the first records there is more of the same.
	for _, at := range bytesToFlip(int(f.bytes), func(at int) bool { return at <= 1000 || at >= int(f.end)-56 || at%5 == 0 }) {
		changed(t, path, flipped(t, path, at), func() {
			report := checkPlace(t, s.root, CheckOptions{})
			found := wantFinding(t, report, path, "hot")
			within := false
			for _, p := range f.records {
				within = within || int64(at) >= p.at && int64(at) < p.end && !p.control()
			}
			if within != (found.Cost == CostLost) {
				t.Fatalf("byte %d: %v", at, found)
			}
		})
	}
}

func TestCheckFindsFlippedBytesOfCompressedCopies(t *testing.T) {
	r := newCheckedRoot(t, 700)
	warm := r.with(t, manifest.TierWarm, manifest.TierHot, manifest.TierCold)
	cold := r.with(t, manifest.TierCold)
	for _, c := range []struct {
		path string
		part FindingPart
		cost FindingCost
		deep bool
	}{
		{r.paths.warmFile(warm), "warm", CostRepairable, false},
		{r.object(warm.Cold.Key), "cold", CostRepairable, true},
		{r.object(cold.Cold.Key), "cold", CostLost, true},
		{r.object(cold.Cold.Key), "cold", CostLost, false}, // read, as its ETag is another one
	} {
		info, err := os.Stat(c.path)
		if err != nil {
			t.Fatal(err)
		}
		size, same := int(info.Size()), 0
		for _, at := range bytesToFlip(size, func(at int) bool { return at%(size/120+1) == 0 || at >= size-80 }) {
			changed(t, c.path, flipped(t, c.path, at), func() {
				report := checkPlace(t, r.root, CheckOptions{Deep: c.deep})
				if c.part == "cold" && report.OK() && hasNote(report, FoundChanged) {
					same++
					return
				}
				if f := wantFinding(t, report, c.path, c.part); f.costsRecords() && f.Cost != c.cost {
					t.Fatalf("%s, byte %d: %v", c.path, at, f)
				}
			})
		}
		// zstd has bits that change nothing in the content of a frame, such as the
		// unused one in its descriptor. A warm file has a checksum over all of it;
		// of an object the content is what counts.
		if same > 10 {
			t.Errorf("%d flips of %s changed nothing", same, c.path)
		}
	}
}

func hasNote(report *CheckReport, kind FindingKind) bool {
	for i := range report.Logs {
		for _, f := range report.Logs[i].Notes {
			if f.Kind == kind {
				return true
			}
		}
	}
	return false
}
