package bridge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aof-nats/aof-nats/engine"
)

// ErrOptions is matched by the errors about options of Start that are missing
// or out of range. Errors about subjects match ErrSubject instead.
var ErrOptions = errors.New("bridge: invalid options")

// Options configures a bridge. Engine and Logs are required.
type Options struct {
	// Engine holds the logs. The bridge opens them and does not close it.
	Engine *engine.Engine
	// Logs are the logs that this bridge owns and feeds.
	Logs []LogConfig
	// ReadLogs are names of further logs of the engine, which can be read over
	// NATS and take no messages. They must be there.
	ReadLogs []string
	// Prefix is the first token, or tokens, of all subjects of the bridge's
	// own. Default "AOF".
	Prefix string
	// Domain is named in every ack, as a JetStream domain is. Default: none.
	Domain string

	// Listen is host:port of the embedded server, used if URLs is empty. Port 0
	// takes a free port. Default "127.0.0.1:4222".
	Listen string
	// ConnectionsMax is how many connections the embedded server may have, the
	// bridge's own included. Default: the server's own limit.
	ConnectionsMax int
	// URLs are NATS servers elsewhere; with them no server is embedded.
	URLs []string
	// CredsFile, NKeyFile, Token, User and Password log in at the servers.
	CredsFile string
	NKeyFile  string
	Token     string
	User      string
	Password  string
	// TLS configures TLS to the servers; TLSFirst does the handshake before the
	// server's greeting.
	TLS      *tls.Config
	TLSFirst bool
	// ConnectOptions are applied last, to both of the bridge's connections.
	ConnectOptions []nats.Option

	// ReplaysMax bounds how many replays run at once. Default 64.
	ReplaysMax int
	// ReplayWindowsBytes bounds the windows of all replays together: what readers
	// that do not answer may cost. A replay that finds too little of it left gets
	// a smaller window than it asked for. Half of it is kept in equal shares for
	// as many replays as may run. Default 256 MiB.
	ReplayWindowsBytes int64
	// ReplayFlowTimeout is how long a replay's reader may take to answer flow
	// control before its replay ends. Default 30 seconds.
	ReplayFlowTimeout time.Duration

	// Logger gets changes of state, never a line a message. Default: discard.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: they are counted and not exported.
	Registerer prometheus.Registerer
	// Events publishes events on NATS. Give the relay that the engine tells its
	// events to. Default: one that publishes those of the bridge alone.
	Events *EventRelay
	// OnEvent is called at each event, from several goroutines, those of the
	// hot path among them: it must return quickly and must not call the bridge.
	OnEvent func(Event)
}

// LogConfig is one log and the subjects that it captures.
type LogConfig struct {
	// Name is the log's name, which acks give as the stream.
	Name string
	// Subjects are what the log captures, NATS wildcards allowed.
	Subjects []string
	// Ack is the level at which publishers are answered unless they ask for
	// another. Default Durable.
	Ack engine.Level
	// Options go to engine.OpenLog.
	Options engine.LogOptions
	// MessageBytesMax bounds headers and payload of a message together; larger
	// ones are refused. Default: what fits into a segment.
	MessageBytesMax int
	// UnackedMessagesMax and UnackedBytesMax bound what is stored and not yet
	// answered; beyond them publishers are told that ingest is full. Defaults
	// 256 Ki and 64 MiB.
	UnackedMessagesMax int
	UnackedBytesMax    int64
	// AcceptReplays stores messages that carry Aof-Replay, which mark copies
	// that were read from a log. Default: they are refused.
	AcceptReplays bool
}

const (
	prefixDefault             = "AOF"
	listenDefault             = "127.0.0.1:4222"
	unackedMessagesMaxDefault = 256 << 10
	unackedBytesMaxDefault    = 64 << 20
	replaysMaxDefault         = 64
	replayWindowsBytesDefault = 256 << 20
	replayFlowTimeoutDefault  = 30 * time.Second
	connectionName            = "aof-nats bridge"
	readConnectionName        = "aof-nats bridge, readers"
	reconnectWaitMax          = 2 * time.Second
	pingInterval              = 20 * time.Second
)

func (o *Options) ensureDefaults() {
	if o.Prefix == "" {
		o.Prefix = prefixDefault
	}
	if o.Listen == "" {
		o.Listen = listenDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.ReplaysMax == 0 {
		o.ReplaysMax = replaysMaxDefault
	}
	if o.ReplayWindowsBytes == 0 {
		o.ReplayWindowsBytes = replayWindowsBytesDefault
	}
	if o.ReplayFlowTimeout == 0 {
		o.ReplayFlowTimeout = replayFlowTimeoutDefault
	}
	if o.Events == nil {
		o.Events = NewEventRelay()
	}
	o.Logs = slices.Clone(o.Logs)
	for i := range o.Logs {
		log := &o.Logs[i]
		if log.UnackedMessagesMax == 0 {
			log.UnackedMessagesMax = unackedMessagesMaxDefault
		}
		if log.UnackedBytesMax == 0 {
			log.UnackedBytesMax = unackedBytesMaxDefault
		}
	}
}

var domainPattern = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

func (o *Options) validate() error {
	if o.Engine == nil {
		return fmt.Errorf("%w: no engine", ErrOptions)
	}
	if !domainPattern.MatchString(o.Domain) {
		return fmt.Errorf("%w: domain %q: use A-Z, a-z, 0-9, '_' and '-'", ErrOptions, o.Domain)
	}
	if err := validatePattern(o.Prefix); err != nil || !isLiteralSubject([]byte(o.Prefix)) || o.Prefix[0] == '$' {
		return fmt.Errorf("%w: prefix %q is not a literal subject of your own", ErrOptions, o.Prefix)
	}
	if _, err := ServerNames(o.URLs); err != nil {
		return err
	}
	if o.ConnectionsMax < 0 {
		return fmt.Errorf("%w: the limit of connections is negative", ErrOptions)
	}
	if o.ReplaysMax < 0 || o.ReplayFlowTimeout < 0 {
		return fmt.Errorf("%w: a limit of replays is negative", ErrOptions)
	}
	if o.ReplayWindowsBytes/2/int64(o.ReplaysMax) < windowBytesMin {
		return fmt.Errorf("%w: windows of %d bytes leave less than %d to each of %d replays", ErrOptions, o.ReplayWindowsBytes, windowBytesMin, o.ReplaysMax)
	}
	names := make(map[string]bool)
	for _, log := range o.Logs {
		if err := log.validate(); err != nil {
			return err
		}
		if names[log.Name] {
			return fmt.Errorf("%w: log %s is given twice", ErrOptions, log.Name)
		}
		names[log.Name] = true
	}
	for _, name := range o.ReadLogs {
		if names[name] {
			return fmt.Errorf("%w: log %s is given twice", ErrOptions, name)
		}
		names[name] = true
	}
	return validateLogSubjects(o.Logs, o.Prefix)
}

func (c *LogConfig) validate() error {
	if err := engine.ValidateLogName(c.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	switch {
	case c.Ack != engine.Durable && c.Ack != engine.Written:
		return fmt.Errorf("%w: log %s: ack level %s is not available", ErrOptions, c.Name, c.Ack)
	case c.MessageBytesMax < 0 || c.UnackedMessagesMax < 1 || c.UnackedBytesMax < 1:
		return fmt.Errorf("%w: log %s: a limit is not positive", ErrOptions, c.Name)
	}
	return nil
}
