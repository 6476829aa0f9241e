package bridge

import (
	"fmt"
	"slices"

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
