package plain

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
)

// Respond answers each message at once and keeps nothing, until it is told to
// stop by SIGTERM: what remains is the publisher's own work and the server's
// way there and back. It prints the line that says where it listens.
func Respond(out io.Writer, name, subjects string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	s, conn, err := startServer()
	if err != nil {
		return err
	}
	defer s.Shutdown()
	defer conn.Close()
	var seq uint64
	_, err = conn.Subscribe(subjects, func(m *nats.Msg) {
		seq++
		// The connection's failure ends the publisher's run, which reports it.
		_ = conn.Publish(m.Reply, acknowledgement(name, seq))
	})
	if err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	if err := announce(out, s); err != nil {
		return err
	}
	<-stop
	return nil
}
