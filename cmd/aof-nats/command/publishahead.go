package command

import (
	"context"
	"errors"
	"io"
)

// payloadsAheadMax is how many payloads are read before they can be sent: enough
// that neither side waits for the other at each line.
const payloadsAheadMax = 16

// sourced is a payload, or why there is none.
type sourced struct {
	payload
	err error
}

// readAhead reads a source, which it owns, in a goroutine of its own: a read of
// standard input lasts until somebody writes a line, and nothing interrupts it.
// The channel is closed at the end of the source. When ctx ends the goroutine
// ends with the read that it is in, which may be with the process.
func readAhead(ctx context.Context, source payloadSource) <-chan sourced {
	ahead := make(chan sourced, payloadsAheadMax)
	go func() {
		defer close(ahead)
		for ctx.Err() == nil {
			next, err := source.next()
			if errors.Is(err, io.EOF) {
				break
			}
			select {
			case ahead <- sourced{payload: next, err: err}:
			case <-ctx.Done():
			}
			if err != nil {
				break
			}
		}
		if err := source.close(); err != nil && ctx.Err() == nil {
			ahead <- sourced{err: err}
		}
	}()
	return ahead
}
