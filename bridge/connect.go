package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
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

// ServerNames returns server URLs as they may be shown, complete and without
// secrets. The error matches ErrOptions if one of them can never be connected to.
func ServerNames(urls []string) ([]string, error) {
	parsed, err := wire.ParseServers(urls)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	names := make([]string, 0, len(parsed))
	for _, u := range parsed {
		names = append(names, wire.Redact(u))
	}
	return names, nil
}

// awayNoticeInterval is how often it is told that no server answers.
const awayNoticeInterval = 30 * time.Second

// awayNotice says when that is to be told.
type awayNotice struct{ last time.Time }

func (a *awayNotice) due(now time.Time) bool {
	if !a.last.IsZero() && now.Sub(a.last) < awayNoticeInterval {
		return false
	}
	a.last = now
	return true
}

// connectGeneral connects the general client, which serves requests, as soon as one
// of the servers answers.
func (o *Options) connectGeneral(ctx context.Context, options nats.Options) (*nats.Conn, error) {
	names, err := ServerNames(options.Servers)
	if err != nil {
		return nil, err
	}
	for away := (awayNotice{}); ; {
		conn, err := options.Connect()
		if err == nil {
			return conn, nil
		}
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || ctx.Err() != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
		if away.due(time.Now()) {
			o.Logger.Warn("cannot connect to NATS; it is tried again until a server answers", "servers", names, "error", err)
		}
		if err := pause(ctx, options.ReconnectWait/8); err != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
	}
}
