package client

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
)

// Client is one connection to NATS. Its methods are safe for concurrent use. It
// does not reconnect unless the options say so: a lost connection ends what is
// under way with ErrConnection, so that nothing is sent twice or believed to have
// arrived.
type Client struct {
	conn    *nats.Conn
	options Options
	closed  chan struct{} // closed when the connection has ended
}

// Connect connects to the first server that answers. ctx is looked at before
// the attempt, which the timeout of the options bounds. Errors: ErrOptions,
// ErrAuthentication, ErrTimeout, ErrConnection.
func Connect(ctx context.Context, o Options) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	options, err := o.natsOptions()
	if err != nil {
		return nil, err
	}
	o.ensureDefaults()
	c := &Client{options: o, closed: make(chan struct{})}
	options.ClosedCB = func(*nats.Conn) { close(c.closed) }
	if c.conn, err = options.Connect(); err != nil {
		return nil, connectError(redact(o.Server), err)
	}
	return c, nil
}

// MaxPayload is the largest message, headers and payload together, that the
// server takes, in bytes.
func (c *Client) MaxPayload() int64 { return c.conn.MaxPayload() }

// Close ends the connection and waits until it has ended. Calling it again does
// nothing.
func (c *Client) Close() {
	c.conn.Close()
	<-c.closed
}

// isClosed reports whether the connection has ended.
func (c *Client) isClosed() bool { return c.conn.IsClosed() }

// redact takes the passwords out of a list of server URLs.
func redact(servers string) string {
	list := strings.Split(servers, ",")
	for i, server := range list {
		server = strings.TrimSpace(server)
		if parsed, err := url.Parse(server); err == nil && parsed.User != nil {
			server = parsed.Redacted()
			if _, hasPassword := parsed.User.Password(); !hasPassword {
				server = fmt.Sprintf("%s://xxxxx@%s", parsed.Scheme, parsed.Host) // a token
			}
		}
		list[i] = server
	}
	return strings.Join(list, ",")
}
