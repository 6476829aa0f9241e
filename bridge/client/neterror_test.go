package client

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
)

// A server that is killed is noticed by a write before the library says so.
func TestWriteToAConnectionThatEndsIsALostConnection(t *testing.T) {
	for _, cause := range []error{syscall.EPIPE, syscall.ECONNRESET} {
		err := fmt.Errorf("publish: %w", &net.OpError{Op: "write", Net: "tcp", Err: cause})
		if got := publishError(err); !errors.Is(got, ErrConnection) {
			t.Errorf("%v is %v", err, got)
		}
	}
}
