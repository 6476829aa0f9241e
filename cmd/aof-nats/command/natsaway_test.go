package command

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unusedAddress is one that nobody listens on.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

func TestServeSaysThatItsServerElsewhereIsAway(t *testing.T) {
	status, away := unusedAddress(t), unusedAddress(t)
	s := startCommand(t, "serve", "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a", "--http", status, "--nats", "nats://hidden@"+away)
	s.stderr.await(t, "cannot connect to NATS")
	code, body := get(t, "http://"+status+"/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "not connected to NATS yet: nats://xxxxx@"+away) {
		t.Errorf("/readyz answers %d %s", code, body)
	}
	if strings.Contains(body+s.stderr.String(), "hidden") {
		t.Errorf("a secret is told: %s, %s", body, s.stderr)
	}
	s.interrupt()
	if code := s.wait(t); code != exitSuccess {
		t.Errorf("exit code %d; stderr %q", code, s.stderr)
	}
}

func TestAServerElsewhereThatCanNeverBeIsAWrongCall(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	for _, url := range []string{"bogus://x", "nats://"} {
		failWith(t, exitUsage, []string{"--nats"}, "serve", "--root", root, "--log", "A=a", "--nats", url)
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the root was made: %v", err)
	}
}
