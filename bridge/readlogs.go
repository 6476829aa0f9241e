package bridge

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// openReadLogs opens logs that are only read. None is created: a name that is
// nowhere is an error.
func openReadLogs(e *engine.Engine, names []string) ([]*engine.Log, error) {
	if len(names) == 0 {
		return nil, nil
	}
	there, err := e.Logs()
	if err != nil {
		return nil, err
	}
	logs := make([]*engine.Log, 0, len(names))
	for _, name := range names {
		if !slices.Contains(there, name) {
			return nil, fmt.Errorf("%w: log %s is to be read and is not there", engine.ErrNotFound, name)
		}
		log, err := e.OpenLog(name, engine.LogOptions{})
		if err != nil {
			return nil, err
		}
		logs = append(logs, log)
	}
	return logs, nil
}

// refreshIntervalMin is how often at most an engine that only reads looks at its
// files for the sake of readers.
const refreshIntervalMin = 100 * time.Millisecond

// refresher makes an engine that was opened without the right to write see what
// its writer has made durable. For any other engine it does nothing.
type refresher struct {
	engine *engine.Engine
	mu     struct {
		sync.Mutex // held while files are read: who asks meanwhile would read the same
		last       time.Time
	}
}

func (r *refresher) refresh() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.mu.last) < refreshIntervalMin {
		return nil
	}
	err := r.engine.Refresh()
	r.mu.last = time.Now()
	if err != nil {
		return fmt.Errorf("look for new records: %w", err)
	}
	return nil
}
