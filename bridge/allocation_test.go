package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

// TestIntakeAllocatesNothingAMessage takes messages the whole way from the bytes
// of the socket to the ack queue and out of it.
func TestIntakeAllocatesNothingAMessage(t *testing.T) {
	const messages = 500
	log, err := openEngine(t, engine.Options{}).OpenLog("ORDERS", engine.LogOptions{SegmentBytesMin: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	options := nats.GetDefaultOptions()
	in := &intake{options: &Options{}, metrics: newBridgeMetrics(nil), policy: newPublishPolicy(ordersLog(), "AOF")}
	if in.conn, err = wire.New(wire.Options{NATS: options, Handler: in}); err != nil {
		t.Fatal(err)
	}
	o := Options{Logs: ordersLog()}
	o.ensureDefaults()
	l := &boundLog{
		config: o.Logs[0], name: "ORDERS", log: log, options: &o, ackHead: ackHead("ORDERS", ""),
		metrics: in.metrics.forLog("ORDERS"), start: func(*acker) {},
	}
	in.bySID = []*boundLog{nil, l}
	var input strings.Builder
	header := block("A: 1", "Zone: x", "B: 2")
	for i := range messages {
		fmt.Fprintf(&input, "MSG orders.new 1 _INBOX.abcdefghijklmnop.%06d 5\r\nhello\r\n", i)
		fmt.Fprintf(&input, "HMSG orders.new 1 _INBOX.abcdefghijklmnop.%06d %d %d\r\n%shello\r\n", i, len(header), len(header)+5, header)
	}
	bytes := []byte(input.String())
	var parser wire.Parser
	a := &acker{log: l, level: engine.Durable, conn: in.conn}
	read := func() {
		for rest := bytes; len(rest) > 0; {
			_, n, err := parser.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			in.HandleMessage(&parser.Message)
			rest = rest[n:]
		}
		in.HandleBatchEnd()
		a.queue = l.queues[engine.Durable]
		if err := log.Wait(t.Context(), log.Watermarks().Appended, engine.Durable); err != nil {
			t.Fatal(err)
		}
		for a.refill(false); a.next < len(a.batch.entries); a.next++ {
			a.answer(&a.batch.entries[a.next], 0)
		}
		a.settle()
	}
	for range 10 {
		read()
	}
	perRead := testing.AllocsPerRun(20, read)
	if perMessage := perRead / (2 * messages); perMessage > 0.01 {
		t.Errorf("%v allocations a read of %d messages", perRead, 2*messages)
	}
	if marks := log.Watermarks(); marks.Appended != 31*2*messages {
		t.Errorf("%d records, want %d", marks.Appended, 31*2*messages)
	}
}
