package load

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startStream starts a server with a stream on test.> and returns how many
// messages the stream holds, and its URL.
func startStream(t *testing.T) (held func() uint64, url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "TEST", Subjects: []string{"test.>"}})
	if err != nil {
		t.Fatal(err)
	}
	return func() uint64 {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs
	}, s.ClientURL()
}

func serve(t *testing.T, job Job) (Result, error) {
	t.Helper()
	input, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	if err := Serve(bytes.NewReader(input), &output); err != nil {
		return Result{}, err
	}
	var result Result
	if err := json.Unmarshal(output.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	return result, nil
}

func TestEveryMessageIsPublishedAndAcknowledged(t *testing.T) {
	held, url := startStream(t)
	var before uint64
	for _, job := range []Job{
		{Kind: Async, Messages: 1000, Warmup: 100, InFlight: 64},
		{Kind: Waiting, Messages: 1000, Warmup: 100, Publishers: 4},
	} {
		job.URL, job.Subjects, job.PayloadBytes = url, []string{"test.a", "test.b"}, 128
		result, err := serve(t, job)
		if err != nil {
			t.Fatalf("%s: %v", job.Kind, err)
		}
		if stored := held() - before; stored != 1100 || result.Messages != 1000 {
			t.Errorf("%s: %d messages are stored and %d were measured", job.Kind, stored, result.Messages)
		}
		if result.P50 <= 0 || result.P99 < result.P50 || result.Elapsed <= 0 || result.CPU <= 0 || result.Rate() <= 0 {
			t.Errorf("%s: %+v", job.Kind, result)
		}
		before = held()
	}
}

func TestMessagesThatNobodyAcknowledgesAreAnError(t *testing.T) {
	_, url := startStream(t)
	for _, kind := range []Kind{Async, Waiting, "other"} {
		job := Job{Kind: kind, URL: url, Subjects: []string{"elsewhere"}, Messages: 8, InFlight: 8, Publishers: 2}
		if result, err := serve(t, job); err == nil {
			t.Errorf("%s: got %+v", kind, result)
		}
	}
}
