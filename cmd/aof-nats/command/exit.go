package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

// Exit codes. Scripts depend on them.
const (
	exitSuccess        = 0
	exitUsage          = 1
	exitNotFound       = 2
	exitAuthentication = 3
	exitIO             = 4
	exitCorruption     = 5
	exitTimeout        = 6 // backpressure too
)

// errUsage is matched by errors about how the program was called.
var errUsage = errors.New("usage")

// usageError is one of them. Its text is that of its cause.
type usageError struct{ cause error }

func (e *usageError) Error() string        { return e.cause.Error() }
func (e *usageError) Unwrap() error        { return e.cause }
func (e *usageError) Is(target error) bool { return target == errUsage }

func usage(err error) error { return &usageError{cause: err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// exitCodes says which error ends the process with which code; the first that
// matches counts, and what none matches is an I/O error.
var exitCodes = []struct {
	target error
	code   int
}{
	{errUsage, exitUsage},
	{engine.ErrDamaged, exitCorruption},
	{client.ErrDamaged, exitCorruption},
	{errDiffers, exitCorruption},
	{engine.ErrInvalidOptions, exitUsage},
	{bridge.ErrOptions, exitUsage},
	{bridge.ErrSubject, exitUsage},
	{bridge.ErrOverlap, exitUsage},
	{client.ErrOptions, exitUsage},
	{client.ErrAuthentication, exitAuthentication},
	{client.ErrBackpressure, exitTimeout},
	{client.ErrTimeout, exitTimeout},
	{client.ErrNoLog, exitNotFound},
	{client.ErrNotFound, exitNotFound},
	{engine.ErrBackpressure, exitTimeout},
	{context.DeadlineExceeded, exitTimeout},
	{context.Canceled, exitTimeout},
	{errNotFound, exitNotFound},
	{engine.ErrNotFound, exitNotFound},
	{engine.ErrTrimmed, exitNotFound},
}

func exitCode(err error) int {
	for _, known := range exitCodes {
		if errors.Is(err, known.target) {
			return known.code
		}
	}
	return exitIO
}

// errNotFound is matched by errors about something that the caller named and
// that is not there.
var errNotFound = errors.New("not found")

// notFoundError is one of them. Its text is that of its cause.
type notFoundError struct{ cause error }

func (e *notFoundError) Error() string        { return e.cause.Error() }
func (e *notFoundError) Unwrap() error        { return e.cause }
func (e *notFoundError) Is(target error) bool { return target == errNotFound }

func notFoundf(format string, args ...any) error {
	return &notFoundError{cause: fmt.Errorf(format, args...)}
}
