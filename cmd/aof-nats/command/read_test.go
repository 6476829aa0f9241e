package command

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

func TestFormatsOfRecords(t *testing.T) {
	root := exampleRoot(t)
	golden(t, "read.txt", succeed(t, "read", "ORDERS", "--root", root))
	golden(t, "read.ndjson", succeed(t, "read", "ORDERS", "--root", root, "--format", "ndjson"))
	golden(t, "read.ndjson", succeed(t, "read", "ORDERS", "--root", root, "--json"))
	golden(t, "read.raw", succeed(t, "read", "ORDERS", "--root", root, "--format", "raw", "--delimiter", `\x00\n`))
}

func TestRawPayloadsAreByteForByte(t *testing.T) {
	root := exampleRoot(t)
	var want []byte
	for _, rec := range exampleRecords(t) {
		want = append(want, rec.Payload...)
	}
	if got := succeed(t, "read", "ORDERS", "--root", root, "--format", "raw"); got != string(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEveryNDJSONLineHasThePayloadInOneForm(t *testing.T) {
	root := exampleRoot(t)
	records := exampleRecords(t)
	lines := strings.Split(strings.TrimSpace(succeed(t, "read", "ORDERS", "--root", root, "--json")), "\n")
	if len(lines) != len(records) {
		t.Fatalf("%d lines for %d records", len(lines), len(records))
	}
	for i, line := range lines {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		data, isText := fields["data"].(string)
		encoded, isBinary := fields["data_base64"].(string)
		if isBinary {
			decoded, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			data = string(decoded)
		}
		if isText == isBinary || data != string(records[i].Payload) {
			t.Errorf("line %q does not give %q", line, records[i].Payload)
		}
	}
}

// sequences runs a reading command and returns the sequences that it printed.
func sequences(t *testing.T, args ...string) []uint64 {
	t.Helper()
	got := []uint64{}
	decoder := json.NewDecoder(strings.NewReader(succeed(t, append(args, "--format", "ndjson")...)))
	for decoder.More() {
		var line struct{ Seq uint64 }
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Seq)
	}
	return got
}

func TestWhichRecordsAreRead(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(30))
	for _, c := range []struct {
		args string
		want []uint64
	}{
		{"--limit 2", []uint64{1, 2}},
		{"--from-seq 29", []uint64{29, 30}},
		{"--from-seq 31", []uint64{}},
		{"--from-seq 5 --to-seq 7", []uint64{5, 6, 7}},
		{"--to-seq 1", []uint64{1}},
		{"--subject numbers.3", []uint64{3, 13, 23}},
		{"--subject numbers.3 --subject numbers.4 --limit 3", []uint64{3, 4, 13}},
		{"--subject *.0 --from-seq 11", []uint64{20, 30}},
		{"--subject > --from-seq 30", []uint64{30}},
		{"--subject other", []uint64{}},
		{"--from-time " + recordTime(28).Format(time.RFC3339Nano), []uint64{28, 29, 30}},
		{"--from-time " + recordTime(99).Format(time.RFC3339Nano), []uint64{}},
		{"--from-time 1600-01-01T00:00:00Z --limit 2", []uint64{1, 2}},
		{"--from-time 0001-01-01T00:00:00Z --limit 2", []uint64{1, 2}},
		{"--from-time 2562047h --limit 2", []uint64{1, 2}},
		{"--from-time 2262-04-12T00:00:00Z", []uint64{}},
		{"--from-time 9999-01-01T00:00:00Z", []uint64{}},
	} {
		got := sequences(t, append([]string{"read", "N", "--root", root}, strings.Fields(c.args)...)...)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.args, got, c.want)
		}
	}
}

// What was acknowledged a moment ago may not be provable from the files yet: then
// that is said, and --follow waits for it.
func TestRecordsThatAreNotYetProvedDurableAreSaid(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	eng, err := engine.Open(root, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eng.Close() }()
	log := appendTo(t, eng, "N", engine.LogOptions{}, numbered(3))
	said := false
	for count := 4; !said && count < 100; count++ { // the mark of an idle second may come before the reading
		if _, err := log.AppendSync(testContext(t), &engine.Record{Payload: []byte("last")}); err != nil {
			t.Fatal(err)
		}
		r := run(t, "read", "N", "--root", root, "--format", "ndjson")
		said = strings.Contains(r.stderr, "that nothing in them proves to be on the disk yet")
		if printed := strings.Count(r.stdout, "\n"); r.code != exitSuccess || said != (printed < count) || said == (r.stderr == "") {
			t.Fatalf("exit code %d, %d of %d records printed, stderr %q", r.code, printed, count, r.stderr)
		}
		limit := fmt.Sprint(count)
		if got := sequences(t, "read", "N", "--root", root, "--follow", "--limit", limit); len(got) != count {
			t.Fatalf("%d of %d records with --follow", len(got), count)
		}
		if r := run(t, "read", "N", "--root", root, "--to-seq", "1"); r.stderr != "" {
			t.Fatalf("what was asked for is printed, and stderr is %q", r.stderr)
		}
	}
	if !said {
		t.Error("nothing was ever said to be behind")
	}
}

func TestReadingFromARecordID(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(5))
	eng, err := engine.OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eng.Close() }()
	log, err := eng.OpenLog("N", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := log.NewReader(engine.ReadOptions{FromSeq: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if _, err := reader.Next(testContext(t)); err != nil {
		t.Fatal(err)
	}
	id := reader.RecordID()
	for _, text := range []string{fmt.Sprint(uint64(id)), fmt.Sprintf("%d:%d", id.Segment(), id.Offset())} {
		if got := sequences(t, "read", "N", "--root", root, "--from-id", text); !slices.Equal(got, []uint64{4, 5}) {
			t.Errorf("%s: got %v", text, got)
		}
	}
	failWith(t, exitNotFound, []string{"no record at segment 9"}, "read", "N", "--root", root, "--from-id", "9:64")
}

func TestReadingRefusesWhatItCannotDo(t *testing.T) {
	root := exampleRoot(t)
	for _, c := range []struct {
		args string
		text string
	}{
		{"--root R -s nats://127.0.0.1:4222", "leave one of them out"},
		{"--root R --timeout 1s", "leave one of them out"},
		{"--root R --format xml", "use text, ndjson or raw"},
		{"--root R --delimiter x", "belongs to --format raw"},
		{`--root R --format raw --delimiter \q`, "escape"},
		{"--root R --subject a..b", "is no subject"},
		{"--root R --from-seq 1 --from-time 1m", "give one of --from-seq"},
		{"--root R --from-seq 4 --to-seq 3", "--from-seq 4 is behind --to-seq 3"},
		{"--root R --from-seq 4 --to-seq 3 --follow", "--from-seq 4 is behind --to-seq 3"},
		{"--from-seq 4 --to-seq 3", "--from-seq 4 is behind --to-seq 3"},
		{"--root R --from-seq -1", "--from-seq"},
		{"--root R --to-seq -1", "--to-seq"},
		{"--root R --limit -1", "--limit"},
		{"--root R --from-time yesterday", "2026-01-31T13:00:00Z"},
		{"--root R --from-time -5m", "--from-time"},
		{"--root R --from-id 1:x", "SEGMENT:OFFSET"},
		{"--root R --from-id 0", "SEGMENT:OFFSET"},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "--root R", "--root "+root))
		failWith(t, exitUsage, []string{c.text}, append([]string{"read", "ORDERS"}, args...)...)
	}
}

func TestALogThatIsNotThereIsAnsweredWithThoseThatAre(t *testing.T) {
	root := exampleRoot(t)
	writeLog(t, root, "EMPTY", nil)
	for _, args := range [][]string{{"read", "NONE"}, {"tail", "NONE"}, {"log", "info", "NONE"}} {
		failWith(t, exitNotFound, []string{"NONE", "there are EMPTY, ORDERS"}, append(args, "--root", root)...)
	}
	empty := filepath.Join(t.TempDir(), "root")
	eng, err := engine.Open(empty, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eng.Close() }()
	for n := range 13 {
		if n == 1 {
			failWith(t, exitNotFound, []string{"there is L00"}, "read", "NONE", "--root", empty)
		}
		if _, err := eng.OpenLog(fmt.Sprintf("L%02d", n), engine.LogOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	failWith(t, exitNotFound, []string{"L00, L01", "L09 and 3 more", "log ls"}, "read", "NONE", "--root", empty)
}

func TestALogWithoutItsIdentityIsDamagedAndNotAbsent(t *testing.T) {
	root := exampleRoot(t)
	if err := os.Remove(filepath.Join(root, "logs", "ORDERS", "log.json")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"read", "ORDERS"}, {"tail", "ORDERS"}, {"log", "info", "ORDERS"}} {
		failWith(t, exitCorruption, []string{"log.json is missing", "put it back from a copy"}, append(args, "--root", root)...)
	}
}

func TestALogWithoutRecordsIsReadAsNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "EMPTY", nil)
	for _, args := range []string{"", "--from-seq 0", "--from-seq 1", "--from-time 1h", "--to-seq 9 --limit 0"} {
		if got := sequences(t, append([]string{"read", "EMPTY", "--root", root}, strings.Fields(args)...)...); len(got) > 0 {
			t.Errorf("%s: %v", args, got)
		}
	}
}

func TestDamageEndsReadingAndNamesTheSequences(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(9))
	damage(t, root, "N", "number-4.")
	r := failWith(t, exitCorruption, []string{"sequences 4 to 4", "--skip-damaged"}, "read", "N", "--root", root, "--format", "raw")
	if r.stdout != "number-1.number-2.number-3." {
		t.Errorf("printed %q", r.stdout)
	}
	r = failWith(t, exitCorruption, []string{"skipped: log N, segment 1", "sequence 4", "skipped 1 damaged range"},
		"read", "N", "--root", root, "--format", "raw", "--skip-damaged")
	if r.stdout != "number-1.number-2.number-3.number-5.number-6.number-7.number-8.number-9." {
		t.Errorf("skipping printed %q", r.stdout)
	}
}

// A file of the log that is gone ends no reading early, and says what to do.
func TestReadOfARootThatLacksAFileSaysSo(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(3))
	dir := filepath.Join(root, "logs", "N")
	if err := os.Rename(filepath.Join(dir, "manifest"), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"read", "log info"} {
		args := append(strings.Fields(verb), "N", "--root", root)
		if r := run(t, args...); r.code != exitSuccess || !tells([]string{r.stderr}, "log N: the manifest is gone", "serve --bucket") {
			t.Errorf("%s: exit code %d, stderr %q", verb, r.code, r.stderr)
		}
	}
	if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "manifest")); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "segments", "*.seg"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	failWith(t, exitCorruption, []string{"sequences 1 to ", "the segment file is missing"}, "read", "N", "--root", root)
	if r := run(t, "log", "info", "N", "--root", root); !tells([]string{r.stdout}, "damaged") {
		t.Errorf("log info says %q", r.stdout)
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	root := exampleRoot(t)
	for _, args := range [][]string{
		{"read", "ORDERS", "--root", root}, {"read", "ORDERS", "--root", root, "--json"}, {"read", "ORDERS", "--root", root, "--format", "raw"},
		{"log", "ls", "--root", root}, {"log", "info", "ORDERS", "--root", root}, {"fsck", root}, {"fsck", root, "--json"}, {"version"},
	} {
		var stderr strings.Builder
		code := Run(testContext(t), Environment{Args: args, Getenv: func(string) string { return "" }, Stdout: fullDisk{}, Stderr: &stderr})
		if code != exitIO || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr.String())
		}
	}
}
