package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/engine"
)

// publishAll publishes messages and returns their results.
func publishAll(t *testing.T, c *Client, o PublisherOptions, messages []*Message) []Result {
	t.Helper()
	var results []Result
	o.OnResult = func(r Result) { results = append(results, r) }
	p, err := c.NewPublisher(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := p.Publish(testContext(t), m); err != nil {
			t.Errorf("publish %s: %v", m.Origin, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(testContext(t), &Message{Subject: "late"}); !errors.Is(err, ErrClosed) {
		t.Errorf("publishing on a closed publisher: %v", err)
	}
	return results
}

func orders(count int) []*Message {
	messages := make([]*Message, count)
	for i := range messages {
		messages[i] = &Message{Subject: "orders.new", Data: fmt.Appendf(nil, "order %d", i+1), Origin: fmt.Sprint(i + 1)}
	}
	return messages
}

func TestEveryMessageIsStoredInOrderAndItsAckReported(t *testing.T) {
	for _, window := range []PublisherOptions{{}, {MessagesMax: 1}, {MessagesMax: 7}, {BytesMax: 1}, {BytesMax: 100}} {
		t.Run(fmt.Sprintf("%d messages %d bytes", window.MessagesMax, window.BytesMax), func(t *testing.T) {
			log, url := startBridge(t)
			results := publishAll(t, connect(t, Options{Server: url}), window, orders(50))
			if len(results) != 50 {
				t.Fatalf("%d results for 50 messages", len(results))
			}
			for i, r := range results {
				if r.Err != nil || r.Ack != (Ack{Log: "ORDERS", Seq: uint64(i + 1)}) || r.Message.Origin != fmt.Sprint(i+1) {
					t.Fatalf("result %d is %+v", i+1, r)
				}
			}
			reader, err := log.NewReader(engine.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reader.Close() }()
			for rec, err := range reader.All(testContext(t)) {
				if err != nil || string(rec.Payload) != fmt.Sprintf("order %d", rec.Seq) {
					t.Fatalf("record %d is %q, %v", rec.Seq, rec.Payload, err)
				}
			}
		})
	}
}

func TestHeadersArePublishedAndDuplicatesReported(t *testing.T) {
	_, url := startBridge(t)
	message := func() *Message {
		return &Message{Subject: "orders.new", Header: map[string][]string{"Nats-Msg-Id": {"one"}}}
	}
	results := publishAll(t, connect(t, Options{Server: url}), PublisherOptions{}, []*Message{message(), message()})
	if results[0].Ack.Duplicate || !results[1].Ack.Duplicate || results[1].Ack.Seq != 1 {
		t.Fatalf("acks are %+v and %+v", results[0].Ack, results[1].Ack)
	}
}

func TestErrorsSayWhatHappened(t *testing.T) {
	_, url := startBridge(t)
	for _, c := range []struct {
		name    string
		message *Message
		want    error
	}{
		{"a subject that no log captures", &Message{Subject: "stray"}, ErrNoLog},
		{"a condition that does not hold", &Message{Subject: "orders.new", Header: map[string][]string{"Nats-Expected-Last-Sequence": {"9"}}}, ErrRefused},
		{"a message larger than the server takes", &Message{Subject: "orders.new", Data: make([]byte, 2<<20)}, ErrRefused},
		{"a subject with a blank", &Message{Subject: "orders new"}, ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			results := publishAll(t, connect(t, Options{Server: url}), PublisherOptions{}, []*Message{c.message})
			if len(results) != 1 || !errors.Is(results[0].Err, c.want) {
				t.Fatalf("results are %+v, want an error that matches %v", results, c.want)
			}
		})
	}
}

func TestBackpressureIsToldFromOtherRefusals(t *testing.T) {
	for _, c := range []struct {
		refused      RefusedError
		backpressure bool
	}{
		{RefusedError{Code: 429, ErrorCode: 10167}, true},
		{RefusedError{Code: 503, ErrorCode: 10077}, true},
		{RefusedError{Code: 503, ErrorCode: 20004}, false},
		{RefusedError{Code: 400, ErrorCode: 10071}, false},
	} {
		err := fmt.Errorf("publish: %w", &c.refused)
		if errors.Is(err, ErrBackpressure) != c.backpressure || errors.Is(err, ErrRefused) == c.backpressure {
			t.Errorf("%v: taken for backpressure: %t, refused: %t", err, errors.Is(err, ErrBackpressure), errors.Is(err, ErrRefused))
		}
	}
}

func TestNoAnswerInTimeIsATimeout(t *testing.T) {
	_, url := startBridge(t)
	silent, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := silent.SubscribeSync("silent"); err != nil {
		t.Fatal(err)
	}
	if err := silent.Flush(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, Options{Server: url, Timeout: 100 * time.Millisecond})
	results := publishAll(t, c, PublisherOptions{}, []*Message{{Subject: "silent"}})
	if !errors.Is(results[0].Err, ErrTimeout) {
		t.Fatalf("got %v", results[0].Err)
	}
}

func TestALostConnectionEndsWhatIsInFlight(t *testing.T) {
	_, url := startBridge(t)
	silent, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := connect(t, Options{Server: url})
	arrived, err := silent.Subscribe("silent", func(*nats.Msg) { c.conn.Close() })
	if err != nil || arrived == nil || silent.Flush() != nil {
		t.Fatal("cannot subscribe")
	}
	var results []Result
	p, err := c.NewPublisher(PublisherOptions{MessagesMax: 1, OnResult: func(r Result) { results = append(results, r) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(testContext(t), &Message{Subject: "silent"}); err != nil {
		t.Fatal(err)
	}
	<-c.closed
	if err := p.Publish(testContext(t), &Message{Subject: "silent"}); !errors.Is(err, ErrConnection) {
		t.Fatalf("publishing on a lost connection: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || !errors.Is(results[0].Err, ErrConnection) {
		t.Fatalf("results are %+v", results)
	}
}

func TestAFullWindowWaitsUntilTheContextEnds(t *testing.T) {
	_, url := startBridge(t)
	silent, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	if _, err := silent.Subscribe("silent", func(*nats.Msg) { cancel() }); err != nil || silent.Flush() != nil {
		t.Fatal("cannot subscribe")
	}
	c := connect(t, Options{Server: url, Timeout: 500 * time.Millisecond})
	p, err := c.NewPublisher(PublisherOptions{MessagesMax: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(ctx, &Message{Subject: "silent"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(ctx, &Message{Subject: "silent"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the second message: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNobodyAtTheAddressIsNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(testContext(t), Options{Server: "nats://" + address}); !errors.Is(err, ErrConnection) {
		t.Fatalf("got %v", err)
	}
}
