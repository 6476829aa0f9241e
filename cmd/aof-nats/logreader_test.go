package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whoever reads the log of serve may stop reading it, or go away: that is neither a
// reason not to serve nor one not to stop.
func TestServeNeedsNobodyWhoReadsItsLog(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, log *os.File){
		"nobody reads":    func(*testing.T, *os.File) {},
		"the reader left": func(t *testing.T, log *os.File) { closeFile(t, log) },
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			log, to, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = log.Close() }() // it may be closed already
			b := &bridge{command: exec.CommandContext(testContext(t), program(t), serveArgs(root)...), ended: make(chan struct{})}
			b.command.Stderr = to
			if err := b.command.Start(); err != nil {
				t.Fatal(err)
			}
			closeFile(t, to)
			b.readUntilServing(t, log)
			leave(t, log)
			b.fillLog(t)
			run(t, "one", "pub", "-s", b.NATSURL, "events.x")
			b.awaitReady(t)
			b.signal(t, syscall.SIGTERM)
			if err := b.command.Wait(); err != nil {
				t.Errorf("serve ended with %v", err)
			}
			if records := readAll(t, root); len(records) != 1 {
				t.Errorf("records are %+v", records)
			}
		})
	}
}

func closeFile(t *testing.T, file io.Closer) {
	t.Helper()
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// readUntilServing reads the log as far as the line that says where to connect.
func (b *bridge) readUntilServing(t *testing.T, log io.Reader) {
	t.Helper()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), `"msg":"serving"`) {
			if err := json.Unmarshal(lines.Bytes(), b); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the bridge ended before it served")
}

// fillLog makes the server log more than a pipe holds.
func (b *bridge) fillLog(t *testing.T) {
	t.Helper()
	at, err := url.Parse(b.NATSURL)
	if err != nil {
		t.Fatal(err)
	}
	const pipeBytesMax, lineBytesMin = 64 << 10, 100
	for i := range pipeBytesMax / lineBytesMin {
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "NO COMMAND OF THE PROTOCOL, NUMBER %d\r\n", i); err == nil {
			_, _ = io.Copy(io.Discard, conn) // until the server has closed it
		}
		closeFile(t, conn)
	}
}
