package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoReport is what `demo --json` prints; unknown names are errors.
type demoReport struct {
	Records        uint64         `json:"records"`
	Acked          uint64         `json:"acked"`
	Lost           uint64         `json:"lost"`
	Invented       uint64         `json:"invented"`
	Duplicates     uint64         `json:"duplicates"`
	Refused        uint64         `json:"refused"`
	Kills          int            `json:"kills"`
	InFlightAtKill uint64         `json:"in_flight_at_kill"`
	Segments       map[string]int `json:"segments"`
	Bytes          map[string]int64
	Ratio          float64           `json:"ratio"`
	AcksPerSecond  float64           `json:"acks_per_s"`
	AckP50         float64           `json:"ack_p50_ms"`
	AckP99         float64           `json:"ack_p99_ms"`
	ColdReadP50    float64           `json:"cold_read_p50_ms"`
	BucketRequests map[string]uint64 `json:"bucket_requests"`
}

// demoTimeout is for hundreds of syncs, one after the other, on a disk that has
// other work too.
const demoTimeout = 5 * time.Minute

// runDemo runs the demo to its end; temporary files go to the test's directory.
func runDemo(t *testing.T, args ...string) (report demoReport, stages, scratch string) {
	t.Helper()
	scratch = t.TempDir()
	path := program(t)
	ctx, cancel := context.WithTimeout(context.Background(), demoTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, path, append([]string{"demo", "--json"}, args...)...)
	command.Env = append(os.Environ(), "TMPDIR="+scratch)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v; stderr:\n%s", err, stderr.String())
	}
	decoder := json.NewDecoder(&stdout)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil {
		t.Fatal(err)
	}
	if decoder.More() {
		t.Error("standard output has more than one object")
	}
	return report, stderr.String(), scratch
}

// wantProved checks what must hold for every run.
func (r *demoReport) wantProved(t *testing.T, events uint64) {
	t.Helper()
	if r.Records != events || r.Acked != events || r.Lost+r.Invented+r.Duplicates != 0 {
		t.Errorf("of %d events: %+v", events, r)
	}
	if r.Kills < 1 || r.InFlightAtKill == 0 {
		t.Errorf("%d kills with %d publishes in flight", r.Kills, r.InFlightAtKill)
	}
	if ratio := float64(r.Bytes["raw"]) / math.Max(float64(r.Bytes["cold"]), 1); math.Abs(ratio-r.Ratio) > 0.01 {
		t.Errorf("ratio %f of %v", r.Ratio, r.Bytes)
	}
	if r.AcksPerSecond <= 0 || r.AckP50 <= 0 || r.AckP99 < r.AckP50 {
		t.Errorf("acknowledgements: %+v", r)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%s holds %v, %v", dir, entries, err)
	}
}

func TestTheDemoProvesThatNothingIsLostThroughAllTiersAndAKill(t *testing.T) {
	r, stages, scratch := runDemo(t)
	r.wantProved(t, 1707)
	if r.Segments["hot"] < 1 || r.Segments["warm"] < 1 || r.Segments["cold"] < 3 {
		t.Errorf("segments are %v", r.Segments)
	}
	if r.Bytes["hot"] > 512<<10 || r.Bytes["warm"] > 160<<10 || r.Ratio < 2 || r.ColdReadP50 <= 0 {
		t.Errorf("bytes are %v, ratio %f, cold reads took %f ms", r.Bytes, r.Ratio, r.ColdReadP50)
	}
	// Each cold segment was put, and each of the point reads got at least a frame.
	if r.BucketRequests["put"] < uint64(r.Segments["cold"]) || r.BucketRequests["get"] < 100 {
		t.Errorf("requests are %v", r.BucketRequests)
	}
	for _, text := range []string{"killed with SIGKILL", "read back by time", "12 filters"} {
		if !strings.Contains(stages, text) {
			t.Errorf("the stages do not tell %q:\n%s", text, stages)
		}
	}
	wantEmpty(t, scratch)
}

// eventsFile writes events of which most fields differ.
func eventsFile(t *testing.T, count int) string {
	t.Helper()
	var text strings.Builder
	for i := range count {
		fmt.Fprintf(&text, "{\"id\":%d,\"kind\":\"k%d\",\"text\":\"%d <&> ä %s\"}\n", i, i%7, i*i*i, strings.Repeat("x", i%300))
	}
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheDemoTakesOtherEventsAndLeavesTheFilesThatWereAskedFor(t *testing.T) {
	root, bucket := filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "bucket")
	events := eventsFile(t, 3000)
	r, stages, scratch := runDemo(t, "--events", events, "--subject", "events.{kind}.x", "--root", root, "--bucket", "file://"+bucket)
	r.wantProved(t, 3000)
	if !strings.Contains(stages, "7 filters") || r.Segments["cold"] < 3 {
		t.Errorf("segments are %v, stages:\n%s", r.Segments, stages)
	}
	records := readAll(t, root)
	if len(records) != 3000 || !strings.HasPrefix(records[0].Subject, "events.k") {
		t.Errorf("%d records are left, the first %+v", len(records), records[0])
	}
	run(t, "", "fsck", root)
	wantEmpty(t, scratch)
	path := program(t)
	again := exec.CommandContext(testContext(t), path, "demo", "--events", events, "--root", root)
	var exit *exec.ExitError
	if output, err := again.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(output), "holds a log EVENTS already") {
		t.Errorf("once more on the same root: %v: %s", err, output)
	}
}

func TestTheDemoWorksWithAHandfulOfEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.txt")
	if err := os.WriteFile(path, []byte("one\n\ntwo words\nlast, without a line break"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, _, scratch := runDemo(t, "--events", path)
	r.wantProved(t, 3)
	wantEmpty(t, scratch)
}

// TestTheDemoLeavesNothingWhenInterrupted ends it by the signal of the keyboard.
func TestTheDemoLeavesNothingWhenInterrupted(t *testing.T) {
	scratch := t.TempDir()
	command := exec.Command(program(t), "demo", "--json", "--events", eventsFile(t, 20_000))
	command.Env = append(os.Environ(), "TMPDIR="+scratch)
	b := &bridge{command: command, log: make(chan string, 64), ended: make(chan struct{})}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go b.readLog(stderr)
	address := strings.Fields(strings.SplitN(b.await(t, "the bridge serves"), "nats://", 2)[1])[0]
	b.signal(t, syscall.SIGINT)
	if state := b.wait(t); state.ExitCode() != 6 {
		t.Errorf("it ended with %s", state)
	}
	wantEmpty(t, scratch)
	// What the demo started has ended too: nobody listens any more.
	if output, err := exec.CommandContext(testContext(t), program(t), "pub", "-s", address, "--timeout", time.Second.String(), "a.b", "x").CombinedOutput(); err == nil {
		t.Errorf("the bridge still answers: %s", output)
	}
}
