package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// ServerError is an -ERR line.
type ServerError struct {
	// Text is what the server said, without quotes.
	Text string
}

func (e *ServerError) Error() string { return "nats server: " + e.Text }

// errNoInfo: whatever listens there does not greet as a NATS server does.
var errNoInfo = errors.New("wire: the server does not start with INFO")

// dial connects to one server and logs in. On success the stream is past the
// handshake.
func dial(ctx context.Context, o *nats.Options, s *endpoint) (*stream, serverInfo, error) {
	conn, err := dialTCP(ctx, o, s)
	if err != nil {
		return nil, serverInfo{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	st, info, err := handshake(o, s, conn)
	if err != nil {
		return nil, serverInfo{}, errors.Join(err, conn.Close())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, serverInfo{}, errors.Join(err, conn.Close())
	}
	return st, info, nil
}

func dialTCP(ctx context.Context, o *nats.Options, s *endpoint) (net.Conn, error) {
	switch {
	case o.InProcessServer != nil:
		return o.InProcessServer.InProcessConn()
	case o.CustomDialer != nil:
		return o.CustomDialer.Dial("tcp", s.url.Host)
	}
	dialer := net.Dialer{Timeout: o.Timeout}
	return dialer.DialContext(ctx, "tcp", s.url.Host)
}

// handshake reads INFO, switches to TLS if either side wants it, sends CONNECT
// and waits for the server's consent.
func handshake(o *nats.Options, s *endpoint, conn net.Conn) (*stream, serverInfo, error) {
	if err := conn.SetDeadline(time.Now().Add(o.Timeout)); err != nil {
		return nil, serverInfo{}, err
	}
	secure := o.Secure || s.url.Scheme == "tls"
	st := newStream(conn)
	if secure && o.TLSHandshakeFirst {
		if err := st.startTLS(o, s); err != nil {
			return nil, serverInfo{}, err
		}
	}
	info, err := st.readInfo()
	if err != nil {
		return nil, serverInfo{}, err
	}
	if secure && !o.TLSHandshakeFirst && !info.TLSRequired && !info.TLSAvailable {
		return nil, serverInfo{}, errors.New("wire: TLS is wanted and the server has none")
	}
	if (secure || info.TLSRequired) && !o.TLSHandshakeFirst && o.InProcessServer == nil {
		secure = true
		if err := st.startTLS(o, s); err != nil {
			return nil, serverInfo{}, err
		}
	}
	if err := st.login(o, s, info, secure); err != nil {
		return nil, serverInfo{}, err
	}
	return st, info, nil
}

func (s *stream) readInfo() (serverInfo, error) {
	operation, err := s.wait()
	if err != nil {
		return serverInfo{}, fmt.Errorf("read INFO: %w", err)
	}
	if operation != OperationInfo {
		return serverInfo{}, errNoInfo
	}
	return parseInfo(s.parser.Text)
}

// startTLS wraps the connection. Bytes that were sent in the clear behind INFO
// would become part of the protected stream: that is refused.
func (s *stream) startTLS(o *nats.Options, to *endpoint) error {
	if s.end > s.start {
		return protocolError("data between INFO and the TLS handshake")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLSConfig != nil {
		config = o.TLSConfig.Clone()
	}
	if o.TLSCertCB != nil {
		certificate, err := o.TLSCertCB()
		if err != nil {
			return fmt.Errorf("load TLS certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	if o.RootCAsCB != nil {
		roots, err := o.RootCAsCB()
		if err != nil {
			return fmt.Errorf("load certificate authorities: %w", err)
		}
		config.RootCAs = roots
	}
	if config.ServerName == "" {
		config.ServerName = to.url.Hostname()
		if to.tlsName != "" {
			config.ServerName = to.tlsName
		}
	}
	secured := tls.Client(s.conn, config)
	if err := secured.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	s.conn = secured
	return nil
}

func (s *stream) login(o *nats.Options, to *endpoint, info serverInfo, secure bool) error {
	request, err := newConnectRequest(o, to.url, info, secure)
	if err != nil {
		return err
	}
	line, err := request.line()
	if err != nil {
		return err
	}
	if _, err := s.conn.Write(line); err != nil {
		return fmt.Errorf("send CONNECT: %w", err)
	}
	for {
		operation, err := s.wait()
		if err != nil {
			return fmt.Errorf("wait for the server's consent: %w", err)
		}
		switch operation {
		case OperationPong:
			return nil
		case OperationError:
			return &ServerError{Text: string(s.parser.Text)}
		case OperationMessage:
			return protocolError("a message before any subscription")
		default: // OK, INFO and PING may come in between; the PONG is what counts
		}
	}
}
