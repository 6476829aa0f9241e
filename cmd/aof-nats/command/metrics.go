package command

import (
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/aof-nats/aof-nats/engine"
)

// engineCollector reads the state of an engine and its logs when metrics are
// asked for.
type engineCollector struct {
	engine *engine.Engine
	logs   []*engine.Log
}

func newEngineCollector(eng *engine.Engine, logs []*engine.Log) *engineCollector {
	return &engineCollector{engine: eng, logs: logs}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What the collector reports.
var (
	metricFirst     = describe("aof_log_first_sequence", "First sequence that the log keeps.", "log")
	metricAppended  = describe("aof_log_appended_sequence", "Last sequence that was given to a record.", "log")
	metricWritten   = describe("aof_log_written_sequence", "Last sequence that is in the page cache.", "log")
	metricDurable   = describe("aof_log_durable_sequence", "Last sequence that is on stable storage.", "log")
	metricCold      = describe("aof_log_cold_sequence", "Last sequence up to which the bucket holds everything.", "log")
	metricPoisoned  = describe("aof_log_poisoned", "1 if a failed write or sync has ended the log's life as a writer.", "log")
	metricNoRoom    = describe("aof_log_no_room", "1 while the log's next segment has no room: publishers are refused when the active one is full.", "log")
	metricStopped   = describe("aof_log_uploads_stopped", "1 if nothing of the log goes to the bucket until it is opened again: another owner or object was found there.", "log")
	metricBadCopies = describe("aof_log_damaged_copies", "Copies of segments that were found damaged or missing and are not counted on.", "log", "tier")
	metricRefusals  = describe("aof_log_refusals_total", "Appends refused because a limit was hit, by kind of backpressure.", "log", "kind")
	metricDedup     = describe("aof_log_dedup_window_seconds", "How far back message ids are remembered now.", "log")
	metricHotBytes  = describe("aof_hot_bytes", "Bytes of the log's segment files, preallocated bytes included.", "log")
	metricHotLimit  = describe("aof_hot_limit_bytes", "Limit of the bytes of all segment files together.")
	metricSegments  = describe("aof_hot_segments", "Segment files of the log.", "log", "state")
	metricWarmBytes = describe("aof_warm_bytes", "Bytes of the log's compressed files.", "log")
	metricWarmLimit = describe("aof_warm_limit_bytes", "Limit of the bytes of all compressed files together.")
	metricColdBytes = describe("aof_cold_bytes", "Bytes of the log's segments in the bucket.", "log")
	metricNearest   = describe("aof_log_segments", "Segments of the log by the nearest tier that holds them; in none: nothing of it can be read.", "log", "tier")
	metricMoves     = describe("aof_tier_moves_total", "Moves of a segment between tiers that ended, evictions among them.", "move", "result")
	metricRequests  = describe("aof_bucket_requests_total", "Requests to the bucket, failed ones and repetitions included; a look at an object's attributes is a get.", "kind")
	metricBucketOut = describe("aof_bucket_sent_bytes_total", "Bytes of objects sent to the bucket.")
	metricBucketIn  = describe("aof_bucket_received_bytes_total", "Bytes of objects received from the bucket.")
	metricOutage    = describe("aof_bucket_outage_seconds", "How long the bucket has been taking no uploads; 0: it does.")
	metricCut       = describe("aof_recovery_cut_tails", "Tails that were cut when the log was opened, because nothing proves that they were acknowledged.", "log")
	metricDamaged   = describe("aof_recovery_damaged_ranges", "Ranges of acknowledged bytes that did not verify when the log was opened.", "log")
	metricRewritten = describe("aof_recovery_rewritten_bytes", "Bytes that opening the log wrote and synced again.", "log")
	metricsOfEngine = []*prometheus.Desc{
		metricFirst, metricAppended, metricWritten, metricDurable, metricCold, metricPoisoned, metricNoRoom, metricStopped,
		metricBadCopies, metricRefusals, metricDedup,
		metricHotBytes, metricHotLimit, metricSegments, metricWarmBytes, metricWarmLimit, metricColdBytes, metricNearest,
		metricMoves, metricRequests, metricBucketOut, metricBucketIn, metricOutage, metricCut, metricDamaged, metricRewritten,
	}
	kindsOfRefusal = []engine.BackpressureKind{engine.Admission, engine.Rollover, engine.Flush}
)

// Describe tells the metrics.
func (c *engineCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range metricsOfEngine {
		out <- desc
	}
}

// Collect tells their values now.
func (c *engineCollector) Collect(out chan<- prometheus.Metric) {
	collectEngine(out, c.engine.Stats())
	for _, log := range c.logs {
		collectLog(out, log.State())
	}
}

// collectEngine tells what the logs share.
func collectEngine(out chan<- prometheus.Metric, stats engine.Stats) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	send(metricHotLimit, prometheus.GaugeValue, float64(stats.Hot.LimitBytes))
	send(metricWarmLimit, prometheus.GaugeValue, float64(stats.Warm.LimitBytes))
	for move, counts := range stats.Moves {
		send(metricMoves, prometheus.CounterValue, float64(counts.Done), string(move), "done")
		send(metricMoves, prometheus.CounterValue, float64(counts.Failed), string(move), "failed")
	}
	outage := 0.0
	if stats.Outage.Failures > 0 {
		outage = max(0, time.Since(stats.Outage.Since).Seconds())
	}
	send(metricOutage, prometheus.GaugeValue, outage)
	requests := stats.Requests
	send(metricRequests, prometheus.CounterValue, float64(requests.Put), "put")
	send(metricRequests, prometheus.CounterValue, float64(requests.Get), "get")
	send(metricRequests, prometheus.CounterValue, float64(requests.List), "list")
	send(metricRequests, prometheus.CounterValue, float64(requests.Delete), "delete")
	send(metricBucketOut, prometheus.CounterValue, float64(requests.BytesOut))
	send(metricBucketIn, prometheus.CounterValue, float64(requests.BytesIn))
}

func collectLog(out chan<- prometheus.Metric, state engine.State) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{state.Name}, labels...)...)
	}
	gauge(metricFirst, float64(state.FirstSeq))
	gauge(metricAppended, float64(state.Watermarks.Appended))
	gauge(metricWritten, float64(state.Watermarks.Written))
	gauge(metricDurable, float64(state.Watermarks.Durable))
	gauge(metricCold, float64(state.Watermarks.Cold))
	for desc, cause := range map[*prometheus.Desc]error{
		metricPoisoned: state.Poisoned, metricNoRoom: state.NoRoom, metricStopped: state.UploadsStopped,
	} {
		value := 0.0
		if cause != nil {
			value = 1
		}
		gauge(desc, value)
	}
	gauge(metricDedup, state.DedupWindow.Seconds())
	gauge(metricHotBytes, float64(state.HotBytes))
	gauge(metricWarmBytes, float64(state.WarmBytes))
	gauge(metricColdBytes, float64(state.ColdBytes))
	hot, nearest, bad := make(map[string]int), make(map[string]int), make(map[string]int)
	for _, segment := range state.Segments {
		nearest[nearestTier(segment)]++
		for _, tier := range segment.BadCopies {
			bad[tier]++
		}
		if segment.HotBytes > 0 || segment.Damaged {
			hot[segmentCondition(segment)]++
		}
	}
	for _, condition := range []string{segmentActive, segmentSealed, segmentDamaged} {
		gauge(metricSegments, float64(hot[condition]), condition)
	}
	for _, tier := range []string{tierHot, tierWarm, tierCold, tierNone} {
		gauge(metricNearest, float64(nearest[tier]), tier)
	}
	for _, tier := range []string{tierHot, tierWarm, tierCold} {
		gauge(metricBadCopies, float64(bad[tier]), tier)
	}
	gauge(metricCut, float64(len(state.Recovery.Cut)))
	gauge(metricDamaged, float64(len(state.Recovery.Damaged)))
	gauge(metricRewritten, float64(state.Recovery.RewrittenBytes))
	for _, kind := range kindsOfRefusal {
		out <- prometheus.MustNewConstMetric(metricRefusals, prometheus.CounterValue, float64(state.Refused[kind]), state.Name, kind.String())
	}
}

// registerProcessMetrics registers what every process has.
func registerProcessMetrics(registry *prometheus.Registry, version string, log *logWriter) error {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "aof_build_info", Help: "Always 1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	return errors.Join(
		registry.Register(build),
		registry.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "aof_stderr_dropped_lines_total", Help: "Lines of the process's own log that were dropped, since nobody read them in time.",
		}, func() float64 { return float64(log.dropped.Load()) })),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}
