package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// limited runs the program with limits of open files, which a shell sets first.
func limited(t *testing.T, soft, hard int, args ...string) *exec.Cmd {
	t.Helper()
	set := fmt.Sprintf(`ulimit -S -n %d && ulimit -H -n %d && exec "$0" "$@"`, soft, hard)
	return exec.CommandContext(testContext(t), "/bin/sh", append([]string{"-c", set, program(t)}, args...)...)
}

func TestIdleConnectionsLeaveTheLogsTheirFiles(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	b := startBridgeAs(t, limited(t, 64, 200, serveArgs(root, "--segment-bytes", "64KiB")...)) // 200-128-16 connections
	at, err := url.Parse(b.NATSURL)
	if err != nil {
		t.Fatal(err)
	}
	for range 250 {
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			break // the backlog is full
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	b.await(t, "maximum connections exceeded")
	b.awaitReady(t)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.command.Process.Pid))
	if err == nil && len(files) > 200-descriptorsLeft {
		t.Errorf("%d descriptors are in use", len(files))
	}
}

// descriptorsLeft is what is free of what serve keeps, where it has one log and
// little to do.
const descriptorsLeft = 64

func TestServeRefusesALimitOfOpenFilesThatIsTooLow(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	output, err := limited(t, 100, 100, serveArgs(root)...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 4 || !strings.Contains(string(output), "ulimit -n") {
		t.Errorf("got %v, %s", err, output)
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the root was made: %v", err)
	}
}
