package client_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

// exampleServer runs a bridge with three records in its log ORDERS, and returns
// the server's URL and what ends it.
func exampleServer() (url string, stop func()) {
	root, err := os.MkdirTemp("", "aof-nats-example")
	if err != nil {
		log.Fatal(err)
	}
	eng, err := engine.Open(root, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	b, err := bridge.Start(context.Background(), bridge.Options{
		Engine: eng, Listen: "127.0.0.1:0", Logs: []bridge.LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := eng.OpenLog("ORDERS", engine.LogOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, subject := range []string{"orders.new", "orders.paid", "orders.new"} {
		if _, err := orders.AppendSync(context.Background(), &engine.Record{Subject: []byte(subject), Payload: []byte("an order")}); err != nil {
			log.Fatal(err)
		}
	}
	return b.ClientURL(), func() {
		if err := b.Stop(context.Background()); err != nil {
			log.Fatal(err)
		}
		if err := eng.Close(); err != nil {
			log.Fatal(err)
		}
		if err := os.RemoveAll(root); err != nil {
			log.Fatal(err)
		}
	}
}

// printNewOrders reads a log from its beginning to its end.
func printNewOrders(ctx context.Context, url string) error {
	c, err := client.Connect(ctx, client.Options{Server: url, Reconnect: true})
	if err != nil {
		return err
	}
	defer c.Close()
	replay, err := c.Replay("ORDERS", client.ReplayOptions{FromSeq: 1, Subjects: []string{"orders.new"}})
	if err != nil {
		return err
	}
	defer replay.Close()
	for record, err := range replay.All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(record.Seq, record.Subject, string(record.Data))
	}
	return nil
}

func ExampleClient_Replay() {
	url, stop := exampleServer()
	err := printNewOrders(context.Background(), url)
	stop()
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 orders.new an order
	// 3 orders.new an order
}
