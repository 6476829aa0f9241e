package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func TestMessagesOfAllSubscriptionsComeInTheOrderOfTheirPublisher(t *testing.T) {
	s := runServer(t, &server.Options{})
	handler := &recorder{}
	open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: handler}, "a.*", "b", "c.>")
	publisher := general(t, s.ClientURL())
	const count = 3000
	var want []string
	for i := range count {
		payload := fmt.Sprint(i)
		want = append(want, payload)
		if err := publisher.Publish([]string{"a.x", "b", "c.y.z"}[i%3], []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all messages", func() bool { return len(handler.payloads()) == count })
	if got := handler.payloads(); !slices.Equal(got, want) {
		t.Error("the order differs")
	}
	eventually(t, "the end of the last batch", func() bool {
		handler.mu.Lock()
		defer handler.mu.Unlock()
		return handler.mu.open == 0
	})
	if handler.mu.batches >= count {
		t.Errorf("%d batches for %d messages: nothing was read together", handler.mu.batches, count)
	}
}

func general(t testing.TB, url string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestMessageIsDeliveredWithItsParts(t *testing.T) {
	s := runServer(t, &server.Options{})
	handler := &recorder{}
	open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: handler}, "a.*")
	publisher := general(t, s.ClientURL())
	large := strings.Repeat("L", 900<<10) // larger than the read buffer
	for _, m := range []*nats.Msg{
		{Subject: "a.b", Data: []byte("x")},
		{Subject: "a.b", Reply: "r.1", Data: []byte("y"), Header: nats.Header{"K": {"v"}}},
		{Subject: "a.b", Data: []byte(large)},
		{Subject: "a.c", Reply: "r.2"},
	} {
		if err := publisher.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	want := []received{
		{"a.b", "", "", "x"},
		{"a.b", "r.1", "NATS/1.0\r\nK: v\r\n\r\n", "y"},
		{"a.b", "", "", large},
		{"a.c", "r.2", "", ""},
	}
	eventually(t, "four messages", func() bool { return len(handler.payloads()) == len(want) })
	if !slices.Equal(handler.mu.messages, want) {
		t.Error("the messages differ")
	}
}

func TestWriteSendsInlineStatusLines(t *testing.T) {
	s := runServer(t, &server.Options{})
	c := open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: &recorder{}})
	reader := general(t, s.ClientURL())
	subscription, err := reader.SubscribeSync("status")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := c.Write([]byte("HPUB status 30 30\r\nNATS/1.0 204 EOB\r\nA: bcdef\r\n\r\n\r\nPUB status 2\r\nok\r\n")); err == nil {
		if !c.Offer([]byte("PUB status 5\r\noffer\r\n")) {
			t.Error("the offer was not taken")
		}
	} else {
		t.Fatal(err)
	}
	for _, want := range []string{"204", "ok", "offer"} {
		m, err := subscription.NextMsgWithContext(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get("Status") + string(m.Data); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBarrierIsPassedWhenEverythingDeliveredWasHandled(t *testing.T) {
	s := runServer(t, &server.Options{})
	handler := &recorder{}
	c := open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: handler}, "a")
	publisher := general(t, s.ClientURL())
	const count = 2000
	for range count {
		if err := publisher.Publish("a", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := publisher.Flush(); err != nil {
		t.Fatal(err)
	}
	c.UnsubscribeAll()
	if err := c.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(handler.payloads()); got != count {
		t.Errorf("%d messages were handled before the barrier, want %d", got, count)
	}
	if err := publisher.Publish("a", []byte("late")); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := c.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(handler.payloads()); got != count {
		t.Errorf("%d messages after unsubscribing, want %d", got, count)
	}
}

func TestBrokenConnectionIsMadeAgainWithItsSubscriptions(t *testing.T) {
	s := runServer(t, &server.Options{})
	port := portOf(t, s.Addr())
	handler := &recorder{}
	c := open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: handler}, "a", "b.>")
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "disconnected", func() bool { return !c.Connected() })
	if err := c.Barrier(testContext(t)); err == nil {
		t.Error("a barrier was passed without a connection")
	}
	answered := make(chan error, 1)
	go func() { answered <- c.Write([]byte("PUB kept 4\r\nkept\r\n")) }()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}

	again := runServer(t, &server.Options{Port: port})
	reader := general(t, again.ClientURL())
	eventually(t, "connected again", func() bool { return c.Connected() })
	for _, subject := range []string{"a", "b.c"} {
		if err := reader.Publish(subject, []byte(subject)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "messages after the reconnect", func() bool { return slices.Equal(handler.payloads(), []string{"a", "b.c"}) })
	if c.Reconnects() != 1 || handler.mu.gaps != 1 || handler.connections() != 2 {
		t.Errorf("%d reconnects, %d gaps, %d connections; want 1, 1, 2", c.Reconnects(), handler.mu.gaps, handler.connections())
	}
}

func TestWhatWasWrittenWhileDisconnectedArrivesLater(t *testing.T) {
	s := runServer(t, &server.Options{})
	port := portOf(t, s.Addr())
	c := open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: &recorder{}, OutboundBytesMax: 64})
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "disconnected", func() bool { return !c.Connected() })
	if err := c.Write([]byte("PUB kept 5\r\nfirst\r\n")); err != nil {
		t.Fatal(err)
	}
	if c.Offer([]byte("PUB kept 50\r\n" + strings.Repeat("x", 50) + "\r\n")) {
		t.Error("an offer beyond the limit was taken")
	}
	waited := make(chan error, 1)
	go func() { waited <- c.Write([]byte("PUB kept 50\r\n" + strings.Repeat("y", 50) + "\r\n")) }()

	// A fresh server has no subscriber, so the subscription of the test must be
	// there before the bytes are: it is made at a cluster peer of the server.
	peer := runServer(t, &server.Options{Cluster: server.ClusterOpts{Name: "C", Host: "127.0.0.1", Port: server.RANDOM_PORT}})
	reader := general(t, peer.ClientURL())
	subscription, err := reader.SubscribeSync("kept")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-waited:
		t.Fatalf("a write beyond the limit did not wait: %v", err)
	default:
	}
	listener := holdPort(t)
	runServer(t, &server.Options{
		Port:    port,
		Cluster: server.ClusterOpts{Name: "C", Host: "127.0.0.1", Port: listener},
		Routes:  server.RoutesFromStr(fmt.Sprintf("nats://%s", peer.ClusterAddr())),
	})
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	// The route may come up behind the reconnect: then the first lines find no
	// subscriber, which core NATS allows; the connection itself must go on.
	eventually(t, "a line that was written later", func() bool {
		if err := c.Write([]byte("PUB kept 4\r\nlast\r\n")); err != nil {
			t.Fatal(err)
		}
		m, err := subscription.NextMsg(50 * time.Millisecond)
		return err == nil && len(m.Data) > 0
	})
}

// holdPort returns a port that was free a moment ago.
func holdPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, listener.Addr())
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

func portOf(t *testing.T, address net.Addr) int {
	t.Helper()
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		t.Fatalf("%s is no TCP address", address)
	}
	return tcp.Port
}

func TestDiscoveredServerTakesOver(t *testing.T) {
	first, second := runCluster(t, nil)
	handler := &recorder{}
	c := open(t, Options{NATS: natsOptions([]string{first.ClientURL()}), Handler: handler}, "a")
	first.Shutdown()
	first.WaitForShutdown()
	eventually(t, "connected to the second server", func() bool { return c.Connected() && handler.connections() == 2 })
	if err := general(t, second.ClientURL()).Publish("a", []byte("second")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a message of the second server", func() bool { return slices.Equal(handler.payloads(), []string{"second"}) })
}

func TestLameDuckServerIsLeftForAnother(t *testing.T) {
	first, second := runCluster(t, func(o *server.Options) {
		o.LameDuckDuration = 20 * time.Second
		o.LameDuckGracePeriod = 10 * time.Second
	})
	handler := &recorder{}
	c := open(t, Options{NATS: natsOptions([]string{first.ClientURL()}), Handler: handler}, "a")
	go first.LameDuckShutdown() // ends when the test shuts the server down
	eventually(t, "moved to the second server", func() bool { return c.Connected() && handler.connections() == 2 })
	if !errors.Is(handler.mu.lastFailure, errLameDuck) {
		t.Errorf("left because of %v", handler.mu.lastFailure)
	}
	if err := general(t, second.ClientURL()).Publish("a", []byte("second")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a message of the second server", func() bool { return slices.Equal(handler.payloads(), []string{"second"}) })
}

// runCluster starts two servers that know of each other.
func runCluster(t *testing.T, configure func(*server.Options)) (first, second *server.Server) {
	t.Helper()
	start := func(options *server.Options) *server.Server {
		if configure != nil {
			configure(options)
		}
		return runServer(t, options)
	}
	first = start(&server.Options{Cluster: server.ClusterOpts{Name: "C", Host: "127.0.0.1", Port: server.RANDOM_PORT}})
	second = start(&server.Options{
		Cluster: server.ClusterOpts{Name: "C", Host: "127.0.0.1", Port: server.RANDOM_PORT},
		Routes:  server.RoutesFromStr(fmt.Sprintf("nats://%s", first.ClusterAddr())),
	})
	eventually(t, "the route", func() bool { return first.NumRoutes() > 0 && second.NumRoutes() > 0 })
	return first, second
}

func TestServerThatDoesNotAnswerPingsIsLeft(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 8)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
				return
			}
			// Greets, consents once, and then says nothing more.
			_, _ = conn.Write([]byte("INFO {\"headers\":true,\"proto\":1}\r\nPONG\r\nPONG\r\n"))
			accepted <- conn
		}
	}()
	handler := &recorder{}
	options := natsOptions([]string{"nats://" + listener.Addr().String()})
	options.PingInterval, options.MaxPingsOut = 5*time.Millisecond, 2
	c, err := New(Options{NATS: options, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(testContext(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second connection", func() bool { return c.Reconnects() >= 1 })
	c.Close()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for conn := range accepted {
		_ = conn.Close()
	}
}

func TestHostileServersAreRefused(t *testing.T) {
	for name, greeting := range map[string]string{
		"not NATS":            "220 smtp.example.com ESMTP\r\n",
		"no JSON":             "INFO {\r\n",
		"message at once":     "INFO {}\r\nMSG a 1 1\r\nx\r\n",
		"endless line":        "INFO " + strings.Repeat("x", lineBytesMax),
		"error":               "INFO {}\r\n-ERR 'Authorization Violation'\r\n",
		"bytes before TLS":    "INFO {\"tls_required\":true}\r\nPONG\r\n",
		"closes without INFO": "",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(greeting))
					_ = conn.Close()
				}
			}()
			c, err := New(Options{NATS: natsOptions([]string{"nats://" + listener.Addr().String()}), Handler: &recorder{}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := c.Connect(ctx); err == nil {
				t.Error("the server was accepted")
				c.Close()
			}
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
}

func TestBadServerURLsAreRefused(t *testing.T) {
	for _, address := range []string{"ws://host:80", "http://host", "nats://", "nats://host:port", "%zz"} {
		if _, err := New(Options{NATS: natsOptions([]string{address})}); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
}

func TestCloseReleasesWriters(t *testing.T) {
	s := runServer(t, &server.Options{})
	c := open(t, Options{NATS: natsOptions([]string{s.ClientURL()}), Handler: &recorder{}, OutboundBytesMax: 16})
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "disconnected", func() bool { return !c.Connected() })
	failed := make(chan error, 4)
	for range cap(failed) {
		go func() {
			for {
				if err := c.Write([]byte("PUB a 4\r\nmore\r\n")); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	c.Close()
	for range cap(failed) {
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

// A handler that waits for the end of a batch gets it, also when the bytes behind
// the messages are none of the protocol.
func TestBatchEndsInFrontOfAProtocolError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("INFO {\"headers\":true}\r\nPONG\r\nMSG a 1 1\r\nx\r\nnonsense\r\n"))
		_, _ = io.Copy(io.Discard, conn) // until the other end has had enough
		_ = conn.Close()
	}()
	handler := &recorder{}
	c, err := New(Options{NATS: natsOptions([]string{"nats://" + listener.Addr().String()}), Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(testContext(t)); err != nil {
		t.Fatal(err)
	}
	<-done
	c.Close()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	handler.mu.Lock()
	defer handler.mu.Unlock()
	if len(handler.mu.messages) != 1 || handler.mu.batches != 1 || handler.mu.open != 0 {
		t.Errorf("%d messages, %d batches, %d messages in an open one", len(handler.mu.messages), handler.mu.batches, handler.mu.open)
	}
}
