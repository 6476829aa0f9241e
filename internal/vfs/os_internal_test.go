package vfs

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestInterruptedCallsAreRepeated(t *testing.T) {
	for _, last := range []error{nil, unix.EIO} {
		calls := 0
		err := repeatInterrupted(func() error {
			if calls++; calls < 4 {
				return unix.EINTR
			}
			return last
		})
		if calls != 4 || !errors.Is(err, last) {
			t.Errorf("%d calls, error %v", calls, err)
		}
	}
}
