package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/bridge/client"
)

const (
	// killsDefault is how often the bridge is killed in the middle of publishing;
	// the environment variable AOF_KILLS says otherwise.
	killsDefault = 5
	// inFlightAtKill messages at least have no answer yet when the kill goes out.
	inFlightAtKill = 64
	// acksBeforeKill are read from a bridge before it is killed.
	acksBeforeKill = 3000
)

// countFrom is the count in a variable of the environment.
func countFrom(t *testing.T, name string, byDefault int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return byDefault
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 {
		t.Fatalf("%s=%q is no count", name, text)
	}
	return count
}

// ending is how the lives of a bridge end.
type ending struct {
	lives int
	// strike ends the bridge as it has messages in flight.
	strike func(*bridge)
	// restore makes ready for the next life.
	restore func()
}

func sigkill(t *testing.T) ending {
	return ending{
		lives:   countFrom(t, "AOF_KILLS", killsDefault),
		strike:  func(b *bridge) { b.signal(t, syscall.SIGKILL) },
		restore: func() {},
	}
}

// history is what publishers were told over many lives of a bridge.
type history struct {
	published int               // ids from 0 were published at least once
	lost      int               // publishes that the end of a bridge left without an answer
	acked     map[string]uint64 // sequence by id
	owner     map[uint64]string // id by sequence
}

func messageOf(id int) *client.Message {
	name := fmt.Sprintf("id-%d", id)
	return &client.Message{
		Subject: fmt.Sprintf("events.%d", id%5), Origin: name, Header: map[string][]string{"Nats-Msg-Id": {name}},
		Data: fmt.Appendf(nil, "payload of %s", name),
	}
}

// note checks an ack against what was told before.
func (h *history) note(t *testing.T, r client.Result) {
	if r.Err != nil {
		return
	}
	if before, again := h.acked[r.Message.Origin]; again && before != r.Ack.Seq {
		t.Errorf("%s was acknowledged as %d, then as %d", r.Message.Origin, before, r.Ack.Seq)
	}
	if owner, taken := h.owner[r.Ack.Seq]; taken && owner != r.Message.Origin {
		t.Errorf("%d was given to %s, then to %s", r.Ack.Seq, owner, r.Message.Origin)
	}
	h.acked[r.Message.Origin], h.owner[r.Ack.Seq] = r.Ack.Seq, r.Message.Origin
}

// publishUntilKilled publishes new messages, and ends the bridge with many of
// them in flight.
func (h *history) publishUntilKilled(t *testing.T, b *bridge, strike func(*bridge)) {
	t.Helper()
	connected, err := client.Connect(testContext(t), client.Options{Server: b.NATSURL})
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	acks, killed := 0, false
	var published atomic.Int64 // in this life of the bridge
	publisher, err := connected.NewPublisher(client.PublisherOptions{OnResult: func(r client.Result) {
		h.note(t, r)
		if r.Err != nil {
			h.lost++
			return
		}
		acks++
		if inFlight := int(published.Load()) - acks; !killed && acks >= acksBeforeKill && inFlight >= inFlightAtKill {
			killed = true
			strike(b)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for {
		err := publisher.Publish(testContext(t), messageOf(h.published))
		if errors.Is(err, client.ErrConnection) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		h.published++
		published.Add(1)
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
	if status, ok := b.wait(t).Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the bridge ended with %v", b.command.ProcessState)
	}
}

// publishAgain publishes every message that was not acknowledged, as a
// publisher with message ids does that does not know what arrived, until none is
// refused for lack of room any more.
func (h *history) publishAgain(t *testing.T, b *bridge) (duplicates int) {
	t.Helper()
	connected, err := client.Connect(testContext(t), client.Options{Server: b.NATSURL})
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	for missing := h.missing(); len(missing) > 0 && !t.Failed(); missing = h.missing() {
		b.awaitReady(t) // not before there is room
		duplicates += h.publishOnce(t, connected, missing)
	}
	return duplicates
}

func (h *history) publishOnce(t *testing.T, connected *client.Client, messages []*client.Message) (duplicates int) {
	t.Helper()
	publisher, err := connected.NewPublisher(client.PublisherOptions{OnResult: func(r client.Result) {
		h.note(t, r)
		if r.Err != nil && !errors.Is(r.Err, client.ErrBackpressure) {
			t.Errorf("%s: %v", r.Message.Origin, r.Err)
		}
		if r.Ack.Duplicate {
			duplicates++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := publisher.Publish(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
	return duplicates
}

// missing are the messages that were not acknowledged.
func (h *history) missing() []*client.Message {
	var missing []*client.Message
	for id := range h.published {
		if m := messageOf(id); h.acked[m.Origin] == 0 {
			missing = append(missing, m)
		}
	}
	return missing
}

func TestEverythingAckedIsThereOnceAfterTheBridgeWasKilledWhilePublishing(t *testing.T) {
	publishOverLives(t, filepath.Join(t.TempDir(), "root"), sigkill(t), "--segment-bytes", "256KiB")
}

// TestEverythingAckedIsThereOnceInWhicheverTierAfterKills is the same with
// segments that are being compressed, uploaded and evicted as the kill comes.
func TestEverythingAckedIsThereOnceInWhicheverTierAfterKills(t *testing.T) {
	root, flags := filepath.Join(t.TempDir(), "root"), tieringFlags(filepath.Join(t.TempDir(), "bucket"))
	publishOverLives(t, root, sigkill(t), flags...)
	b := startBridge(t, root, flags...)
	defer b.signal(t, syscall.SIGTERM)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for info := ""; !strings.Contains(info, "  cold  "); {
		select {
		case <-look.C:
			info = run(t, "", "log", "info", "EVENTS", "--root", root)
		case <-testContext(t).Done():
			t.Fatalf("no segment is only in the bucket:\n%s", info)
		}
	}
}

// tieringFlags make segments go through all tiers within a few thousand records.
func tieringFlags(bucket string) []string {
	return []string{"--segment-bytes", "256KiB", "--hot-bytes", "2MiB", "--warm-bytes", "64KiB", "--bucket", "file://" + bucket}
}

// publishOverLives publishes over many lives of a bridge with these flags and
// checks what is stored.
func publishOverLives(t *testing.T, root string, end ending, flags ...string) {
	t.Helper()
	h := &history{acked: make(map[string]uint64), owner: make(map[uint64]string)}
	for range end.lives {
		b := startBridge(t, root, flags...)
		h.publishAgain(t, b)
		h.publishUntilKilled(t, b, end.strike)
		end.restore()
	}
	if h.lost == 0 {
		t.Error("no answer was lost: nothing was in flight at any end")
	}
	b := startBridge(t, root, flags...)
	duplicates := h.publishAgain(t, b)
	b.signal(t, syscall.SIGTERM)
	if state := b.wait(t); state.ExitCode() != 0 {
		t.Fatalf("the bridge ended with %s", state)
	}
	records := readAll(t, root)
	if len(records) != h.published || len(h.acked) != h.published {
		t.Errorf("%d messages were published, %d acknowledged, %d are stored", h.published, len(h.acked), len(records))
	}
	for i, r := range records {
		name := r.Headers["Nats-Msg-Id"][0]
		if r.Seq != uint64(i+1) || h.acked[name] != r.Seq || r.payload() != "payload of "+name {
			t.Fatalf("record %d is %+v; its message was acknowledged as %d", i+1, r, h.acked[name])
		}
	}
	run(t, "", "fsck", root, "--deep")
	t.Logf("%d lives, %d messages, %d left without an answer, %d of the last had been stored", end.lives, h.published, h.lost, duplicates)
}
