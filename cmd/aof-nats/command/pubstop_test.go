package command

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// idleInput is a standard input on which nothing comes any more and which stays
// open, as that of `tail -f` does.
func idleInput(t *testing.T) (io.Reader, *io.PipeWriter) {
	t.Helper()
	in, out := io.Pipe()
	t.Cleanup(func() { _ = out.Close() })
	return in, out
}

func TestInterruptEndsPubThoughNothingComesFromItsInput(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a.>")
	in, out := idleInput(t)
	pub := startReading(t, in, "pub", "-s", s.NATSURL, "a.x", "--ndjson")
	if _, err := io.WriteString(out, "one\n"); err != nil {
		t.Fatal(err)
	}
	tail := startCommand(t, "tail", "A", "-s", s.NATSURL, "--format", "raw")
	tail.stdout.await(t, "one")
	pub.interrupt()
	if code := pub.wait(t); code != exitTimeout || !strings.HasPrefix(pub.stdout.String(), "1 of 1 message acknowledged") {
		t.Errorf("exit code %d, printed %q, said %q", code, pub.stdout, pub.stderr)
	}
	if _, err := io.WriteString(out, "two\n"); err != nil { // the read that was under way takes it
		t.Fatal(err)
	}
	if text := succeed(t, "read", "A", "-s", s.NATSURL, "--format", "raw"); text != "one" {
		t.Errorf("after the interrupt the log holds %q", text)
	}
}

func TestInterruptEndsPubThatReadsAllOfItsInput(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a.>")
	in, out := idleInput(t)
	pub := startReading(t, in, "pub", "-s", s.NATSURL, "a.x")
	if _, err := io.WriteString(out, "the beginning"); err != nil {
		t.Fatal(err)
	}
	pub.interrupt()
	if code := pub.wait(t); code != exitTimeout {
		t.Errorf("exit code %d, said %q", code, pub.stderr)
	}
}

func TestPubTellsARefusalAtOnceThoughNothingComesFromItsInput(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a.>")
	in, out := idleInput(t)
	pub := startReading(t, in, "pub", "-s", s.NATSURL, "a.x", "--ndjson", "-H", "Nats-Expected-Last-Sequence:99")
	if _, err := io.WriteString(out, "one\n"); err != nil {
		t.Fatal(err)
	}
	if code := pub.wait(t); code != exitIO || !strings.Contains(pub.stderr.String(), "wrong last sequence") {
		t.Errorf("exit code %d, said %q", code, pub.stderr)
	}
}
