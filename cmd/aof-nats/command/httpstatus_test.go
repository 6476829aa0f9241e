package command

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// dialHTTP connects to a status server and sends it a text.
func dialHTTP(t *testing.T, url, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// halfRequest announces a body that never comes whole.
const halfRequest = "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc"

func TestARequestThatNeverEndsDoesNotHoldUpTheStop(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a")
	answer, err := http.ReadResponse(bufio.NewReader(dialHTTP(t, s.HTTPURL, halfRequest)), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("got %+v, %v", answer, err)
	}
	_ = answer.Body.Close()
	s.interrupt()
	if code := s.wait(t); code != exitSuccess { // waits for less than --drain-timeout
		t.Errorf("exit code %d; stderr %q", code, s.stderr)
	}
}

// Whoever only connects holds neither a file of the logs nor, for long, a place of
// who asks.
func TestConnectionsToTheStatusServerAreBounded(t *testing.T) {
	status, err := startStatusServer("127.0.0.1:0", prometheus.NewRegistry(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := status.stop(testContext(t)); err != nil {
			t.Error(err)
		}
	})
	var held []net.Conn
	for range httpConnectionsMax {
		held = append(held, dialHTTP(t, status.url(), "GET /healthz HTTP/1.1\r\n"))
	}
	eventually(t, "all places are taken", func() bool { return len(status.places) == httpConnectionsMax })
	waiting := dialHTTP(t, status.url(), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := held[0].Close(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(waiting), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("got %+v, %v", answer, err)
	}
	_ = answer.Body.Close()
}
