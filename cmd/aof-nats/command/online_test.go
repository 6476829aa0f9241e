package command

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// Reading over NATS prints what reading the files prints, byte for byte.
func TestReadingOnlinePrintsWhatReadingTheRootPrints(t *testing.T) {
	root := exampleRoot(t)
	writeLog(t, root, "N", numbered(30))
	var byRoot []string
	commands := []string{
		"read ORDERS", "read ORDERS --format ndjson", "read ORDERS --json", `read ORDERS --format raw --delimiter \x00`,
		"read ORDERS --subject orders.paid", "read ORDERS --limit 2", "read N --json --from-seq 5 --to-seq 7", "read N --json --from-seq 31",
		"read N --json --subject numbers.3 --subject numbers.4 --limit 3", "read N --json --subject other",
		"read N --json --from-time " + recordTime(28).Format(time.RFC3339Nano), "read N --json --from-id " + recordIDOf(t, root, "N", 4),
		"read N --json --from-time 1600-01-01T00:00:00Z", "read N --json --from-time 9999-01-01T00:00:00Z",
		"read N --follow --limit 3 --json", "read N --follow --to-seq 2",
		"tail N -n 3 --limit 3 --json", "tail N -n 2 --limit 2 --json --subject numbers.7",
	}
	for _, line := range commands {
		byRoot = append(byRoot, succeed(t, append(strings.Fields(line), "--root", root)...))
	}
	s := serve(t, "--root", root, "--log", "ORDERS=orders.>") // N is only to be read
	for i, line := range commands {
		if got := succeed(t, append(strings.Fields(line), "-s", s.NATSURL)...); got != byRoot[i] {
			t.Errorf("%s prints\n%s\nand with --root\n%s", line, got, byRoot[i])
		}
	}
	byEnvironment := call{args: []string{"read", "ORDERS", "--json"}, env: map[string]string{"NATS_URL": s.NATSURL}}.run(t)
	if byEnvironment.code != exitSuccess || byEnvironment.stdout != byRoot[2] {
		t.Errorf("with NATS_URL: %+v", byEnvironment)
	}
}

// recordIDOf is where a record lies, as --from-id takes it.
func recordIDOf(t *testing.T, root, name string, seq uint64) string {
	t.Helper()
	eng, err := engine.OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eng.Close() }()
	log, err := eng.OpenLog(name, engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := log.NewReader(engine.ReadOptions{FromSeq: seq})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if _, err := reader.Next(testContext(t)); err != nil {
		t.Fatal(err)
	}
	id := reader.RecordID()
	return fmt.Sprintf("%d:%d", id.Segment(), id.Offset())
}

func TestReadingOnlineFailsWithTheCodeOfItsCause(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "M", numbered(9))
	damage(t, root, "M", "number-4.")
	s := serve(t, "--root", root, "--log", "M=numbers.>")
	online := func(code int, texts []string, args ...string) result {
		t.Helper()
		return failWith(t, code, texts, append(args, "-s", s.NATSURL)...)
	}
	online(exitNotFound, []string{"nobody serves readers of log NONE", "check its name"}, "read", "NONE")
	online(exitNotFound, []string{"no record at segment 9"}, "read", "M", "--from-id", "9:64")
	online(exitUsage, []string{"log name"}, "read", "a.b")
	online(exitUsage, []string{"give one of"}, "read", "M", "--from-seq", "1", "--from-time", "1m")
	r := online(exitCorruption, []string{"sequences 4 to 4", "--skip-damaged"}, "read", "M", "--format", "raw")
	if r.stdout != "number-1.number-2.number-3." {
		t.Errorf("printed %q", r.stdout)
	}
	r = online(exitCorruption, []string{"skipped: log M, segment 1", "sequence 4", "skipped 1 damaged range"}, "read", "M", "--format", "raw", "--skip-damaged")
	if r.stdout != "number-1.number-2.number-3.number-5.number-6.number-7.number-8.number-9." {
		t.Errorf("skipping printed %q", r.stdout)
	}
	failWith(t, exitIO, []string{"no connection to nats://127.0.0.1:1", "--root DIR"}, "read", "M", "-s", "nats://127.0.0.1:1")
	failWith(t, exitUsage, []string{"root/none: no such file"}, "read", "M", "-s", s.NATSURL, "--creds", filepath.Join(root, "none"))
}

func TestTailOnlineFollowsUntilInterrupted(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	s := serve(t, "--root", root, "--log", "N=numbers.>")
	publish := func(text string) { succeed(t, "pub", "-s", s.NATSURL, "numbers.1", text) }
	publish("one")
	publish("two")
	tail := startCommand(t, "tail", "N", "-s", s.NATSURL, "-n", "1", "--format", "raw", "--delimiter", `\n`)
	tail.stdout.await(t, "two\n")
	publish("three")
	tail.stdout.await(t, "three\n")
	tail.interrupt()
	if code := tail.wait(t); code != exitSuccess || tail.stdout.String() != "two\nthree\n" || tail.stderr.String() != "" {
		t.Errorf("exit code %d, printed %q, %q", code, tail.stdout, tail.stderr)
	}
	eventually(t, "the making of the log and of its segment are told on NATS", func() bool {
		_, metrics := get(t, s.HTTPURL+"/metrics")
		return strings.Contains(metrics, "aof_bridge_events_published_total 2\n")
	})
	if got := sequences(t, "read", "N", "-s", s.NATSURL); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
}
