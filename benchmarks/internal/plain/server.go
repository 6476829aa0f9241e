package plain

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startServer starts a server on a free port, with a client inside it.
func startServer() (*server.Server, *nats.Conn, error) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoSublistCache: true})
	if err != nil {
		return nil, nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, nil, errors.New("the server is not ready")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		s.Shutdown()
	}
	return s, conn, err
}

// announce prints the line that says where the server listens.
func announce(out io.Writer, s *server.Server) error {
	return json.NewEncoder(out).Encode(map[string]string{"msg": "serving", "nats_url": s.ClientURL()})
}

// acknowledgement is what JetStream answers.
func acknowledgement(stream string, seq uint64) []byte {
	body := strconv.AppendUint([]byte(`{"stream":"`+stream+`","seq":`), seq, 10)
	return append(body, '}')
}
