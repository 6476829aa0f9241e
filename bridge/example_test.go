package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
)

// latestOrder reads a log with a client that knows streams only.
func latestOrder(ctx context.Context, nc *nats.Conn) (*jetstream.RawStreamMsg, error) {
	reader, err := jetstream.NewWithAPIPrefix(nc, "AOF.API")
	if err != nil {
		return nil, err
	}
	stream, err := reader.Stream(ctx, "ORDERS")
	if err != nil {
		return nil, err
	}
	return stream.GetLastMsgForSubject(ctx, "orders.new")
}

// publishAndRead publishes to the log of a bridge and reads it back.
func publishAndRead(ctx context.Context, url string) (*jetstream.RawStreamMsg, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	publisher, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if _, err := publisher.Publish(ctx, "orders.new", []byte("an order")); err != nil {
		return nil, err
	}
	return latestOrder(ctx, nc)
}

// serving runs a bridge with the log ORDERS while do runs.
func serving(ctx context.Context, do func(url string) error) error {
	root, err := os.MkdirTemp("", "aof-nats-example")
	if err != nil {
		return err
	}
	eng, err := engine.Open(root, engine.Options{})
	if err != nil {
		return err
	}
	b, err := bridge.Start(ctx, bridge.Options{
		Engine: eng, Listen: "127.0.0.1:0", Logs: []bridge.LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}},
	})
	if err != nil {
		return errors.Join(err, eng.Close())
	}
	return errors.Join(do(b.ClientURL()), b.Stop(ctx), eng.Close(), os.RemoveAll(root))
}

func Example_readWithAnUnmodifiedClient() {
	ctx := context.Background()
	err := serving(ctx, func(url string) error {
		m, err := publishAndRead(ctx, url)
		if err == nil {
			fmt.Println(m.Sequence, m.Subject, string(m.Data))
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1 orders.new an order
}
