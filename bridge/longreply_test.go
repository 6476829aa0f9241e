package bridge

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/aof-nats/aof-nats/engine"
)

// longReply is a reply subject of so many bytes that subscription takes.
func longReply(t *testing.T, conn *nats.Conn, bytes int) (reply string, in *nats.Subscription) {
	t.Helper()
	inbox := nats.NewInbox()
	in, err := conn.SubscribeSync(inbox + ".>")
	if err != nil {
		t.Fatal(err)
	}
	return inbox + "." + strings.Repeat("x", bytes-len(inbox)-1), in
}

// A reply subject that just fits into the line of its message leaves no room for
// the sizes of a refusal: the server would close the connection that sends it,
// and again whenever it is sent once more.
func TestLongReplySubjectsDoNotBreakTheConnection(t *testing.T) {
	g := newGate(t)
	b := startBridge(t, Options{
		Engine: openEngine(t, engine.Options{FS: g.disk}),
		Logs:   []LogConfig{{Name: "ORDERS", Subjects: []string{"o"}, UnackedMessagesMax: 1}},
	})
	raw, err := net.Dial("tcp", strings.TrimPrefix(b.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	conn := connect(t, b.ClientURL())
	reply, answers := longReply(t, conn, replyBytesMax)
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	g.hold(t)
	if err := conn.PublishRequest("o", nats.NewInbox(), nil); err != nil { // all that may wait
		t.Fatal(err)
	}
	const lineBytesMax = 4096 // of the server, as it is by default
	tooLong := "_INBOX." + strings.Repeat("x", lineBytesMax-len("o  0")-len("_INBOX."))
	many := strings.Repeat("PUB o "+tooLong+" 0\r\n\r\n", 100)
	if _, err := fmt.Fprintf(raw, "CONNECT {\"headers\":true}\r\n%sPUB o %s 0\r\n\r\n", many, reply); err != nil {
		t.Fatal(err)
	}
	m, err := answers.NextMsgWithContext(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	expectRefused(t, m, 429, 10167)
	if got := testutil.ToFloat64(b.logs[0].metrics.refusedReplies); got != 100 {
		t.Errorf("%v reply subjects were refused", got)
	}
	if n := b.conn.Reconnects(); n != 0 {
		t.Errorf("the connection broke %d times", n)
	}
	g.open()
}

// A mark has a reply subject of its own beside R in its line.
func TestLongReplySubjectsOfReplaysDoNotEndTheOthers(t *testing.T) {
	b, _, conn := filledBridge(t, 2000)
	for _, bytes := range []int{replayReplyBytesMax, replayReplyBytesMax + 1, 4050} {
		reply, in := longReply(t, conn, bytes)
		if err := conn.PublishRequest("AOF.API.REPLAY.ORDERS", reply, []byte(`{"window_bytes":4096,"metadata":"headers"}`)); err != nil {
			t.Fatal(err)
		}
		if bytes > replayReplyBytesMax {
			continue
		}
		for {
			m, err := in.NextMsgWithContext(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			if m.Reply != "" { // the mark arrived
				break
			}
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.reads.conn.Barrier(testContext(t)); err != nil {
		t.Error(err)
	}
	if n := b.reads.conn.Reconnects(); n != 0 {
		t.Errorf("the connection broke %d times", n)
	}
	if got := testutil.ToFloat64(b.reads.logs[0].metrics.refusedReplies); got != 2 {
		t.Errorf("%v reply subjects were refused", got)
	}
}
