package peer

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
)

// Log is what a server is to store: a stream or a log.
type Log struct {
	Name     string
	Subjects string // with wildcards
}

// Server is something that can be compared.
type Server interface {
	// Start runs the server in the empty directory dir, which Process.Stop
	// removes.
	Start(dir string, logs []Log) (*Process, error)
}

// AOFNATS is `aof-nats serve` with its embedded server.
type AOFNATS struct {
	Program string
}

// Start runs the server with all its settings as they are by default.
func (a AOFNATS) Start(dir string, logs []Log) (*Process, error) {
	arguments := []string{"serve", "--root", filepath.Join(dir, "root"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}
	for _, log := range logs {
		arguments = append(arguments, "--log", log.Name+"="+log.Subjects)
	}
	return start(dir, exec.Command(a.Program, arguments...), servingURL)
}

// servingURL finds the line that says that the server serves.
func servingURL(output []byte) string {
	for line := range strings.Lines(string(output)) {
		var entry struct {
			Message string `json:"msg"`
			URL     string `json:"nats_url"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "serving" {
			return entry.URL
		}
	}
	return ""
}

// stopOnError stops a server whose setting up failed.
func stopOnError(p *Process, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, p.Stop())
}
