package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// testTimeout bounds every wait of a test; it is reached only by a failure.
const testTimeout = 30 * time.Second

// runTimeout is the same for a command that reads everything that a long test
// has published.
const runTimeout = 5 * time.Minute

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// buildDir holds the program, if a test has built it.
var buildDir string

// build builds the program once for all tests.
var build = sync.OnceValues(func() (string, error) {
	var err error
	if buildDir, err = os.MkdirTemp("", "aof-nats-test"); err != nil {
		return "", err
	}
	if err := os.Chmod(buildDir, 0o755); err != nil { // a test runs it as somebody else
		return "", err
	}
	path := filepath.Join(buildDir, "aof-nats")
	output, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version=9.8.7", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, output)
	}
	return path, nil
})

func program(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs the program to its end, which must be a success.
func run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	path := program(t) // the time that building takes does not count
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%q: %v; stderr %q\n%s", args, err, stderr.String(), output)
	}
	return string(output)
}

// bridge is a running `serve`.
type bridge struct {
	command *exec.Cmd
	log     chan string   // lines of standard error, until it ends
	ended   chan struct{} // closed when standard error has ended
	NATSURL string        `json:"nats_url"`
	HTTPURL string        `json:"http_url"`
}

// serveArgs are those of a `serve` with free ports.
func serveArgs(root string, args ...string) []string {
	return append([]string{
		"serve", "--root", root, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "EVENTS=events.>",
	}, args...)
}

// startBridge starts `serve` with free ports and waits until it is ready.
func startBridge(t *testing.T, root string, args ...string) *bridge {
	t.Helper()
	return startBridgeAs(t, exec.Command(program(t), serveArgs(root, args...)...))
}

// startBridgeAs starts a command that is `serve`.
func startBridgeAs(t *testing.T, command *exec.Cmd) *bridge {
	t.Helper()
	b := &bridge{command: command, log: make(chan string, 64), ended: make(chan struct{})}
	stderr, err := b.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.command.Start(); err != nil {
		t.Fatal(err)
	}
	go b.readLog(stderr)
	t.Cleanup(func() {
		if b.command.ProcessState == nil {
			_ = b.command.Process.Kill() // fails if it has just ended
			b.wait(t)
		}
	})
	if err := json.Unmarshal([]byte(b.await(t, `"msg":"serving"`)), b); err != nil {
		t.Fatal(err)
	}
	b.awaitReady(t)
	return b
}

// readLog passes lines on; what nobody waits for is dropped.
func (b *bridge) readLog(stderr io.Reader) {
	defer close(b.ended)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		select {
		case b.log <- lines.Text():
		default:
		}
	}
}

// await waits for a line of the log that holds a text.
func (b *bridge) await(t *testing.T, text string) string {
	t.Helper()
	ctx := testContext(t)
	for {
		select {
		case line := <-b.log:
			if strings.Contains(line, text) {
				return line
			}
			t.Log(line)
		case <-b.ended:
			t.Fatalf("the bridge ended before it said %q", text)
		case <-ctx.Done():
			t.Fatalf("the bridge did not say %q", text)
		}
	}
}

// awaitReady asks /readyz until it answers 200.
func (b *bridge) awaitReady(t *testing.T) {
	t.Helper()
	ctx := testContext(t)
	transport := &http.Transport{DisableKeepAlives: true}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.HTTPURL+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == http.StatusOK {
			return
		}
		<-tick.C
	}
}

func (b *bridge) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := b.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the end of the process.
func (b *bridge) wait(t *testing.T) *os.ProcessState {
	t.Helper()
	select {
	case <-b.ended:
	case <-testContext(t).Done():
		t.Fatal("the bridge does not end")
	}
	var exit *exec.ExitError
	if err := b.command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return b.command.ProcessState
}

// record is a line of `read --format ndjson`.
type record struct {
	Seq        uint64
	Subject    string
	Headers    map[string][]string
	Data       *string
	DataBase64 []byte `json:"data_base64"`
}

func (r *record) payload() string {
	if r.Data != nil {
		return *r.Data
	}
	return string(r.DataBase64)
}

// readAll reads the log EVENTS of a root.
func readAll(t *testing.T, root string) []record {
	t.Helper()
	var records []record
	decoder := json.NewDecoder(strings.NewReader(run(t, "", "read", "EVENTS", "--root", root, "--format", "ndjson")))
	for decoder.More() {
		var r record
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}
