package command

import (
	"errors"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/aof-nats/aof-nats/engine"
)

// engineCollector reads the state of the logs when metrics are asked for.
type engineCollector struct {
	logs        []*engine.Log
	hotBytesMax int64
}

func newEngineCollector(logs []*engine.Log, hotBytesMax int64) *engineCollector {
	return &engineCollector{logs: logs, hotBytesMax: hotBytesMax}
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
	metricPoisoned  = describe("aof_log_poisoned", "1 if a failed write or sync has ended the log's life as a writer.", "log")
	metricRefusals  = describe("aof_log_refusals_total", "Appends refused because a limit was hit, by kind of backpressure.", "log", "kind")
	metricDedup     = describe("aof_log_dedup_window_seconds", "How far back message ids are remembered now.", "log")
	metricHotBytes  = describe("aof_hot_bytes", "Bytes of the log's segment files, preallocated bytes included.", "log")
	metricHotLimit  = describe("aof_hot_limit_bytes", "Limit of the bytes of all segment files together.")
	metricSegments  = describe("aof_hot_segments", "Segment files of the log.", "log", "state")
	metricCut       = describe("aof_recovery_cut_tails", "Tails that were never acknowledged and were cut when the log was opened.", "log")
	metricDamaged   = describe("aof_recovery_damaged_ranges", "Ranges of acknowledged bytes that did not verify when the log was opened.", "log")
	metricRewritten = describe("aof_recovery_rewritten_bytes", "Bytes that opening the log wrote and synced again.", "log")
	metricsOfEngine = []*prometheus.Desc{
		metricFirst, metricAppended, metricWritten, metricDurable, metricPoisoned, metricRefusals, metricDedup,
		metricHotBytes, metricHotLimit, metricSegments, metricCut, metricDamaged, metricRewritten,
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
	out <- prometheus.MustNewConstMetric(metricHotLimit, prometheus.GaugeValue, float64(c.hotBytesMax))
	for _, log := range c.logs {
		collectLog(out, log.State())
	}
}

func collectLog(out chan<- prometheus.Metric, state engine.State) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{state.Name}, labels...)...)
	}
	gauge(metricFirst, float64(state.FirstSeq))
	gauge(metricAppended, float64(state.Watermarks.Appended))
	gauge(metricWritten, float64(state.Watermarks.Written))
	gauge(metricDurable, float64(state.Watermarks.Durable))
	poisoned := 0.0
	if state.Poisoned != nil {
		poisoned = 1
	}
	gauge(metricPoisoned, poisoned)
	gauge(metricDedup, state.DedupWindow.Seconds())
	gauge(metricHotBytes, float64(state.HotBytes))
	segments := make(map[string]int)
	for _, segment := range state.Segments {
		segments[segmentCondition(segment)]++
	}
	for _, condition := range []string{segmentActive, segmentSealed, segmentDamaged} {
		gauge(metricSegments, float64(segments[condition]), condition)
	}
	gauge(metricCut, float64(len(state.Recovery.Cut)))
	gauge(metricDamaged, float64(len(state.Recovery.Damaged)))
	gauge(metricRewritten, float64(state.Recovery.RewrittenBytes))
	for _, kind := range kindsOfRefusal {
		out <- prometheus.MustNewConstMetric(metricRefusals, prometheus.CounterValue, float64(state.Refused[kind]), state.Name, kind.String())
	}
}

// registerProcessMetrics registers what every process has.
func registerProcessMetrics(registry *prometheus.Registry, version string) error {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "aof_build_info", Help: "Always 1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	return errors.Join(
		registry.Register(build),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}
