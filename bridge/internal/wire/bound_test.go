package wire

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// What belongs to one connection never reaches the next, whether it was written
// in part, waits behind that, or comes later.
func TestLinesOfABrokenConnectionPerish(t *testing.T) {
	out := newOutbound(8, time.Minute)
	out.perishable = true
	ours, theirs := net.Pipe()
	out.attach(ours, nil)
	first := out.generation()
	failed := make(chan error, 2)
	go func() { failed <- out.addTo(first, []byte("written in part")) }() // nobody reads: it stays in the write
	eventually(t, "a write is under way", func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		return out.mu.writing
	})
	if err := out.addTo(first, []byte("pending")); err != nil {
		t.Fatal(err)
	}
	go func() { failed <- out.addTo(first, []byte("waits for room")) }()
	if _, err := io.ReadFull(theirs, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	out.detach(ours)
	for _, end := range []net.Conn{ours, theirs} {
		if err := end.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range cap(failed) {
		if err := <-failed; err != nil && !errors.Is(err, ErrBroken) {
			t.Errorf("got %v", err)
		}
	}
	if got := out.generation(); got != 0 {
		t.Errorf("generation %d while there is no connection", got)
	}

	next, reader := net.Pipe()
	defer func() { _ = next.Close() }()
	out.attach(next, nil)
	if err := out.addTo(first, []byte("late")); !errors.Is(err, ErrBroken) {
		t.Errorf("a line of the old connection: %v", err)
	}
	go func() { failed <- out.addTo(out.generation(), []byte("new")) }()
	got := make([]byte, 3)
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != "new" {
		t.Errorf("the next connection got %q, %v", got, err)
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
	out.close()
	if err := out.addTo(2, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestGenerationGrowsWithEachConnection(t *testing.T) {
	s := runServer(t, &server.Options{})
	port := portOf(t, s.Addr())
	c := open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: &recorder{}, Perishable: true}, "a")
	if got := c.Generation(); got != 1 {
		t.Errorf("the first connection has number %d", got)
	}
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "disconnected", func() bool { return !c.Connected() })
	if err := c.WriteTo(1, []byte("PUB a 1\r\nx\r\n")); !errors.Is(err, ErrBroken) {
		t.Errorf("got %v, want ErrBroken", err)
	}
	runServer(t, &server.Options{Port: port})
	eventually(t, "connected again", func() bool { return c.Connected() })
	if got := c.Generation(); got != 2 {
		t.Errorf("the second connection has number %d", got)
	}
	if err := c.WriteTo(2, []byte("PUB b 1\r\nx\r\n")); err != nil {
		t.Error(err)
	}
}
