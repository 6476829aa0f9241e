package engine

import "github.com/aof-nats/aof-nats/manifest"

// EventKind names a state change of a log.
type EventKind string

// The events of a log. Each is sent once per change of state.
const (
	EventLogCreated          EventKind = "log_created"
	EventLogRecovered        EventKind = "log_recovered"
	EventLogPoisoned         EventKind = "log_poisoned"
	EventSegmentOpened       EventKind = "segment_opened"
	EventSegmentSealed       EventKind = "segment_sealed"
	EventSegmentQuarantined  EventKind = "segment_quarantined"
	EventSegmentSuspected    EventKind = "segment_suspected"
	EventSegmentVerified     EventKind = "segment_verified"
	EventSegmentWarmed       EventKind = "segment_warmed"
	EventSegmentUploaded     EventKind = "segment_uploaded"
	EventSegmentEvicted      EventKind = "segment_evicted"
	EventSegmentWarmFailed   EventKind = "segment_warmed_failed"
	EventSegmentUploadFailed EventKind = "segment_uploaded_failed"
	EventLogUploadsStopped   EventKind = "log_uploads_stopped"
	EventBackpressureEntered EventKind = "backpressure_entered"
	EventBackpressureCleared EventKind = "backpressure_cleared"
)

// Event is one state change. Fields that do not belong to its kind are zero.
type Event struct {
	Kind         EventKind
	Log          string
	Time         int64 // nanoseconds since the Unix epoch
	Segment      uint64
	FirstSeq     uint64
	LastSeq      uint64
	Bytes        int64
	Tier         string          // hot, warm or cold: of an evicted or quarantined copy
	Reason       manifest.Reason // of a failure, and of damage to a copy
	Backpressure BackpressureKind
	Full         string // what is full, where backpressure was entered
	Refused      uint64 // appends refused since backpressure was entered
	Recovery     *RecoveryReport
	Err          error
}
