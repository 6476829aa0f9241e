package wire

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
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

// A server that closes each connection over the same line gets rid of it in the
// end; what was written behind it arrives.
func TestLinesThatBreakEveryConnectionAreGivenUp(t *testing.T) {
	out := newOutbound(1<<10, time.Minute)
	var givenUp []int
	out.onGivenUp = func(bytes int) { givenUp = append(givenUp, bytes) }
	if !out.offer([]byte("poison")) {
		t.Fatal("not taken")
	}
	for range breaksMax {
		if len(givenUp) > 0 {
			t.Fatalf("given up early: %v", givenUp)
		}
		ours, theirs := net.Pipe()
		out.attach(ours, nil)
		if err := theirs.Close(); err != nil {
			t.Fatal(err)
		}
		out.flush()
		if err := out.add([]byte("good")); err != nil { // waits for a connection
			t.Fatal(err)
		}
	}
	if !slices.Equal(givenUp, []int{len("poison")}) {
		t.Fatalf("given up: %v", givenUp)
	}
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	out.attach(ours, nil)
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		out.flush()
	}()
	got := make([]byte, breaksMax*len("good"))
	if _, err := io.ReadFull(theirs, got); err != nil || string(got) != strings.Repeat("good", breaksMax) {
		t.Errorf("got %q, %v", got, err)
	}
	<-flushed
}

// A line that a connection broke on is sent again, and a connection that took
// something counts as one that did not break on what follows.
func TestEveryChunkHasItsOwnTries(t *testing.T) {
	out := newOutbound(1<<10, time.Minute)
	out.onGivenUp = func(bytes int) { t.Errorf("%d bytes are given up", bytes) }
	for i := range 3 * breaksMax {
		line := []byte{'a' + byte(i)}
		if err := out.add(line); err != nil {
			t.Fatal(err)
		}
		broken, peer := net.Pipe()
		out.attach(broken, nil)
		if err := peer.Close(); err != nil {
			t.Fatal(err)
		}
		out.flush()
		ours, theirs := net.Pipe()
		out.attach(ours, nil)
		go out.flush()
		got := make([]byte, 1)
		if _, err := io.ReadFull(theirs, got); err != nil || got[0] != line[0] {
			t.Errorf("got %q, %v", got, err)
		}
		eventually(t, "written", func() bool {
			out.mu.Lock()
			defer out.mu.Unlock()
			return !out.mu.writing
		})
		out.detach(ours)
		if err := ours.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
