package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestRootHasOneOwnerAtATime(t *testing.T) {
	dir := t.TempDir()
	first := openTest(t, dir)
	for range 3 {
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrRootInUse) {
			t.Fatalf("a second owner: %v", err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := openTest(t, dir)
	if first.root.NodeID != second.root.NodeID || first.root.NodeID == "" {
		t.Errorf("the root was %q and is %q", first.root.NodeID, second.root.NodeID)
	}
}

func TestNewerFormatsAreRefusedAndLeftAlone(t *testing.T) {
	for name, file := range map[string]func(root string) string{
		"root": func(root string) string { return filepath.Join(root, engineFileName) },
		"log":  func(root string) string { return newLogLayout(root, "orders").logFile() },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := openTest(t, dir)
			appendMany(t, openLogTest(t, e, LogOptions{}), 1, 3)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			editJSON(t, file(dir), "format_version", float64(rootFormatVersion+1))
			before := hashTree(t, filepath.Join(dir, logsDirName))
			open := func(e *Engine, err error) error {
				if err != nil {
					return err
				}
				_, err = e.OpenLog("orders", LogOptions{})
				return errors.Join(err, e.Close())
			}
			if err := open(Open(dir, Options{})); !errors.Is(err, ErrNewerFormat) {
				t.Errorf("open: %v", err)
			}
			if err := open(OpenReadOnly(dir)); !errors.Is(err, ErrNewerFormat) {
				t.Errorf("read-only open: %v", err)
			}
			if after := hashTree(t, filepath.Join(dir, logsDirName)); after != before {
				t.Error("the logs were changed")
			}
		})
	}
}

func editJSON(t *testing.T, path, key string, value any) {
	t.Helper()
	var fields map[string]any
	text, err := os.ReadFile(path)
	if err = errors.Join(err, json.Unmarshal(text, &fields)); err != nil {
		t.Fatal(err)
	}
	fields[key] = value
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// nextStep is what an error about identity says to do.
var nextStep = regexp.MustCompile(`put it back from a copy`)

func TestDamagedIdentityIsAnErrorThatNamesTheFile(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string) string{
		"engine.json is no JSON": func(t *testing.T, dir string) string {
			path := filepath.Join(dir, engineFileName)
			return writeText(t, path, "{")
		},
		"log.json is empty": func(t *testing.T, dir string) string {
			return writeText(t, newLogLayout(dir, "orders").logFile(), "")
		},
		"the log id is no number": func(t *testing.T, dir string) string {
			path := newLogLayout(dir, "orders").logFile()
			editJSON(t, path, "log_id", "seventeen")
			return logFileName
		},
		"log.json is gone": func(t *testing.T, dir string) string {
			path := newLogLayout(dir, "orders").logFile()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return path
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			dir := t.TempDir()
			e := openTest(t, dir)
			appendMany(t, openLogTest(t, e, LogOptions{}), 1, 3)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			path := spoil(t, dir)
			segments := newLogLayout(dir, "orders").segments
			before := hashTree(t, segments)
			for how, open := range map[string]func() (*Engine, error){
				"open":           func() (*Engine, error) { return Open(dir, Options{}) },
				"read-only open": func() (*Engine, error) { return OpenReadOnly(dir) },
			} {
				e, err := open()
				if err == nil {
					_, err = e.OpenLog("orders", LogOptions{})
					if closeErr := e.Close(); closeErr != nil {
						t.Error(closeErr)
					}
				}
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !nextStep.MatchString(err.Error()) {
					t.Errorf("%s: %v, want damage of %s and what to do", how, err, path)
				}
			}
			if after := hashTree(t, segments); after != before {
				t.Error("segments were changed")
			}
		})
	}
}

func writeText(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A root that lost engine.json is read, and made whole by the next open for writing.
func TestARootWithoutItsFileIsRead(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	appendMany(t, openLogTest(t, e, LogOptions{}), 1, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	must(t, os.Remove(filepath.Join(dir, engineFileName)))
	report, err := Check(t.Context(), dir, CheckOptions{})
	if err != nil || len(report.Damage) != 1 || report.Logs[0].Records != 3 {
		t.Errorf("check: %v, %+v", err, report)
	}
	reader, err := OpenReadOnly(dir)
	must(t, err)
	if got := openLogTest(t, reader, LogOptions{}).Watermarks().Durable; got != 3 {
		t.Errorf("%d records are read", got)
	}
	must(t, reader.Close())
	must(t, openTest(t, dir).Close())
	if report, err := Check(t.Context(), dir, CheckOptions{}); err != nil || !report.OK() {
		t.Errorf("check: %v, %+v", err, report)
	}
	if _, err := OpenReadOnly(t.TempDir()); !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty directory: %v", err)
	}
}

// A log is renamed by its directory: it keeps its id, its records and its folder
// in the bucket.
func TestARenamedLogGoesOnUnderItsNewName(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	old := openLogTest(t, e, LogOptions{})
	appendMany(t, old, 1, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	renamed := newLogLayout(dir, "sales")
	if err := os.Rename(newLogLayout(dir, "orders").dir, renamed.dir); err != nil {
		t.Fatal(err)
	}
	report, err := Check(t.Context(), dir, CheckOptions{})
	if err != nil || !report.OK() || len(report.Logs[0].Notes) != 1 {
		t.Fatalf("check: %v, %+v", err, report)
	}
	readOnly, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if log, err := readOnly.OpenLog("sales", LogOptions{}); err != nil || log.Watermarks().Durable != 3 {
		t.Errorf("read-only: %v", err)
	}
	if err := readOnly.Close(); err != nil {
		t.Error(err)
	}
	for first := 4; first <= 5; first++ {
		e = openTest(t, dir)
		log, err := e.OpenLog("sales", LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		appendMany(t, log, first, 1)
		if log.id != old.id {
			t.Errorf("the log id is %x and was %x", log.id, old.id)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var identity logFile
	if err := readJSON(vfs.OS(), renamed.logFile(), &identity); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("orders.%016x", old.id); identity.Name != "sales" || identity.BucketFolder != want {
		t.Errorf("log.json: %+v, want the folder %s", identity, want)
	}
	if report, err = Check(t.Context(), dir, CheckOptions{}); err != nil || !report.OK() || len(report.Logs[0].Notes) > 0 {
		t.Errorf("check: %v, %+v", err, report)
	}
}

// The log that a copy was made of goes on. The copy would share its folder.
func TestACopyBesideItsLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	appendMany(t, openLogTest(t, e, LogOptions{}), 1, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(newLogLayout(dir, "copy").dir, os.DirFS(newLogLayout(dir, "orders").dir)); err != nil {
		t.Fatal(err)
	}
	e = openTest(t, dir)
	_, err := e.OpenLog("copy", LogOptions{})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "has the id of orders") {
		t.Errorf("the copy: %v", err)
	}
	appendMany(t, openLogTest(t, e, LogOptions{}), 4, 1)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := Check(t.Context(), dir, CheckOptions{}); err != nil || report.OK() {
		t.Errorf("check: %v, %+v", err, report)
	}
}

func TestLogNamesAndOptionsOutOfRangeAreRefused(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	for _, name := range []string{"", ".", "..", "a/b", "a.b", "ü", "a b", "a\x00", strings.Repeat("x", 129), "log\n"} {
		if _, err := e.OpenLog(name, LogOptions{}); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("log name %q: %v", name, err)
		}
	}
	for _, opts := range []LogOptions{
		{SegmentBytesMin: segmentBytesFloor - 1}, {SegmentBytesMin: -1}, {SegmentBytesMax: 1}, {SegmentBytesMax: 2<<30 + 1}, {SegmentBytesMax: math.MaxInt64},
		{SegmentBytesMin: 1 << 20, SegmentBytesMax: 1 << 19}, {SegmentAgeMax: -1}, {FlushInterval: -time.Second}, {UnflushedBytesMax: 10},
		{Dedup: DedupOptions{Window: -1}}, {Dedup: DedupOptions{IDsMax: -1}}, {Dedup: DedupOptions{IDsMax: 1<<28 + 1}},
	} {
		if _, err := e.OpenLog("orders", opts); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	for _, opts := range []Options{{HotBytesMax: -1}, {HotBytesMax: 1000}} {
		if _, err := Open(filepath.Join(dir, "other"), opts); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	if names, err := e.Logs(); err != nil || len(names) != 0 {
		t.Errorf("a refusal left %q behind, %v", names, err)
	}
	longest := strings.Repeat("x", 128)
	for _, name := range []string{longest, "A-z_09", "-"} {
		if _, err := e.OpenLog(name, LogOptions{}); err != nil {
			t.Errorf("log name %q: %v", name, err)
		}
	}
	if names, err := e.Logs(); err != nil || !slices.Equal(names, []string{"-", "A-z_09", longest}) {
		t.Errorf("logs %q, %v", names, err)
	}
}

func TestLogThatIsOpenIsGivenOutAgain(t *testing.T) {
	e := openTest(t, t.TempDir())
	first := openLogTest(t, e, LogOptions{})
	second := openLogTest(t, e, smallSegments())
	if first != second {
		t.Error("one log is open twice")
	}
	if first.Name() != "orders" || first.ID() == 0 || first.State().ID != first.ID() {
		t.Errorf("log %s %d", first.Name(), first.ID())
	}
}

// What somebody else put into a log's directories is neither read nor removed;
// leftovers of this program are removed.
func TestUnknownFilesAreLeftAloneAndLeftoversSwept(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	appendMany(t, openLogTest(t, e, LogOptions{}), 1, 20)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	layout := newLogLayout(dir, "orders")
	unknown := []string{
		filepath.Join(layout.segments, "notes.txt"), filepath.Join(layout.segments, "1_1_1.seg"), filepath.Join(layout.segments, "x"+segmentSuffix),
		filepath.Join(layout.segments, strings.Repeat("9", 20)+"_"+strings.Repeat("0", 20)+"_"+strings.Repeat("0", 20)+segmentSuffix),
		filepath.Join(layout.quarantine, "kept.bytes"), filepath.Join(layout.dir, "unknown"), filepath.Join(dir, "unknown"), filepath.Join(dir, logsDirName, "unknown"),
	}
	for _, path := range unknown {
		writeText(t, path, "somebody's")
	}
	if err := os.Mkdir(filepath.Join(layout.segments, "directory"), 0o750); err != nil {
		t.Fatal(err)
	}
	leftover := writeText(t, layout.successor(), "half a segment")
	l := openLogTest(t, openTest(t, dir), LogOptions{})
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 20)
	for _, path := range unknown {
		if text, err := os.ReadFile(path); err != nil || string(text) != "somebody's" {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if text, err := os.ReadFile(leftover); err == nil && string(text) == "half a segment" {
		t.Error("the leftover is still there")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if names, err := l.engine.Logs(); err != nil || !slices.Equal(names, []string{"orders"}) {
		t.Errorf("logs %q, %v", names, err)
	}
}

func TestReadOnlyEngineChangesNothingAndTakesNoAppends(t *testing.T) {
	for _, closed := range []bool{true, false} {
		s := newSpecimen(t, closed)
		before := hashTree(t, s.root)
		e, err := OpenReadOnly(s.root)
		if err != nil {
			t.Fatal(err)
		}
		l := openLogTest(t, e, LogOptions{})
		if last := l.Watermarks().Durable; last != uint64(s.count) && (closed || last != uint64(s.count)-1) {
			t.Errorf("closed %v: %d of %d records", closed, last, s.count)
		}
		s.wantToll(t, l, toll{first: 1, ends: uint64(s.count)})
		for name, err := range map[string]error{
			"Append":      second(l.Append(numbered(1))),
			"AppendSync":  second(l.AppendSync(t.Context(), numbered(1))),
			"AppendBatch": second(l.AppendBatch([]Record{*numbered(1)}, BatchOptions{})),
			"AppendIf":    second(l.AppendIf(numbered(1), Conditions{})),
			"Seal":        l.Seal(t.Context()),
		} {
			if !errors.Is(err, ErrReadOnly) {
				t.Errorf("%s of a read-only log: %v", name, err)
			}
		}
		if _, err := e.OpenLog("nobody", LogOptions{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("a log that is not there: %v", err)
		}
		if err := e.Refresh(); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if after := hashTree(t, s.root); after != before {
			t.Error("the root was changed")
		}
	}
	if _, err := OpenReadOnly(t.TempDir()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a directory that is no root: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A reader in another process follows a writer: what it sees is a dense prefix
// of what is durable, through seals and rollovers, and never damage.
func TestReadOnlyFollowerOfALiveWriter(t *testing.T) {
	dir := t.TempDir()
	writer := openLogTest(t, openTest(t, dir), smallSegments())
	appendMany(t, writer, 1, 1)
	disk := vfs.OS()
	e, err := openReadOnly(dir, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	const count = 1200
	wrote := make(chan int, count)
	writing := inBackground(func() error {
		defer close(wrote)
		for n := 2; n <= count; n++ {
			if _, err := writer.AppendSync(shortly(t), numbered(n)); err != nil {
				return err
			}
			if n%3 == 0 {
				wrote <- n
			}
		}
		return writer.Close()
	})
	refresh := func() error {
		for range wrote {
			if err := e.Refresh(); err != nil {
				return err
			}
		}
		return e.Refresh()
	}
	refreshing := []<-chan error{inBackground(refresh), inBackground(refresh)} // they may run into each other
	r, err := l.NewReader(ReadOptions{Follow: true, ToSeq: count})
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	for rec, err := range r.All(shortly(t)) {
		if err != nil {
			t.Fatalf("behind %d: %v", last, err)
		}
		if rec.Seq != last+1 || string(rec.Payload) != string(payloadOf(int(rec.Seq))) {
			t.Fatalf("record %d behind %d", rec.Seq, last)
		}
		last = rec.Seq
	}
	for _, result := range append(refreshing, writing) {
		if err := ends(t, "a goroutine", result); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	follower, err := l.NewReader(ReadOptions{FromSeq: count + 1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	waiting := next(shortly(t), follower)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := ends(t, "a follower of a closed read-only log", waiting); !errors.Is(err, ErrClosed) {
		t.Errorf("a follower ended with %v", err)
	}
	if err := follower.Close(); err != nil {
		t.Error(err)
	}
	wantNothingOpen(t, disk)
}

// The owner seals a segment, and so makes its file shorter, between two looks of
// a refresh.
func TestRefreshWhileASegmentIsSealed(t *testing.T) {
	memory := vfs.NewMem(1)
	writer := openManual(t, memory, smallSegments())
	if err := appendAndCommit(writer, 20); err != nil {
		t.Fatal(err)
	}
	disk := vfs.NewFaulty(memory)
	disk.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: "*" + segmentSuffix, After: 3, Times: 1, Delay: time.Second})
	sealed := false
	disk.SetWait(func(vfs.Operation, time.Duration) {
		writer.retireTail()
		for writer.keeper.step() {
			sealed = true
		}
	})
	e, err := openReadOnly(simRoot, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	if err := e.Refresh(); err != nil {
		t.Errorf("refresh: %v", err)
	}
	if records := readAll(t, l, ReadOptions{}); !sealed || len(records) != 20 {
		t.Errorf("sealed %v, %d records", sealed, len(records))
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	memory.ProcessCrash()
}

// What a read-only log has shown and does not verify at the next look is damage
// for its readers, and no end of the log.
func TestDamageBetweenTwoLooksOfAReadOnlyLog(t *testing.T) {
	s := newSpecimen(t, false)
	e, err := OpenReadOnly(s.root)
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	shown := l.Watermarks().Durable
	p := s.files[3].data()[10]
	contents, err := os.ReadFile(s.path(s.root, 3))
	if err != nil {
		t.Fatal(err)
	}
	clear(contents[p.at:]) // all of it, so that nothing behind proves anything
	if err := os.WriteFile(s.path(s.root, 3), contents, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.Refresh(); err != nil {
		t.Fatal(err)
	}
	if now := l.Watermarks().Durable; now != shown {
		t.Errorf("durable went from %d to %d", shown, now)
	}
	for _, follow := range []bool{true, false} {
		r, err := l.NewReader(ReadOptions{FromSeq: p.Seq - 1, Follow: follow})
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := inTime(t, r); err != nil || rec.Seq != p.Seq-1 {
			t.Errorf("in front of the damage: %d, %v", rec.Seq, err)
		}
		var damage *DamageError
		if _, err := inTime(t, r); !errors.As(err, &damage) || damage.FirstSeq != p.Seq || damage.LastSeq != shown {
			t.Errorf("follow %v: %v", follow, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// A log all of whose segments have left the hot tier is no new one either.
func TestALogWithoutSegmentFilesIsNotTakenForANewOne(t *testing.T) {
	for name, lost := range map[string][]string{"log.json": nil, "log.json and the manifest": {manifestDirName}, "log.json and the warm files": {warmDirName}} {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.opts.Bucket = ""
			r.open(t)
			r.fill(t, 1, 30)
			r.mustDo(t, 1, planner.Compress, planner.EvictHot)
			paths := r.log.paths
			r.close(t)
			if err := os.Remove(paths.logFile()); err != nil {
				t.Fatal(err)
			}
			for _, dir := range lost {
				if err := os.RemoveAll(filepath.Join(paths.dir, dir)); err != nil {
					t.Fatal(err)
				}
			}
			report := checkPlace(t, r.dir, CheckOptions{}, r.dir)
			if len(report.Logs[0].Damage) != 1 || report.Logs[0].Damage[0].Kind != FoundMissing {
				t.Errorf("a check finds %v", report.Logs[0].Damage)
			}
			before := hashTree(t, paths.dir)
			e := openOnDisk(t, r.dir, r.opts)
			if _, err := e.OpenLog("orders", LogOptions{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), logFileRemedy) {
				t.Errorf("open: %v", err)
			}
			if hashTree(t, paths.dir) != before {
				t.Error("the log was changed")
			}
		})
	}
}
