package bridge

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// pending is a subscription to the answers of messages that are published
// without waiting.
type pending struct {
	conn    *nats.Conn
	answers *nats.Subscription
	inbox   string
}

func newPending(t *testing.T, url string) *pending {
	t.Helper()
	p := &pending{conn: connect(t, url), inbox: nats.NewInbox()}
	answers, err := p.conn.SubscribeSync(p.inbox + ".*")
	if err != nil {
		t.Fatal(err)
	}
	p.answers = answers
	return p
}

func (p *pending) publish(t *testing.T, name string, header nats.Header) {
	t.Helper()
	if err := p.conn.PublishMsg(&nats.Msg{Subject: "orders.new", Reply: p.inbox + "." + name, Header: header}); err != nil {
		t.Fatal(err)
	}
}

// next returns the next answer, which must be that of the named message.
func (p *pending) next(t *testing.T, name string) *nats.Msg {
	t.Helper()
	m, err := p.answers.NextMsgWithContext(testContext(t))
	if err != nil {
		t.Fatalf("answer of %s: %v", name, err)
	}
	if m.Subject != p.inbox+"."+name {
		t.Fatalf("answer of %s, want that of %s", m.Subject[len(p.inbox)+1:], name)
	}
	return m
}

// collect returns the next answers by the names of their messages.
func (p *pending) collect(t *testing.T, count int) map[string]*nats.Msg {
	t.Helper()
	answers := make(map[string]*nats.Msg)
	for range count {
		m, err := p.answers.NextMsgWithContext(testContext(t))
		if err != nil {
			t.Fatalf("%d of %d answers: %v", len(answers), count, err)
		}
		answers[m.Subject[len(p.inbox)+1:]] = m
	}
	return answers
}

// handled waits until the bridge has handled everything that was published.
func (p *pending) handled(t *testing.T, b *Bridge) {
	t.Helper()
	if err := p.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.conn.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// expectNone checks that no answer has come.
func (p *pending) expectNone(t *testing.T) {
	t.Helper()
	if err := p.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := p.answers.Pending(); err != nil || n != 0 {
		t.Fatalf("%d answers have come, %v", n, err)
	}
}
