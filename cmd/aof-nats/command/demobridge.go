package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// bridgeStartTimeout bounds starting, recovery included; bridgeStopTimeout a
	// drain.
	bridgeStartTimeout = 2 * time.Minute
	bridgeStopTimeout  = time.Minute
	// bridgeLogLines is how much of its log is kept, to be shown if it fails.
	bridgeLogLines     = 20
	bridgeLogLineBytes = 1 << 20
)

// demoBridge is a `serve` in a process of its own, so that it can be killed.
type demoBridge struct {
	command *exec.Cmd
	serving chan string   // gets the line that says where it serves
	ended   chan struct{} // closed when the process has ended
	endErr  error         // how, once it has
	NATSURL string        `json:"nats_url"`
	HTTPURL string        `json:"http_url"`

	mu struct {
		sync.Mutex
		log []string // the last lines
	}
}

// startDemoBridge starts the program with these arguments and waits until it
// serves. It must be stopped or killed.
func startDemoBridge(ctx context.Context, program string, args []string) (*demoBridge, error) {
	b := &demoBridge{serving: make(chan string, 1), ended: make(chan struct{})}
	b.command = exec.Command(program, args...)
	b.command.SysProcAttr = childAttributes()
	stderr, err := b.command.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start bridge: %w", err)
	}
	if err := b.command.Start(); err != nil {
		return nil, fmt.Errorf("start bridge: %w", err)
	}
	go b.watch(stderr)
	timer := time.NewTimer(bridgeStartTimeout)
	defer timer.Stop()
	select {
	case line := <-b.serving:
		err = json.Unmarshal([]byte(line), b)
	case <-b.ended:
		err = fmt.Errorf("it ended: %w\n%s", b.endErr, b.lastLines())
	case <-timer.C:
		err = fmt.Errorf("it does not serve after %s\n%s", bridgeStartTimeout, b.lastLines())
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		b.kill()
		return nil, fmt.Errorf("start bridge: %w", err)
	}
	return b, nil
}

// watch reads the log until the process ends.
func (b *demoBridge) watch(stderr io.Reader) {
	defer close(b.ended)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, bridgeLogLineBytes)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"msg":"serving"`) {
			b.serving <- lines.Text()
		}
		b.mu.Lock()
		b.mu.log = append(b.mu.log, lines.Text())
		b.mu.log = b.mu.log[max(0, len(b.mu.log)-bridgeLogLines):]
		b.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, stderr) // a line too long must not hold it up
	if b.endErr = b.command.Wait(); b.endErr == nil {
		b.endErr = errors.New("exit status 0")
	}
}

func (b *demoBridge) lastLines() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.mu.log, "\n")
}

// kill sends SIGKILL and waits for the end.
func (b *demoBridge) kill() {
	_ = b.command.Process.Kill() // fails only if it has ended
	<-b.ended
}

// wasKilled reports whether SIGKILL ended it, and nothing else.
func (b *demoBridge) wasKilled() bool {
	status, ok := b.command.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop asks it to drain and waits until it has.
func (b *demoBridge) stop() error {
	_ = b.command.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	timer := time.NewTimer(bridgeStopTimeout)
	defer timer.Stop()
	select {
	case <-b.ended:
	case <-timer.C:
		b.kill()
		return fmt.Errorf("stop bridge: it did not end within %s and was killed", bridgeStopTimeout)
	}
	if code := b.command.ProcessState.ExitCode(); code != exitSuccess {
		return fmt.Errorf("stop bridge: it ended with %s\n%s", b.command.ProcessState, b.lastLines())
	}
	return nil
}

// bucketRequests are counts by kind.
type bucketRequests struct {
	Put    uint64 `json:"put"`
	Get    uint64 `json:"get"`
	List   uint64 `json:"list"`
	Delete uint64 `json:"delete"`
}

func (r *bucketRequests) add(more bucketRequests) {
	r.Put, r.Get, r.List, r.Delete = r.Put+more.Put, r.Get+more.Get, r.List+more.List, r.Delete+more.Delete
}

// requests asks the bridge what it has asked of its bucket.
func (b *demoBridge) requests(ctx context.Context) (counted bucketRequests, err error) {
	values, err := b.metrics(ctx)
	if err != nil {
		return counted, err
	}
	for kind, count := range map[string]*uint64{"put": &counted.Put, "get": &counted.Get, "list": &counted.List, "delete": &counted.Delete} {
		*count = uint64(values[fmt.Sprintf("aof_bucket_requests_total{kind=%q}", kind)])
	}
	return counted, nil
}

// metrics asks the bridge for its metrics, by name and labels.
func (b *demoBridge) metrics(ctx context.Context) (values map[string]float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, bridgeStopTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.HTTPURL+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	values = make(map[string]float64)
	text := bufio.NewScanner(response.Body)
	for text.Scan() {
		name, value, found := strings.Cut(text.Text(), " ")
		if !found || strings.HasPrefix(name, "#") {
			continue
		}
		if values[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
	}
	return values, text.Err()
}
