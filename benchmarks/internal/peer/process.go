package peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Times within which a server must start and stop.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 60 * time.Second
	pollInterval = 10 * time.Millisecond
)

// Process is a running server.
type Process struct {
	// URL is where clients connect.
	URL string

	command *exec.Cmd
	dir     string
	output  tail
	ended   chan struct{}
	failure error
}

// start runs a program whose directory is removed by Stop. ready is asked for
// the server's URL until it knows one.
func start(dir string, command *exec.Cmd, ready func(output []byte) string) (*Process, error) {
	p := &Process{command: command, dir: dir, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &p.output, &p.output
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	go func() {
		p.failure = command.Wait()
		close(p.ended)
	}()
	for deadline := time.Now().Add(startTimeout); ; {
		if p.URL = ready(p.output.bytes()); p.URL != "" {
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended: %w\n%s", command.Path, p.failure, p.output.bytes())
		case <-time.After(pollInterval):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("%s was not ready within %s:\n%s", command.Path, startTimeout, p.output.bytes()), p.Stop())
		}
	}
}

// Stop ends the server and removes its directory.
func (p *Process) Stop() error {
	failures := []error{p.command.Process.Signal(syscall.SIGTERM)}
	select {
	case <-p.ended:
		if p.failure != nil {
			failures = append(failures, fmt.Errorf("%s: %w\n%s", p.command.Path, p.failure, p.output.bytes()))
		}
	case <-time.After(stopTimeout):
		failures = append(failures, fmt.Errorf("%s did not stop within %s", p.command.Path, stopTimeout), p.command.Process.Kill())
		<-p.ended
	}
	return errors.Join(append(failures, os.RemoveAll(p.dir))...)
}

// CPU is what the stopped server used in all, user and system.
func (p *Process) CPU() time.Duration {
	return p.command.ProcessState.UserTime() + p.command.ProcessState.SystemTime()
}

// tail keeps the end of what a server says.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailBytesMax = 64 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if excess := len(t.kept) - tailBytesMax; excess > 0 {
		t.kept = t.kept[:copy(t.kept, t.kept[excess:])]
	}
	return len(b), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.kept)
}
