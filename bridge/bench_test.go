package bridge

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

const benchPayloadBytes = 128

// BenchmarkDurableAcks measures what one unmodified asynchronous publisher gets
// with 4,096 messages in flight: acks after fdatasync from a log, and, for the
// comparison, acks before it from a JetStream stream of a server with default
// settings. sync-us is what an fdatasync of 4 KiB took behind the run: the rate
// of the log depends on it, that of the stream does not.
func BenchmarkDurableAcks(b *testing.B) {
	b.Run("log", func(b *testing.B) {
		bridge := startBridge(b, Options{
			Engine: openEngine(b, engine.Options{}),
			Logs:   []LogConfig{{Name: "BENCH", Subjects: []string{"bench.>"}}},
		})
		publishAsync(b, bridge.ClientURL())
	})
	b.Run("jetstream", func(b *testing.B) {
		s := startJetStream(b, "")
		addStream(b, s.ClientURL(), jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"bench.>"}})
		publishAsync(b, s.ClientURL())
	})
}

func addStream(t testing.TB, url string, config jetstream.StreamConfig) {
	t.Helper()
	js, err := jetstream.New(connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(testContext(t), config); err != nil {
		t.Fatal(err)
	}
}

func publishAsync(b *testing.B, url string) {
	js, err := jetstream.New(connect(b, url), jetstream.WithPublishAsyncMaxPending(4096),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { b.Error(err) }))
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, benchPayloadBytes)
	b.ReportAllocs()
	b.SetBytes(benchPayloadBytes)
	b.ResetTimer()
	for range b.N {
		if _, err := js.PublishAsync("bench.subject", payload, jetstream.WithStallWait(testTimeout)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	b.StopTimer()
	reportRate(b)
}

func reportRate(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
	b.ReportMetric(float64(syncTime(b).Nanoseconds())/1e3, "sync-us")
}

// syncTime is the median time of an fdatasync of 4 KiB inside a zeroed file.
func syncTime(b *testing.B) time.Duration {
	b.Helper()
	const pageBytes, pages = 4 << 10, 51
	file, err := vfs.OS().Create(filepath.Join(b.TempDir(), "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			b.Error(err)
		}
	}()
	if err := errors.Join(file.Allocate(pageBytes*pages, vfs.ZeroFilled), file.Sync()); err != nil {
		b.Fatal(err)
	}
	var times []time.Duration
	for i := range int64(pages) {
		if _, err := file.WriteAt(make([]byte, pageBytes), i*pageBytes); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if err := file.SyncData(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[pages/2]
}

// BenchmarkWaitingPublishers measures 64 publishers, a connection each, that
// each wait for the ack before they publish again.
func BenchmarkWaitingPublishers(b *testing.B) {
	const publishers = 64
	b.Run("log", func(b *testing.B) {
		bridge := startBridge(b, Options{
			Engine: openEngine(b, engine.Options{}),
			Logs:   []LogConfig{{Name: "BENCH", Subjects: []string{"bench.>"}}},
		})
		publishAndWait(b, bridge.ClientURL(), publishers)
	})
	b.Run("jetstream", func(b *testing.B) {
		s := startJetStream(b, "")
		addStream(b, s.ClientURL(), jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"bench.>"}})
		publishAndWait(b, s.ClientURL(), publishers)
	})
}

func publishAndWait(b *testing.B, url string, publishers int) {
	streams := make([]jetstream.JetStream, publishers)
	for i := range streams {
		js, err := jetstream.New(connect(b, url))
		if err != nil {
			b.Fatal(err)
		}
		streams[i] = js
	}
	payload := make([]byte, benchPayloadBytes)
	work := make(chan struct{}, 1024)
	failed := make(chan error, publishers)
	done := make(chan struct{}, publishers)
	b.ResetTimer()
	latencies := make([][]time.Duration, publishers)
	for i, js := range streams {
		go func() {
			defer func() { done <- struct{}{} }()
			subject := fmt.Sprintf("bench.%d", i)
			for range work {
				began := time.Now()
				if _, err := js.Publish(b.Context(), subject, payload); err != nil {
					failed <- err
					return
				}
				latencies[i] = append(latencies[i], time.Since(began))
			}
		}()
	}
	for range b.N {
		select {
		case work <- struct{}{}:
		case err := <-failed:
			b.Fatal(err)
		}
	}
	close(work)
	for range publishers {
		<-done
	}
	b.StopTimer()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-us")
	reportRate(b)
}
