package peer

import (
	"os"
	"os/exec"
)

// Responder answers and stores nothing, run by this program itself with Verb.
type Responder struct {
	Verb string
}

// Start runs the responder for the first log.
func (r Responder) Start(dir string, logs []Log) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(dir, exec.Command(self, r.Verb, logs[0].Name, logs[0].Subjects), servingURL)
}
