package bridge

import (
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
)

// A server tells of a new stream before it lists it, and of a stream that goes
// while it still does: the first look after an advisory sees what was before.
func TestStreamThatIsListedAfterItsAdvisoryIsFound(t *testing.T) {
	s := startServer(t, ServerOptions{})
	conn := connect(t, s.ClientURL())
	const nothing, listed = `{"streams":null}`, `{"streams":["LATER"]}`
	var late atomic.Pointer[string] // what the second look and those after it see
	var looks atomic.Int64
	answer := func(text string) {
		looks.Store(0)
		late.Store(&text)
	}
	before := nothing
	if _, err := conn.Subscribe(streamNamesSubject, func(m *nats.Msg) {
		text := before
		if late.Load() != nil && looks.Add(1) > 1 {
			text = *late.Load()
			before = text
		}
		_ = m.Respond([]byte(text))
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.FlushWithContext(testContext(t)); err != nil {
		t.Fatal(err)
	}
	var events eventRecorder
	startBridge(t, Options{
		URLs: []string{s.ClientURL()}, OnEvent: events.record,
		Logs: []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}},
	})

	answer(listed)
	if err := conn.Publish("$JS.EVENT.ADVISORY.STREAM.CREATED.LATER", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is found", func() bool { return len(events.find(EventOverlapFound)) == 1 })

	answer(nothing)
	if err := conn.Publish("$JS.EVENT.ADVISORY.STREAM.DELETED.LATER", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is gone", func() bool { return len(events.find(EventOverlapCleared)) == 1 })
}
