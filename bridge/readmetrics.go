package bridge

import "github.com/prometheus/client_golang/prometheus"

// readMetrics are the metrics of those who read over NATS.
type readMetrics struct {
	requests       *prometheus.CounterVec
	records        *prometheus.CounterVec
	bytes          *prometheus.CounterVec
	refusedReplies *prometheus.CounterVec
	forbidden      prometheus.Counter
	dropped        prometheus.Counter
}

// readLogMetrics are a log's share.
type readLogMetrics struct {
	records        prometheus.Counter
	bytes          prometheus.Counter
	refusedReplies prometheus.Counter
}

func newReadMetrics() *readMetrics {
	return &readMetrics{
		requests:       counters("aof_bridge_read_requests_total", "Requests of readers by API and status; 200: a record, 204: the end of a batch or replay.", "log", "api", "code"),
		records:        counters("aof_bridge_read_records_total", "Records delivered to readers.", "log"),
		bytes:          counters("aof_bridge_read_bytes_total", "Bytes of subjects, headers and payloads delivered to readers.", "log"),
		refusedReplies: counters("aof_bridge_read_refused_replies_total", "Requests of readers not answered because of a reply subject on which the bridge may not publish.", "log"),
		forbidden:      counter("aof_bridge_read_answers_forbidden_total", "Answers to readers that the server did not let the bridge publish."),
		dropped:        counter("aof_bridge_read_answers_dropped_total", "Refusals that readers could not be told because too much waited to be sent."),
	}
}

func (m *readMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.records, m.bytes, m.refusedReplies, m.forbidden, m.dropped}
}

func (m *readMetrics) forLog(name string) *readLogMetrics {
	return &readLogMetrics{
		records: m.records.WithLabelValues(name), bytes: m.bytes.WithLabelValues(name),
		refusedReplies: m.refusedReplies.WithLabelValues(name),
	}
}

// count notes how a request was answered; status begins with its code.
func (m *readMetrics) count(l *readLog, api, status string) {
	if len(status) < statusCodeBytes {
		return
	}
	m.requests.WithLabelValues(l.name, api, status[:statusCodeBytes]).Inc()
}

// statusCodeBytes is how long the code of a status is.
const statusCodeBytes = 3
