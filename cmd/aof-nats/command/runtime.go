package command

import "runtime"

const (
	// heapFloorBytes is what the collector takes the heap to be at least. The
	// live heap of a busy server is a few MiB while every message allocates in
	// the NATS server, so that Go's rule, to collect when the heap has doubled,
	// collects dozens of times a second.
	heapFloorBytes = 32 << 20
	// syncingProcessors is for the goroutine that waits for a sync: the runtime
	// counts it as running until it notices that it is not.
	syncingProcessors = 1
)

// tuneRuntime fits Go's runtime to a server that syncs and allocates little of
// lasting value. What the user has set by GOGC, GOMEMLIMIT or GOMAXPROCS stays. It
// holds until release is called; docs/adr/0011 has the figures.
func tuneRuntime(getenv func(string) string) (release func()) {
	processors := getenv("GOMAXPROCS") == ""
	if processors {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + syncingProcessors)
	}
	var floor []byte
	if getenv("GOGC") == "" && getenv("GOMEMLIMIT") == "" {
		floor = make([]byte, heapFloorBytes) // never touched: no memory behind it
	}
	return func() {
		runtime.KeepAlive(floor)
		if processors {
			runtime.SetDefaultGOMAXPROCS()
		}
	}
}
