package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

// stream is an output that a test can wait on.
type stream struct {
	mu struct {
		sync.Mutex
		text bytes.Buffer
	}
	written chan struct{}
}

func newStream() *stream { return &stream{written: make(chan struct{}, 1)} }

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.written <- struct{}{}:
	default:
	}
	return s.mu.text.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.text.String()
}

// await waits until something stands in the output.
func (s *stream) await(t *testing.T, text string) {
	t.Helper()
	ctx := testContext(t)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.written:
		case <-ctx.Done():
			t.Fatalf("%q did not appear in %q", text, s.String())
		}
	}
}

// running is a command line that runs beside the test.
type running struct {
	stdout, stderr *stream
	interrupt      context.CancelFunc
	done           chan struct{}
	code           int
}

func startCommand(t *testing.T, args ...string) *running {
	t.Helper()
	return startReading(t, strings.NewReader(""), args...)
}

// startReading is startCommand with something on standard input.
func startReading(t *testing.T, stdin io.Reader, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stdout: newStream(), stderr: newStream(), interrupt: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.code = Run(ctx, Environment{
			Args: args, Version: "1.2.3", Getenv: func(string) string { return "" },
			Stdin: stdin, Stdout: r.stdout, Stderr: r.stderr,
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// wait waits for the end and returns the exit code.
func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.done:
		return r.code
	case <-testContext(t).Done():
		t.Fatalf("still running; stderr %q", r.stderr)
		return 0
	}
}

func TestFollowersSeeRecordsWhileAnotherProcessWritesThem(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	eng, err := engine.Open(root, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eng.Close() }()
	options := engine.LogOptions{SegmentBytesMax: 64 << 10}
	log := appendTo(t, eng, "N", options, numbered(3))
	if err := log.Seal(testContext(t)); err != nil {
		t.Fatal(err)
	}
	reading := startCommand(t, "read", "N", "--root", root, "--follow", "--to-seq", "9", "--format", "raw")
	tailing := startCommand(t, "tail", "N", "--root", root, "-n", "1", "--format", "raw")
	filtered := startCommand(t, "read", "N", "--root", root, "--follow", "--to-seq", "9", "--subject", "numbers.2", "--format", "raw")
	reading.stdout.await(t, "number-3.")
	tailing.stdout.await(t, "number-3.")
	more := numbered(10)[3:]
	appendTo(t, eng, "N", options, more[:3])
	reading.stdout.await(t, "number-6.")
	if err := log.Seal(testContext(t)); err != nil {
		t.Fatal(err)
	}
	appendTo(t, eng, "N", options, more[3:])
	tailing.stdout.await(t, "number-10.")
	want := "number-1.number-2.number-3.number-4.number-5.number-6.number-7.number-8.number-9."
	if code := reading.wait(t); code != exitSuccess || reading.stdout.String() != want {
		t.Errorf("read ended with %d and printed %q", code, reading.stdout)
	}
	if code := filtered.wait(t); code != exitSuccess || filtered.stdout.String() != "number-2." {
		t.Errorf("read of one subject ended with %d and printed %q", code, filtered.stdout)
	}
	tailing.interrupt()
	want = "number-3.number-4.number-5.number-6.number-7.number-8.number-9.number-10."
	if code := tailing.wait(t); code != exitSuccess || tailing.stdout.String() != want {
		t.Errorf("tail ended with %d and printed %q; stderr %q", code, tailing.stdout, tailing.stderr)
	}
}

func TestTailBeginsWithTheLastRecordsThatMatch(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(200))
	for _, c := range []struct {
		args string
		want []uint64
	}{
		{"-n 2 --limit 2", []uint64{199, 200}},
		{"-n 500 --limit 1", []uint64{1}},
		{"-n 3 --limit 3 --subject numbers.7", []uint64{177, 187, 197}},
		{"-n 1 --limit 1 --subject numbers.0", []uint64{200}},
		{"-n 90 --limit 1 --subject numbers.7", []uint64{7}},
		{"-n 20 --limit 1 --subject numbers.7", []uint64{7}},
	} {
		got := sequences(t, append([]string{"tail", "N", "--root", root}, strings.Fields(c.args)...)...)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.args, got, c.want)
		}
	}
}

// Its bound is the same wherever it reads.
func TestTailSaysHowManyRecordsItMayBeginWith(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(3))
	s := serve(t, "--root", root, "--log", "N=numbers.>")
	if text := succeed(t, "tail", "--help"); !strings.Contains(text, fmt.Sprintf("at most %d", client.FromLastMax)) {
		t.Error(text)
	}
	for _, place := range [][]string{{"--root", root}, {"-s", s.NATSURL}} {
		most := []string{"tail", "N", "--limit", "3", "--format", "raw", "-n", fmt.Sprint(client.FromLastMax)}
		if got := succeed(t, append(most, place...)...); got != "number-1.number-2.number-3." {
			t.Errorf("%s: %q", place, got)
		}
		failWith(t, exitUsage, []string{"--lines 1048577 is over 1048576"}, append([]string{"tail", "N", "-n", "1048577"}, place...)...)
	}
}

func TestTailOfAnEmptyLogWaits(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	eng, err := engine.Open(root, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eng.Close() }()
	appendTo(t, eng, "N", engine.LogOptions{}, nil)
	tailing := startCommand(t, "tail", "N", "--root", root, "--limit", "1", "--format", "raw")
	appendTo(t, eng, "N", engine.LogOptions{}, numbered(1))
	if code := tailing.wait(t); code != exitSuccess || tailing.stdout.String() != "number-1." {
		t.Errorf("ended with %d and printed %q", code, tailing.stdout)
	}
}
