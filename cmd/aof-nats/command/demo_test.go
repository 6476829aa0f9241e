package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// linesFile writes lines as a source of events.
func linesFile(t *testing.T, lines ...string) *eventSource {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	source, err := newEventSource(path, "events.{kind}.x")
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// comparedEvents are four events that were acknowledged in their order.
func comparedEvents(t *testing.T) (*comparison, []storedRecord) {
	t.Helper()
	lines := []string{`{"kind":"a","n":1}`, `{"kind":"b","n":2}`, `{"kind":"a","n":3}`, `{"kind":"c","n":4}`}
	ledger, err := newEventLedger(linesFile(t, lines...))
	if err != nil {
		t.Fatal(err)
	}
	var records []storedRecord
	for i, line := range lines {
		if err := ledger.ack(i, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
		records = append(records, storedRecord{
			seq: uint64(i + 1), subject: "events." + line[9:10] + ".x", payload: []byte(line),
			header: map[string][]string{messageIDHeader: {messageID(i)}},
		})
	}
	return newComparison(ledger), records
}

func TestTheComparisonFindsEveryKindOfDifference(t *testing.T) {
	for _, c := range []struct {
		name                       string
		change                     func(records []storedRecord) []storedRecord
		lost, invented, duplicates int
	}{
		{"nothing", func(r []storedRecord) []storedRecord { return r }, 0, 0, 0},
		{"a record is missing", func(r []storedRecord) []storedRecord { return append(r[:1:1], r[2:]...) }, 1, 0, 0},
		{"the last is missing", func(r []storedRecord) []storedRecord { return r[:3] }, 1, 0, 0},
		{"everything is missing", func([]storedRecord) []storedRecord { return nil }, 4, 0, 0},
		{"a byte differs", func(r []storedRecord) []storedRecord {
			r[1].payload = bytes.Replace(r[1].payload, []byte("2"), []byte("3"), 1)
			return r
		}, 1, 1, 0},
		{"a subject differs", func(r []storedRecord) []storedRecord { r[1].subject = "events.a.x"; return r }, 1, 1, 0},
		{"a byte more", func(r []storedRecord) []storedRecord { r[3].payload = append(r[3].payload, ' '); return r }, 1, 1, 0},
		{"two payloads changed places", func(r []storedRecord) []storedRecord {
			r[0].payload, r[2].payload = r[2].payload, r[0].payload
			return r
		}, 2, 2, 0},
		{"a header more", func(r []storedRecord) []storedRecord { r[0].header["X"] = []string{"y"}; return r }, 1, 1, 0},
		{"no header", func(r []storedRecord) []storedRecord { r[0].header = nil; return r }, 1, 1, 0},
		{"an event of nobody", func(r []storedRecord) []storedRecord {
			return append(r, storedRecord{seq: 5, subject: "events.a.x", payload: []byte("{}"), header: map[string][]string{messageIDHeader: {"event-4"}}})
		}, 0, 1, 0},
		{"stored twice", func(r []storedRecord) []storedRecord { again := r[2]; again.seq = 5; return append(r, again) }, 0, 0, 1},
		{"delivered twice", func(r []storedRecord) []storedRecord { return append(r, r[3]) }, 0, 0, 1},
		{"out of order", func(r []storedRecord) []storedRecord { r[1], r[2] = r[2], r[1]; return r }, 1, 1, 0},
	} {
		compared, records := comparedEvents(t)
		records = c.change(records)
		for range 2 { // what two passes find counts once
			pass := compared.pass("read", allEvents)
			for i := range records {
				pass.take(&records[i])
			}
			pass.end()
		}
		if len(compared.lost) != c.lost || len(compared.invented) != c.invented || len(compared.duplicates) != c.duplicates {
			t.Errorf("%s: %d lost, %d invented, %d duplicates", c.name, len(compared.lost), len(compared.invented), len(compared.duplicates))
		}
		if differs := c.lost+c.invented+c.duplicates > 0; differs != (compared.first != nil) {
			t.Errorf("%s: the first difference is %v", c.name, compared.first)
		}
	}
}

func TestAFilterThatReturnsTooMuchOrTooLittleIsFound(t *testing.T) {
	compared, records := comparedEvents(t)
	if groups := fmt.Sprint(compared.ledger.groups); groups != "[events.a.> events.b.> events.c.>]" {
		t.Fatalf("groups are %s", groups)
	}
	pass := compared.pass("read", func(e *ledgerEvent) bool { return e.group == 0 })
	pass.take(&records[0])
	pass.take(&records[1])
	pass.end()
	if !compared.lost[2] || len(compared.lost) != 1 || !compared.invented[2] || len(compared.invented) != 1 {
		t.Errorf("lost %v, invented %v", compared.lost, compared.invented)
	}
}

func TestAnEventHasOneSequence(t *testing.T) {
	compared, _ := comparedEvents(t)
	if err := compared.ledger.ack(1, 2); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := compared.ledger.ack(1, 5); err == nil {
		t.Error("another sequence is accepted")
	}
}

// buildProgram builds what the demo runs as its bridge.
func buildProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "aof-nats")
	// No limit of its own: on a new machine it compiles everything there is.
	command := exec.Command("go", "build", "-buildvcs=false", "-o", path, "..")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

// TestADemoWhoseLogIsNotItsSourceFails publishes one file and compares with
// another that differs in one byte. One line is longer than the smallest segment.
func TestADemoWhoseLogIsNotItsSourceFails(t *testing.T) {
	lines := make([]string, 100)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"kind":"k%d","n":%d}`, i%3, i)
	}
	lines[50] = fmt.Sprintf(`{"kind":"long","n":%q}`, strings.Repeat("x", 100_000))
	published := linesFile(t, lines...)
	lines[70] = strings.Replace(lines[70], "70", "71", 1)
	var stdout, stderr bytes.Buffer
	d := &demo{
		app: &app{env: Environment{Stdout: &stdout, Stderr: &stderr}}, flags: &demoFlags{}, program: buildProgram(t),
		source: published, expected: linesFile(t, lines...), log: logOfEvents, progress: &progress{},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*testTimeout) // hundreds of syncs, on a disk that has other work too
	defer cancel()
	err := d.run(ctx)
	if exitCode(err) != exitCorruption || !strings.Contains(fmt.Sprint(err), "event 71 on events.k1.x, has other bytes than its source") {
		t.Errorf("%v; stderr %q", err, stderr.String())
	}
	if !strings.Contains(stdout.String(), "Lost, invented, doubled: 1, 1, 0") {
		t.Errorf("the table is\n%s", stdout.String())
	}
}

// Whatever line the demo takes fits into its segments.
func TestTheSegmentsOfTheDemoFitTheLongestLine(t *testing.T) {
	for _, longest := range []int{300, segmentBytesFloor, 100_000, demoLineBytesMax / 2, demoLineBytesMax} {
		ledger, err := newEventLedger(linesFile(t, `{"kind":"a"}`, strings.Repeat("1", longest)))
		if err != nil {
			t.Fatal(err)
		}
		eng, err := engine.Open(filepath.Join(t.TempDir(), "root"), engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		headers, err := engine.EncodeHeaders(map[string][]string{messageIDHeader: {messageID(1)}})
		if err != nil {
			t.Fatal(err)
		}
		record := engine.Record{Subject: []byte("events._.x"), Headers: headers, Payload: make([]byte, longest)}
		log, err := eng.OpenLog("EVENTS", engine.LogOptions{SegmentBytesMax: int64(sizesFor(ledger).segment)})
		if err == nil {
			_, err = log.Append(&record)
		}
		if err := errors.Join(err, eng.Close()); err != nil {
			t.Errorf("a line of %d bytes: %v", longest, err)
		}
	}
}

func TestAWrongCallOfTheDemoLeavesNoTrace(t *testing.T) {
	file, root := filepath.Join(t.TempDir(), "events.ndjson"), filepath.Join(t.TempDir(), "root")
	empty := filepath.Join(t.TempDir(), "empty.ndjson")
	for path, text := range map[string]string{file: "{\"a\":1}\nno json\n", empty: "\n\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"--bucket s3://b", exitUsage, "unknown scheme"},
		{"--bucket mem://b", exitUsage, "is killed"},
		{"--events " + empty, exitUsage, "holds no events"},
		{"--events " + file + ".not", exitNotFound, "no such file"},
		{"--events " + file + " --subject e.{a}", exitUsage, file + ":2: the message is no JSON"},
		{"--events " + file + " --subject {a}.e", exitUsage, "begin with a token"},
		{"--events " + file + " --subject a..b", exitUsage, "cannot be published on"},
		{"--events " + file + " --subject $JS.x", exitUsage, "reserved"},
		{"--subject", exitUsage, "needs an argument"},
	} {
		args := append([]string{"demo", "--root", root}, strings.Fields(c.args)...)
		failWith(t, c.code, []string{c.text}, args...)
		if _, err := os.Stat(root); !os.IsNotExist(err) {
			t.Errorf("%s: the root was made", c.args)
		}
	}
}

func TestSubjectsFitTheEvents(t *testing.T) {
	for path, want := range map[string]string{
		"": "quakes.>", filepath.Join("demodata", builtinName): "quakes.>", filepath.Join("demodata", "README.md"): "events.>",
	} {
		source, err := newEventSource(path, "")
		if err != nil || source.captured() != want {
			t.Errorf("%s: %v, %v", path, source, err)
		}
	}
}

func TestPercentilesOfDurations(t *testing.T) {
	var durations []time.Duration
	for i := 100; i > 0; i-- {
		durations = append(durations, time.Duration(i)*time.Millisecond)
	}
	if p50, p99 := percentile(durations, 0.50), percentile(durations, 0.99); p50 != 51 || p99 != 100 {
		t.Errorf("p50 %f, p99 %f", p50, p99)
	}
	if got := percentile(nil, 0.5); got != 0 {
		t.Errorf("of none: %f", got)
	}
}
