package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// streamTimeout bounds the creation of all streams.
const streamTimeout = time.Minute

// JetStream is nats-server with one file stream, R1, per log and all else as it
// is by default.
type JetStream struct {
	Program string
	// SyncAlways sets sync_interval to always: what it then promises is what
	// aof-nats promises. The default syncs every two minutes.
	SyncAlways bool
}

// Start runs the server and creates the streams.
func (j JetStream) Start(dir string, logs []Log) (*Process, error) {
	interval := ""
	if j.SyncAlways {
		interval = "\n  sync_interval: always"
	}
	config := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nports_file_dir: %q\njetstream {\n  store_dir: %q%s\n}\n", dir, filepath.Join(dir, "store"), interval)
	configPath := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(configPath, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := start(dir, exec.Command(j.Program, "-c", configPath), func([]byte) string { return readPorts(dir) })
	if err != nil {
		return nil, err
	}
	return p, stopOnError(p, createStreams(p.URL, logs))
}

// readPorts reads the file in which the server says where it listens.
func readPorts(dir string) string {
	paths, err := filepath.Glob(filepath.Join(dir, "*.ports"))
	if err != nil || len(paths) == 0 {
		return ""
	}
	var ports struct {
		NATS []string `json:"nats"`
	}
	text, err := os.ReadFile(paths[0])
	if err != nil || json.Unmarshal(text, &ports) != nil || len(ports.NATS) == 0 {
		return "" // not yet written whole
	}
	return ports.NATS[0]
}

func createStreams(url string, logs []Log) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), streamTimeout)
	defer cancel()
	for _, log := range logs {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: log.Name, Subjects: []string{log.Subjects}}); err != nil {
			return fmt.Errorf("create stream %s: %w", log.Name, err)
		}
	}
	return nil
}
