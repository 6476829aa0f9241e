package bridge

import (
	"bufio"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// contract is the page that says what this package does.
func contract(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "nats-contract.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// blocks returns the fenced blocks of a language.
func blocks(page, language string) (list []string) {
	for {
		_, rest, found := strings.Cut(page, "\n```"+language+"\n")
		if !found {
			return list
		}
		block, after, _ := strings.Cut(rest, "\n```")
		list, page = append(list, block), after
	}
}

// The session in the page is played against a bridge, line by line.
func TestSessionInTheContractIsTrue(t *testing.T) {
	var session string
	for _, block := range blocks(contract(t), "text") {
		if strings.Contains(block, "> CONNECT") {
			session = block
		}
	}
	if session == "" {
		t.Fatal("the page has no session")
	}
	b := startBridge(t, Options{Logs: ordersLog()})
	at := time.Date(2026, 2, 1, 10, 0, 0, 123456789, time.UTC)
	for i, rec := range []engine.Record{
		{Subject: []byte("orders.new"), Payload: []byte("an order"), Headers: []byte("Kind: test\r\n")},
		{Subject: []byte("orders.paid"), Payload: []byte("it is paid")},
	} {
		rec.Timestamp = at.Add(time.Duration(i) * time.Second).UnixNano()
		if _, err := b.logs[0].log.AppendSync(testContext(t), &rec); err != nil {
			t.Fatal(err)
		}
	}
	where, err := url.Parse(b.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", where.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil { // INFO
		t.Fatal(err)
	}
	var all strings.Builder
	for line := range strings.SplitSeq(session, "\n") {
		if sent, ok := strings.CutPrefix(line, ">"); ok {
			all.WriteString(line + "\n")
			if _, err := conn.Write([]byte(strings.TrimPrefix(sent, " ") + "\r\n")); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%v behind\n%s", err, all.String())
		}
		got = strings.TrimRight("< "+strings.TrimRight(got, "\r\n"), " ")
		all.WriteString(got + "\n")
		if got != line {
			t.Errorf("the page says %q, the bridge %q", line, got)
		}
	}
	if t.Failed() {
		t.Logf("the session was\n%s", all.String())
	}
}

// The Go code in the page is that of examples that are run.
func TestGoCodeInTheContractIsRun(t *testing.T) {
	var examples string
	for _, path := range []string{"example_test.go", filepath.Join("client", "example_test.go")} {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		examples += string(source)
	}
	list := blocks(contract(t), "go")
	if len(list) < 2 {
		t.Fatalf("%d blocks of Go", len(list))
	}
	for _, block := range list {
		indented := "\t" + strings.ReplaceAll(strings.ReplaceAll(block, "\n", "\n\t"), "\n\t\n", "\n\n")
		if !strings.Contains(examples, indented) {
			t.Errorf("not in an example:\n%s", block)
		}
	}
}

func TestContractNamesEveryMetricHeaderAndEventOfReaders(t *testing.T) {
	page := contract(t)
	names := append([]string{
		headerScanned, headerEndReason, headerDamagedFirst, headerDamagedLast, metadataSubject, metadataFull, metadataHeaders,
		endStopping, endTimeout, endDamaged, endPoisoned, endClosed, endTooLarge, endFailure,
		"from_seq", "from_time", "from_record_id", "from_last", "from_end", "to_seq", "subjects", "max_records", "max_bytes", "window_bytes",
		"max_records_per_second", "follow", "idle_heartbeat_ms", "metadata", "skip_damaged", "stop",
	}, ownHeaders[:]...)
	for kind, where := range bridgeAdvisories {
		names = append(names, string(kind), where)
	}
	for _, kind := range []engine.EventKind{
		engine.EventLogCreated, engine.EventLogRecovered, engine.EventLogPoisoned, engine.EventSegmentOpened, engine.EventSegmentSealed,
		engine.EventSegmentQuarantined, engine.EventSegmentSuspected, engine.EventSegmentVerified, engine.EventBackpressureEntered, engine.EventBackpressureCleared,
	} {
		names = append(names, string(kind))
	}
	for _, name := range names {
		if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+".<log>`") {
			t.Errorf("the page does not name %s", name)
		}
	}
}
