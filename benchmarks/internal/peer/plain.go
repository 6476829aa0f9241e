package peer

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Plain is the engine behind a nats.go subscription, run by this program itself
// with Verb.
type Plain struct {
	Verb string
}

// Start runs the bridge for the first log.
func (p Plain) Start(dir string, logs []Log) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(dir, exec.Command(self, p.Verb, filepath.Join(dir, "root"), logs[0].Name, logs[0].Subjects), servingURL)
}
