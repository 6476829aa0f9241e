package bridge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// nobodyListens is an address that nobody listens on.
func nobodyListens(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// toldLog is a log that calls a function when something is told.
type toldLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	told func()
}

func (l *toldLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told()
	return l.text.Write(p)
}

func TestAServerThatDoesNotAnswerIsToldWithoutItsSecrets(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	log := &toldLog{told: cancel}
	address := nobodyListens(t)
	_, err := Start(ctx, Options{
		Engine: openEngine(t, engine.Options{}), URLs: []string{"nats://me:hidden@" + address, "hidden@" + address}, Logs: ordersLog(),
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"level=WARN", "cannot connect to NATS", "nats://me:xxxxx@" + address, "nats://xxxxx@" + address} {
		if !strings.Contains(log.text.String(), text) {
			t.Errorf("%q is not in %q", text, log.text.String())
		}
	}
	if strings.Contains(log.text.String()+err.Error(), "hidden") {
		t.Errorf("a secret is told: %q, %v", log.text.String(), err)
	}
}

func TestAServerThatIsAwayIsToldNowAndThen(t *testing.T) {
	var away awayNotice
	now := time.Now()
	for _, c := range []struct {
		after time.Duration
		due   bool
	}{{0, true}, {time.Second, false}, {awayNoticeInterval, true}, {awayNoticeInterval + time.Second, false}} {
		if got := away.due(now.Add(c.after)); got != c.due {
			t.Errorf("after %s: told is %t", c.after, got)
		}
	}
}

func TestURLsThatCanNeverWorkAreRefused(t *testing.T) {
	for _, address := range []string{"bogus://x", "nats://", "nats://me:hidden@:4222", "nats://me:hidden@x:port", "http://hidden@x"} {
		names, err := ServerNames([]string{"nats://127.0.0.1:1", address})
		if !errors.Is(err, ErrOptions) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: got %v, %v", address, names, err)
		}
		if _, err := Start(testContext(t), Options{Engine: openEngine(t, engine.Options{}), URLs: []string{address}, Logs: ordersLog()}); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: got %v", address, err)
		}
	}
}
