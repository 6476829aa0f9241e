package command

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// testTimeout bounds every wait of a test; it is reached only by a failure.
const testTimeout = 20 * time.Second

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// result is what one command line did.
type result struct {
	code           int
	stdout, stderr string
}

// call is a command line with its surroundings.
type call struct {
	args  []string
	stdin string
	env   map[string]string
}

func (c call) run(t *testing.T) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(testContext(t), Environment{
		Args: c.args, Version: "1.2.3", Getenv: func(name string) string { return c.env[name] },
		Stdin: strings.NewReader(c.stdin), Stdout: &stdout, Stderr: &stderr,
	})
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	return call{args: args}.run(t)
}

// succeed runs a command line that must succeed, and returns what it printed.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	r := run(t, args...)
	if r.code != exitSuccess || r.stderr != "" {
		t.Fatalf("%q: exit code %d, stderr %q", args, r.code, r.stderr)
	}
	return r.stdout
}

// failWith runs a command line that must fail with a code and say each of the
// texts on standard error.
func failWith(t *testing.T, code int, texts []string, args ...string) result {
	t.Helper()
	r := run(t, args...)
	r.mustFail(t, code, texts...)
	return r
}

func (r result) mustFail(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d; stderr %q", r.code, code, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("stderr %q does not say %q", r.stderr, text)
		}
	}
}

// golden compares output with a golden file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// clock stands still: an engine looks at it from several goroutines, in any
// order.
func clock() func() time.Time {
	now := time.Date(2026, 1, 31, 13, 0, 6, 5, time.UTC)
	return func() time.Time { return now }
}

// recordTime is the timestamp of the i-th record of writeLog.
func recordTime(i int) time.Time {
	return time.Date(2026, 2, 1, 0, 0, i, 123456789, time.UTC)
}

// exampleRecords are of every kind that the formats print differently.
func exampleRecords(t *testing.T) []engine.Record {
	t.Helper()
	headers, err := engine.EncodeHeaders(map[string][]string{"Trace": {"a", "b"}, "Nats-Msg-Id": {"id <1>"}})
	if err != nil {
		t.Fatal(err)
	}
	return []engine.Record{
		{Subject: []byte("orders.new"), Payload: []byte(`{"id":1,"note":"<&>"}`)},
		{Subject: []byte("orders.new"), Payload: []byte("zwei\nZeilen: ü"), Headers: headers, ExtID: 77},
		{Subject: []byte("orders.paid"), Payload: []byte{0xff, 0x00, 0xfe}},
		{Subject: []byte("orders.paid")},
		{Subject: []byte("orders.new"), Payload: []byte("\x1b[31mred")},
	}
}

// writeLog appends records to a log of a root and closes it.
func writeLog(t *testing.T, root, name string, records []engine.Record) {
	t.Helper()
	eng, err := engine.Open(root, engine.Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, eng, name, engine.LogOptions{}, records)
	if err := eng.Close(); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, eng *engine.Engine, name string, options engine.LogOptions, records []engine.Record) *engine.Log {
	t.Helper()
	log, err := eng.OpenLog(name, options)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if records[i].Timestamp == 0 {
			records[i].Timestamp = recordTime(i + 1).UnixNano()
		}
		if _, err := log.AppendSync(testContext(t), &records[i]); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

// exampleRoot is a root with the log ORDERS of exampleRecords.
func exampleRoot(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "ORDERS", exampleRecords(t))
	return root
}

// numbered are records with their number as payload.
func numbered(count int) []engine.Record {
	records := make([]engine.Record, count)
	for i := range records {
		records[i] = engine.Record{
			Subject: fmt.Appendf(nil, "numbers.%d", (i+1)%10), Payload: fmt.Appendf(nil, "number-%d.", i+1),
		}
	}
	return records
}

// damage flips a bit of the one place in a log's segment files that holds text.
func damage(t *testing.T, root, name, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "logs", name, "segments", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		contents, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(contents, []byte(text)); at >= 0 {
			contents[at] ^= 1
			if err := os.WriteFile(path, contents, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no segment of %s holds %q", name, text)
}

// tree lists all files below a directory with their sizes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			fmt.Fprintf(&list, "%s %d %s\n", path, info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// incompressible are bytes that a compressor makes no smaller.
func incompressible(count int) []byte {
	bytes := make([]byte, count)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(bytes) // never fails
	return bytes
}
