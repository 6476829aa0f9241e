package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Sentinels for errors.Is.
var (
	// ErrOptions: options contradict each other or name a file that cannot be
	// used.
	ErrOptions = errors.New("client: invalid options")
	// ErrAuthentication: the server did not accept the credentials.
	ErrAuthentication = errors.New("client: not authorized")
	// ErrConnection: there is no connection, or it was lost.
	ErrConnection = errors.New("client: no connection")
	// ErrNoLog: nobody answers on the subject: no log captures it, or its
	// bridge does not run.
	ErrNoLog = errors.New("client: nobody stores this subject: no log captures it, or its bridge does not run")
	// ErrTimeout: no answer in time. The message may have been stored.
	ErrTimeout = errors.New("client: no answer in time")
	// ErrBackpressure: the bridge or the server has no room now; nothing was
	// stored.
	ErrBackpressure = errors.New("client: backpressure")
	// ErrRefused: the message was refused; a *RefusedError has the details.
	ErrRefused = errors.New("client: refused")
	// ErrClosed: the client or publisher was closed.
	ErrClosed = errors.New("client: closed")
)

// errLost is what a connection that ended leaves behind.
var errLost = fmt.Errorf("%w: it was lost", ErrConnection)

// RefusedError is an error reply to a publish. It matches ErrBackpressure if the
// message is worth sending again later, and ErrRefused if it is not.
type RefusedError struct {
	Code        int    // as of HTTP
	ErrorCode   int    // the err_code of JetStream, or from 20001 on one of the bridge
	Description string // for people
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused with %d (err_code %d): %s", e.Code, e.ErrorCode, e.Description)
}

// Is matches ErrBackpressure or ErrRefused.
func (e *RefusedError) Is(target error) bool {
	if e.backpressure() {
		return target == ErrBackpressure
	}
	return target == ErrRefused
}

// codesOfFailure are refusals with 503 that waiting does not mend: the log is
// poisoned, or closed.
var codesOfFailure = map[int]bool{20004: true, 20005: true}

func (e *RefusedError) backpressure() bool {
	return (e.Code == 429 || e.Code == 503) && !codesOfFailure[e.ErrorCode]
}

// publishError turns what the NATS library reports about a publish into an
// error of this package.
func publishError(err error) error {
	var refused *jetstream.APIError
	var network *net.OpError // a write that met the end of the connection before the library did
	switch {
	case errors.As(err, &refused):
		return &RefusedError{Code: refused.Code, ErrorCode: int(refused.ErrorCode), Description: refused.Description}
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return ErrNoLog
	case errors.Is(err, jetstream.ErrAsyncPublishTimeout), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return ErrTimeout
	case errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionClosed), errors.As(err, &network):
		return errLost
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: the message is larger than the server takes", ErrRefused)
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		return fmt.Errorf("%w: the subject is not valid", ErrRefused)
	}
	return fmt.Errorf("publish: %w", err)
}

// connectError does the same for connecting.
func connectError(server string, err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrNkeysNotSupported):
		return fmt.Errorf("%w at %s: %w", ErrAuthentication, server, err)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: read credentials: %w", ErrOptions, err)
	}
	var timeout net.Error
	if errors.Is(err, nats.ErrTimeout) || errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w from %s", ErrTimeout, server)
	}
	return fmt.Errorf("%w to %s: %w", ErrConnection, server, err)
}
