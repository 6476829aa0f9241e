package bridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serverReadyTimeout bounds how long an embedded server may take to listen.
const serverReadyTimeout = 10 * time.Second

// Server is a NATS server inside this process. It installs no signal handlers:
// whoever starts it also stops it.
type Server struct {
	server *server.Server
}

// ServerOptions configures an embedded server.
type ServerOptions struct {
	// Listen is host:port; port 0 takes a free port.
	Listen string
	// Name is the server's name. Default: the server makes one.
	Name string
	// StoreDir turns JetStream on and is where it keeps its streams. Default:
	// JetStream is off.
	StoreDir string
	// ConnectionsMax is how many connections there may be, those from inside of
	// this process included. Default: the server's own limit.
	ConnectionsMax int
	// Logger gets what the server logs. Default: discard.
	Logger *slog.Logger
}

// StartServer starts a server and returns once it accepts connections.
func StartServer(o ServerOptions) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	options, err := o.serverOptions()
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("make NATS server: %w", err)
	}
	log := &serverLog{logger: o.Logger}
	s.SetLoggerV2(log, false, false, false)
	s.Start() // it has tried to listen when this returns
	if fatal := log.fatal.Load(); fatal != nil {
		err = fmt.Errorf("bridge: the embedded server cannot start: %s", *fatal)
	} else if !s.ReadyForConnections(serverReadyTimeout) {
		err = errors.New("bridge: the embedded NATS server does not accept connections")
	}
	if err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, err
	}
	return &Server{server: s}, nil
}

func (o *ServerOptions) serverOptions() (*server.Options, error) {
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: listen address %q: %w", ErrOptions, o.Listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return nil, fmt.Errorf("%w: listen address %q: the port is not a number from 0 to 65535", ErrOptions, o.Listen)
	}
	if port == 0 {
		port = server.RANDOM_PORT // the server's own 0 means 4222
	}
	return &server.Options{
		ServerName: o.Name, Host: host, Port: port, NoSigs: true,
		JetStream: o.StoreDir != "", StoreDir: o.StoreDir,
		// Every answer goes to a subject of its own, which a cache of matches
		// by subject only gets in the way of: without it a durable ack costs a
		// tenth less.
		NoSublistCache: true,
		MaxConn:        o.ConnectionsMax,
	}, nil
}

// ClientURL is where clients connect.
func (s *Server) ClientURL() string { return s.server.ClientURL() }

// InProcessConn returns a connection to the server that needs no socket: what is
// sent over it costs neither a system call nor a copy by the kernel.
func (s *Server) InProcessConn() (net.Conn, error) { return s.server.InProcessConn() }

// SlowConsumers counts the connections that the server closed because they did
// not read fast enough.
func (s *Server) SlowConsumers() int64 { return s.server.NumSlowConsumers() }

// Stop closes all connections and waits until the server has ended.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
