package command

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
)

// serving is a running `serve` with what it said of itself.
type serving struct {
	*running
	NATSURL string   `json:"nats_url"`
	HTTPURL string   `json:"http_url"`
	Logs    []string `json:"logs"`
}

// serve runs `serve` with free ports until the test ends.
func serve(t *testing.T, args ...string) *serving {
	t.Helper()
	s := &serving{running: startCommand(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)}
	s.stderr.await(t, `"msg":"serving"`)
	for line := range strings.SplitSeq(s.stderr.String(), "\n") {
		if strings.Contains(line, `"msg":"serving"`) {
			if err := json.Unmarshal([]byte(line), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// get asks for a page and returns its status and body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("not reached: %s", what)
		case <-tick.C:
		}
	}
}

func TestProfilesAreServedWhenAskedFor(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a", "--pprof")
	for _, page := range []string{"", "goroutine", "heap", "cmdline", "symbol"} {
		if status, body := get(t, s.HTTPURL+"/debug/pprof/"+page); status != http.StatusOK || body == "" {
			t.Errorf("/debug/pprof/%s answers %d with %d bytes", page, status, len(body))
		}
	}
}

func TestWhatIsServedIsStoredAndReadBack(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	s := serve(t, "--root", root, "--log", "ORDERS=orders.>,returns.*")
	if status, body := get(t, s.HTTPURL+"/healthz"); status != http.StatusOK || body != "{\"status\":\"ok\"}\n" {
		t.Errorf("/healthz answers %d %q", status, body)
	}
	if status, body := get(t, s.HTTPURL+"/readyz"); status != http.StatusOK || body != "{\"ready\":true,\"reasons\":[],\"warnings\":[]}\n" {
		t.Errorf("/readyz answers %d %q", status, body)
	}
	if status, _ := get(t, s.HTTPURL+"/other"); status != http.StatusNotFound {
		t.Errorf("a page that does not exist answers %d", status)
	}
	if status, _ := get(t, s.HTTPURL+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("profiles that nobody asked for answer %d", status)
	}
	succeed(t, "pub", "-s", s.NATSURL, "orders.new", "one")
	succeed(t, "pub", "-s", s.NATSURL, "returns.late", "two", "-H", "Reason: size")
	acknowledged := `aof_bridge_acks_total{level="durable",log="ORDERS"} 2` // counted behind the answer
	var metrics string
	eventually(t, "the acknowledgements are counted", func() bool {
		_, metrics = get(t, s.HTTPURL+"/metrics")
		return strings.Contains(metrics, acknowledged)
	})
	for _, line := range []string{
		`aof_log_durable_sequence{log="ORDERS"} 2`,
		`aof_build_info{go="`, `aof_hot_limit_bytes 4.294967296e+09`, `aof_hot_segments{log="ORDERS",state="active"} 1`,
		`aof_log_refusals_total{kind="Admission",log="ORDERS"} 0`, "go_goroutines ",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("/metrics does not have %s", line)
		}
	}
	s.interrupt()
	if code := s.wait(t); code != exitSuccess {
		t.Fatalf("exit code %d; stderr %q", code, s.stderr)
	}
	if got := succeed(t, "read", "ORDERS", "--root", root, "--format", "raw", "--delimiter", `\n`); got != "one\ntwo\n" {
		t.Errorf("read back %q", got)
	}
	if got := succeed(t, "read", "ORDERS", "--root", root, "--from-seq", "2"); !strings.Contains(got, "returns.late\nReason: size\ntwo\n") {
		t.Errorf("read back %q", got)
	}
}

func TestServedSegmentsLeaveTheLocalDiskForTheBucket(t *testing.T) {
	root, bucket := filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "bucket")
	args := []string{
		"--root", root, "--log", "A=a.>", "--bucket", "file://" + bucket,
		"--segment-bytes", "64KiB", "--hot-bytes", "512KiB", "--warm-bytes", "64KiB",
	}
	s := serve(t, args...)
	file := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(file, []byte(strings.Repeat(`{"text":"`+strings.Repeat("abcdefghij", 80)+"\"}\n", 400)), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 4 { // each less than the hot tier takes at once
		succeed(t, "pub", "-s", s.NATSURL, "a.{kind}", "--file", file, "--window", "16")
	}
	var metrics string
	eventually(t, "segments are only cold", func() bool {
		_, metrics = get(t, s.HTTPURL+"/metrics")
		return strings.Contains(metrics, `aof_log_segments{log="A",tier="cold"} 1`) && strings.Contains(metrics, `aof_log_cold_sequence{log="A"} 1`)
	})
	for _, line := range []string{
		`aof_hot_limit_bytes 524288`, `aof_warm_limit_bytes 65536`, `aof_bucket_requests_total{kind="put"} `, `aof_bucket_requests_total{kind="list"} `,
		`aof_tier_moves_total{move="upload",result="done"} `, `aof_tier_moves_total{move="evict_warm",result="failed"} 0`,
		`aof_cold_bytes{log="A"} `, `aof_warm_bytes{log="A"} `, `aof_bucket_sent_bytes_total `,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("/metrics does not have %s", line)
		}
	}
	s.interrupt()
	if code := s.wait(t); code != exitSuccess {
		t.Fatalf("exit code %d; stderr %q", code, s.stderr)
	}
	info := succeed(t, "log", "info", "A", "--root", root)
	for _, tiers := range []string{"hot", "cold"} {
		if !strings.Contains(info, "  "+tiers+"  ") {
			t.Errorf("no segment is in %s:\n%s", tiers, info)
		}
	}
	if lines := strings.Count(succeed(t, "read", "A", "--root", root, "--format", "raw", "--delimiter", `\n`), "\n"); lines != 1600 {
		t.Errorf("%d records are read back", lines)
	}
}

func TestMetricsOfLogsAreWellNamed(t *testing.T) {
	eng, err := engine.Open(t.TempDir(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eng.Close() }()
	log := appendTo(t, eng, "N", engine.LogOptions{}, numbered(3))
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(newEngineCollector(eng, []*engine.Log{log})); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestAWrongCallOfServeLeavesNoTrace(t *testing.T) {
	for _, c := range []struct {
		args string
		text string
	}{
		{"", "--log is missing"},
		{"--log ORDERS", "write NAME=SUBJECT"},
		{"--log =orders.>", "write NAME=SUBJECT"},
		{"--log my.log=orders.>", "log name"},
		{"--log A=a.> --log A=b.>", "given twice"},
		{"--log A=a.> --log B=a.b", "overlaps a.> of log A"},
		{"--log A=a.*,a.b", "stored twice"},
		{"--log A=a..b", "is no subject"},
		{"--log A=a,", "is no subject"},
		{"--log A=>", "reserved"},
		{"--log A=$JS.API.x", "reserved"},
		{"--log A=AOF.x", "reserved"},
		{"--log A=a --ack cold", "cold tier"},
		{"--log A=a --ack soon", "use durable or written"},
		{"--log A=a --bucket s3://b", "unknown scheme \"s3\""},
		{"--log A=a --bucket /tmp/x", "has no scheme"},
		{"--log A=a --bucket file://tmp/x", "three slashes"},
		{"--log A=a --bucket file:///tmp/x?shape=round", "the one parameter known is prefix"},
		{"--log A=a --bucket mem://b", "ends with this process"},
		{"--log A=a --warm-bytes lots", "is no size"},
		{"--log A=a --listen nowhere", "host:port"},
		{"--log A=a --http nowhere", "host:port"},
		{"--log A=a --segment-bytes 1KiB", "--segment-bytes"},
		{"--log A=a --segment-bytes 3GiB", "--segment-bytes"},
		{"--log A=a --segment-age -1s", "--segment-age"},
		{"--log A=a --hot-bytes 1KiB", "hot budget"},
		{"--log A=a --drain-timeout 0s", "--drain-timeout"},
		{"--log A=a --pprof --http=", "--pprof"},
		{"--log A=a --log-level loud", "--log-level"},
		{"--log A=a --nats nats://x --password p", "user"},
		{"--log A=a --nats=", "empty URL"},
		{"--log A=a --nats nats://127.0.0.1:1,", "empty URL"},
		{"--log A=a --nats nats://x --tlscert c", "certificate"},
	} {
		root := filepath.Join(t.TempDir(), "root")
		args := append([]string{"serve", "--root", root, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, strings.Fields(c.args)...)
		failWith(t, exitUsage, []string{c.text}, args...)
		if _, err := os.Stat(root); !os.IsNotExist(err) {
			t.Errorf("%s: the root was made", c.args)
		}
	}
	failWith(t, exitUsage, []string{"--root is missing"}, "serve", "--log", "A=a")
}

func TestServeSaysWhyItCannotHaveTheRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	args := []string{"serve", "--root", root, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "A=a"}
	s := serve(t, args[1:]...)
	failWith(t, exitIO, []string{"in use", root}, args...)
	s.interrupt()
	if code := s.wait(t); code != exitSuccess {
		t.Fatalf("exit code %d", code)
	}
	if err := os.WriteFile(filepath.Join(root, "engine.json"), []byte(`{"format_version": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	failWith(t, exitIO, []string{"newer"}, args...)
}

func TestServeSaysWhichAddressIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	taken := listener.Addr().String()
	existing := exampleRoot(t)
	for _, root := range []string{filepath.Join(t.TempDir(), "root"), existing} {
		for flag, hint := range map[string]string{"--http": "--http", "--listen": "in use; choose another --listen, port 0 picks a free one"} {
			dir := filepath.Dir(root)
			before := tree(t, dir)
			args := []string{"serve", "--root", root, "--log", "A=a", "--bucket", "file://" + filepath.Join(dir, "bucket"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}
			failWith(t, exitIO, []string{taken, hint}, append(args, flag, taken)...)
			if after := tree(t, dir); after != before {
				t.Errorf("%s: it left\n%s\nwhere there was\n%s", flag, after, before)
			}
		}
	}
}

func TestLogsOnDiskThatAreNotNamedAreListedAndTakeNothing(t *testing.T) {
	root := exampleRoot(t)
	s := serve(t, "--root", root, "--log", "NEW=new.>")
	if len(s.Logs) != 2 || s.Logs[0] != "NEW" || s.Logs[1] != "ORDERS" {
		t.Errorf("serves %q", s.Logs)
	}
	s.stderr.await(t, `named by no --log`)
	if _, metrics := get(t, s.HTTPURL+"/metrics"); !strings.Contains(metrics, `aof_log_durable_sequence{log="ORDERS"} 5`) {
		t.Error("the log that is not named has no metrics")
	}
	failWith(t, exitNotFound, []string{"nobody stores this subject"}, "pub", "-s", s.NATSURL, "orders.new", "x")
}

func TestServeUsesAServerElsewhereAndIsReadyOnlyWhileItIsThere(t *testing.T) {
	elsewhere, err := bridge.StartServer(bridge.ServerOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			elsewhere.Stop()
		}
	}()
	root := filepath.Join(t.TempDir(), "root")
	s := serve(t, "--root", root, "--log", "A=a", "--nats", elsewhere.ClientURL(), "--drain-timeout", "1h")
	succeed(t, "pub", "-s", elsewhere.ClientURL(), "a", "x")
	elsewhere.Stop()
	stopped = true
	eventually(t, "not ready without a server", func() bool {
		status, body := get(t, s.HTTPURL+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, `"reasons":["not connected`)
	})
	s.interrupt()
	if code := s.wait(t); code != exitSuccess {
		t.Errorf("exit code %d: nobody waits for an answer", code)
	}
	if got := succeed(t, "read", "A", "--root", root, "--format", "raw"); got != "x" {
		t.Errorf("read back %q", got)
	}
}
