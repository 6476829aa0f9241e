package command

import (
	"fmt"
	"math"
	"syscall"
)

// A process may open so many files and no more, connections included. What serve
// keeps for itself is not given to publishers and readers: files of its logs, objects
// that are read for replays, and HTTP.
const (
	descriptorsKept       = 128
	descriptorsKeptPerLog = 16
	// connectionsMin is how many connections there must be at the least.
	connectionsMin = 16
	// connectionsLimit is the server's own bound.
	connectionsLimit = 64 << 10
)

// connectionsMax is how many connections the embedded server may take beside so
// many logs. Go's runtime has raised the limit of open files as far as the process
// may by itself.
func connectionsMax(logs int) (int, error) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	kept := descriptorsKept + descriptorsKeptPerLog*logs
	left := int(min(files.Cur, math.MaxInt32)) - kept
	if left < connectionsMin {
		return 0, fmt.Errorf("this process may open %d files, and %d logs and %d connections need %d: raise the limit (ulimit -n)",
			files.Cur, logs, connectionsMin, kept+connectionsMin)
	}
	return min(left, connectionsLimit), nil
}
