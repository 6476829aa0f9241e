package bridge

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aof-nats/aof-nats/engine"
)

// bridgeMetrics are the metrics of one bridge. What a message touches is
// resolved once per log, and counted once per socket read or ack write.
type bridgeMetrics struct {
	acks           *prometheus.CounterVec
	refusals       *prometheus.CounterVec
	messages       *prometheus.CounterVec
	bytes          *prometheus.CounterVec
	refusedReplies *prometheus.CounterVec

	reads *readMetrics

	gaps             prometheus.Counter
	answersDropped   prometheus.Counter
	answersForbidden prometheus.Counter

	registered []prometheus.Collector
	registerer prometheus.Registerer
}

// logMetrics are a log's share.
type logMetrics struct {
	acks           [levels]prometheus.Counter
	refusals       [refusalKinds]prometheus.Counter
	messages       prometheus.Counter
	bytes          prometheus.Counter
	refusedReplies prometheus.Counter
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func gauge(name, help string, value func() float64, labels prometheus.Labels) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
}

func newBridgeMetrics(registerer prometheus.Registerer) *bridgeMetrics {
	return &bridgeMetrics{
		registerer:     registerer,
		acks:           counters("aof_bridge_acks_total", "Publishers told that their record reached the level.", "log", "level"),
		refusals:       counters("aof_bridge_refusals_total", "Publishers told that their message was not stored.", "log", "kind"),
		messages:       counters("aof_bridge_intake_messages_total", "Messages received.", "log"),
		bytes:          counters("aof_bridge_intake_bytes_total", "Bytes of subjects, headers and payloads received.", "log"),
		refusedReplies: counters("aof_bridge_refused_replies_total", "Messages not stored because of a reply subject on which the bridge may not publish.", "log"),

		reads: newReadMetrics(),

		gaps:             counter("aof_bridge_intake_gaps_total", "Times that the intake connection broke: messages sent until it was made again may be lost, their publishers were not answered."),
		answersDropped:   counter("aof_bridge_answers_dropped_total", "Times that answers were dropped: refusals because too much waited to be sent, what several connections broke on, or what a server that was away at the end did not take."),
		answersForbidden: counter("aof_bridge_answers_forbidden_total", "Answers that the server did not let the bridge publish."),
	}
}

// forLog resolves a log's metrics.
func (m *bridgeMetrics) forLog(name string) *logMetrics {
	l := &logMetrics{
		messages: m.messages.WithLabelValues(name), bytes: m.bytes.WithLabelValues(name),
		refusedReplies: m.refusedReplies.WithLabelValues(name),
	}
	for level := range engine.Level(levels) {
		l.acks[level] = m.acks.WithLabelValues(name, level.String())
	}
	for kind, label := range refusalKindNames {
		l.refusals[kind] = m.refusals.WithLabelValues(name, label)
	}
	return l
}

// register exports the metrics; unregister takes them back.
func (m *bridgeMetrics) register(b *Bridge) error {
	if m.registerer == nil {
		return nil
	}
	collectors := []prometheus.Collector{
		m.acks, m.refusals, m.messages, m.bytes, m.refusedReplies, m.gaps, m.answersDropped, m.answersForbidden,
		gauge("aof_bridge_connection_up", "Whether the intake connection is made and subscribed.", func() float64 {
			if b.conn.Connected() {
				return 1
			}
			return 0
		}, nil),
	}
	collectors = append(collectors, m.reads.collectors()...)
	collectors = append(collectors, b.options.Events.dropped, b.options.Events.sent)
	collectors = append(collectors, gauge("aof_bridge_replays", "Replays that run.", func() float64 { return float64(b.reads.replays.count()) }, nil))
	if b.server != nil {
		collectors = append(collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "aof_bridge_slow_consumers_total",
			Help: "Connections that the embedded server closed because they did not read fast enough.",
		}, func() float64 { return float64(b.server.SlowConsumers()) }))
	}
	for _, l := range b.logs {
		labels := prometheus.Labels{"log": l.name}
		collectors = append(collectors,
			gauge("aof_bridge_unacked_messages", "Messages stored and not yet answered.",
				func() float64 { return float64(l.unackedMessages.Load()) }, labels),
			gauge("aof_bridge_unacked_bytes", "Bytes of messages stored and not yet answered.",
				func() float64 { return float64(l.unackedBytes.Load()) }, labels))
	}
	var failures []error
	for _, collector := range collectors {
		if err := m.registerer.Register(collector); err != nil {
			failures = append(failures, fmt.Errorf("register metrics: %w", err))
			continue
		}
		m.registered = append(m.registered, collector)
	}
	return errors.Join(failures...)
}

func (m *bridgeMetrics) unregister() {
	for _, collector := range m.registered {
		m.registerer.Unregister(collector)
	}
	m.registered = nil
}
