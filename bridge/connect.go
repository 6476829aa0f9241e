package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// natsOptions makes the one description of how to connect that the raw and the
// general connection share.
func (o *Options) natsOptions(urls []string) (nats.Options, error) {
	list := []nats.Option{
		nats.Name(connectionName), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(reconnectWaitMax), nats.PingInterval(pingInterval),
	}
	if o.CredsFile != "" {
		list = append(list, nats.UserCredentials(o.CredsFile))
	}
	if o.NKeyFile != "" {
		nkey, err := nats.NkeyOptionFromSeed(o.NKeyFile)
		if err != nil {
			return nats.Options{}, fmt.Errorf("%w: read nkey file: %w", ErrOptions, err)
		}
		list = append(list, nkey)
	}
	if o.Token != "" {
		list = append(list, nats.Token(o.Token))
	}
	if o.User != "" {
		list = append(list, nats.UserInfo(o.User, o.Password))
	}
	if o.TLS != nil {
		list = append(list, nats.Secure(o.TLS))
	}
	if o.TLSFirst {
		list = append(list, nats.TLSHandshakeFirst())
	}
	options := nats.GetDefaultOptions()
	options.Servers = urls
	for _, option := range append(list, o.ConnectOptions...) {
		if err := option(&options); err != nil {
			return nats.Options{}, fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	return options, nil
}

// connectGeneral connects the general client, which serves requests. The raw
// connection has shown that a server is there.
func connectGeneral(ctx context.Context, options nats.Options) (*nats.Conn, error) {
	for {
		conn, err := options.Connect()
		if err == nil {
			return conn, nil
		}
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || ctx.Err() != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
		if err := pause(ctx, options.ReconnectWait/8); err != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
	}
}
