package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	natsbridge "github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/bridge/client"
)

func TestTheVersionComesFromTheLinker(t *testing.T) {
	if got := run(t, "", "version"); !strings.HasPrefix(got, "aof-nats 9.8.7 ") {
		t.Errorf("got %q", got)
	}
}

// payloads are bytes of many lengths, text and not.
func payloads(count int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	list := make([][]byte, count)
	for i := range list {
		list[i] = make([]byte, random.IntN(3000))
		for j := range list[i] {
			list[i][j] = byte(random.Uint32())
		}
	}
	return list
}

func TestWhatWasPublishedIsReadBackByteForByteAfterARestart(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	b := startBridge(t, root, "--segment-bytes", "256KiB")
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "{\"id\":%d,\"kind\":\"k%d\",\"name\":\"ä \\u0001 <&>\"}\n", i, i%7)
	}
	file := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "", "pub", "-s", b.NATSURL, "events.{kind}.{id}", "--file", file)
	binary := payloads(300)
	for _, r := range publishAll(t, b.NATSURL, binary) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	b.signal(t, syscall.SIGTERM)
	if state := b.wait(t); state.ExitCode() != 0 {
		t.Fatalf("the bridge ended with %s", state)
	}
	b = startBridge(t, root)
	run(t, "last", "pub", "-s", b.NATSURL, "events.last")
	b.signal(t, os.Interrupt)
	if state := b.wait(t); state.ExitCode() != 0 {
		t.Fatalf("the bridge ended with %s", state)
	}
	records := readAll(t, root)
	if len(records) != 2301 {
		t.Fatalf("%d records, want 2301", len(records))
	}
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		if r := records[i]; r.Seq != uint64(i+1) || r.Subject != fmt.Sprintf("events.k%d.%d", i%7, i) || r.payload() != line {
			t.Fatalf("record %d is %+v", i+1, r)
		}
	}
	for i, data := range binary {
		if r := records[2000+i]; r.Subject != "events.binary" || r.payload() != string(data) || r.Headers["Number"][0] != fmt.Sprint(i) {
			t.Fatalf("record %d is %+v", 2001+i, r)
		}
	}
	if r := records[2300]; r.Subject != "events.last" || r.payload() != "last" {
		t.Fatalf("the last record is %+v", r)
	}
	run(t, "", "fsck", root, "--deep")
}

// publishAll publishes payloads with a JetStream publisher.
func publishAll(t *testing.T, url string, list [][]byte) []client.Result {
	t.Helper()
	connected, err := client.Connect(testContext(t), client.Options{Server: url})
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	var results []client.Result
	publisher, err := connected.NewPublisher(client.PublisherOptions{OnResult: func(r client.Result) { results = append(results, r) }})
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range list {
		message := &client.Message{Subject: "events.binary", Header: map[string][]string{"Number": {fmt.Sprint(i)}}, Data: data}
		if err := publisher.Publish(testContext(t), message); err != nil {
			t.Fatal(err)
		}
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
	return results
}

func TestASecondSignalEndsADrainAtOnce(t *testing.T) {
	elsewhere, err := natsbridge.StartServer(natsbridge.ServerOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root")
	b := startBridge(t, root, "--nats", elsewhere.ClientURL(), "--drain-timeout", "10m")
	run(t, "one", "pub", "-s", elsewhere.ClientURL(), "events.x")
	elsewhere.Stop() // nobody can be answered any more: draining waits for the server
	b.signal(t, syscall.SIGTERM)
	b.await(t, `"msg":"draining"`)
	b.signal(t, syscall.SIGTERM)
	if state := b.wait(t); state.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("the bridge ended with %v", state)
	}
	startBridge(t, root)
	if records := readAll(t, root); len(records) != 1 || records[0].payload() != "one" {
		t.Errorf("records are %+v", records)
	}
}
