package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// unprivileged is the number of a user and a group without rights of their own.
const unprivileged = 65534

// refused runs `serve` as a user whom permissions bind, and returns its exit code
// and what it said.
func refused(t *testing.T, args ...string) (code int, text string) {
	t.Helper()
	command := exec.CommandContext(testContext(t), program(t), append([]string{
		"serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "EVENTS=events.>",
	}, args...)...)
	if os.Geteuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	err := command.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("serve was not refused: %v; %s", err, stderr.String())
	}
	return exit.ExitCode(), stderr.String()
}

// A bucket or a root that may not be written to is told when serve starts, and
// nothing is made.
func TestServeRefusesWhatItMayNotWriteTo(t *testing.T) {
	dir := t.TempDir()
	open, closed := filepath.Join(dir, "open"), filepath.Join(dir, "closed")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Mkdir(closed, 0o700)); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, open: 0o777, closed: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		root, bucket string
		text         string
	}{
		"the bucket's directory":  {filepath.Join(open, "root"), closed, "check the credentials and the permissions on the bucket"},
		"the one that it is in":   {filepath.Join(open, "root"), filepath.Join(closed, "bucket"), "permission denied"},
		"the one of the new root": {filepath.Join(closed, "root"), "", "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--root", c.root}
			if c.bucket != "" {
				args = append(args, "--bucket", "file://"+c.bucket)
			}
			code, text := refused(t, args...)
			if code != 4 || !strings.Contains(text, c.text) {
				t.Errorf("exit code %d: %s", code, text)
			}
			for _, path := range []string{open, closed} {
				if made, err := os.ReadDir(path); err != nil || len(made) != 0 {
					t.Errorf("in %s there is %v, %v", path, made, err)
				}
			}
		})
	}
}
