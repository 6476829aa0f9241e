package bridge

import (
	"strings"
	"time"

	"github.com/nats-io/nuid"

	"github.com/aof-nats/aof-nats/engine"
)

// advisoryTypeStem is what the type of every advisory begins with.
const advisoryTypeStem = "io.aof_nats.log.advisory.v1."

// advisoryGroups is the table from events of the engine to the subjects of
// advisories: `segment_opened` goes to SEGMENT.OPENED.<log> and has the type
// io.aof_nats.log.advisory.v1.segment_opened. An event of a known group needs no
// line of its own.
var advisoryGroups = []struct{ prefix, group string }{
	{"segment_", "SEGMENT"},
	{"log_", "LOG"},
	{"cold_", "COLD"},
	{"backpressure_", "BACKPRESSURE"}, // the subject names the kind instead
}

// bridgeAdvisories is the same for what the bridge itself knows. Not in it is
// what the engine tells already.
var bridgeAdvisories = map[EventKind]string{
	EventMessagesLost:     "LOG.MESSAGES_LOST",
	EventReplyRefused:     "LOG.REPLY_REFUSED",
	EventAnswersDropped:   "LOG.ANSWERS_DROPPED",
	EventOverlapFound:     "LOG.OVERLAP",
	EventOverlapCleared:   "LOG.OVERLAP",
	eventEventsSuppressed: "LOG.EVENTS_SUPPRESSED",
}

// eventEventsSuppressed tells how many events of a log were not published.
const eventEventsSuppressed EventKind = "events_suppressed"

// advisory is the body of an event on NATS. Members that do not belong to its
// type are left out.
type advisory struct {
	Type      string    `json:"type"`
	ID        string    `json:"id"`
	Timestamp time.Time `json:"timestamp"`
	Log       string    `json:"log"`

	Segment  uint64 `json:"segment,omitempty"`
	FirstSeq uint64 `json:"first_seq,omitempty"`
	LastSeq  uint64 `json:"last_seq,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	Tier     string `json:"tier,omitempty"`

	// Reason and ReasonCode say why a step failed or a copy does not count any
	// more; docs/manifest-format.md has the codes.
	Reason     string  `json:"reason,omitempty"`
	ReasonCode *uint32 `json:"reason_code,omitempty"`

	Backpressure string     `json:"backpressure,omitempty"`
	Full         string     `json:"full,omitempty"`
	Since        *time.Time `json:"since,omitempty"`
	Refused      uint64     `json:"refused,omitempty"`

	Subject  string            `json:"subject,omitempty"`
	Stream   string            `json:"stream,omitempty"`
	Count    uint64            `json:"count,omitempty"`
	Recovery *advisoryRecovery `json:"recovery,omitempty"`
	Error    string            `json:"error,omitempty"`

	where string // the subject without prefix and log; "": it is not published
}

// advisoryRecovery is what a recovery found and did. Lists are cut at
// advisoryListMax; the counts are not.
type advisoryRecovery struct {
	CutCount       int            `json:"cut_count"`
	Cut            []advisoryCut  `json:"cut,omitempty"`
	DamagedCount   int            `json:"damaged_count"`
	Damaged        []damagedRange `json:"damaged,omitempty"`
	RewrittenBytes int64          `json:"rewritten_bytes"`
	SealedSegments int            `json:"sealed_segments"`
	AdoptedWarm    int            `json:"adopted_warm,omitempty"`
	AdoptedCold    int            `json:"adopted_cold,omitempty"`
	NotAdopted     int            `json:"not_adopted_count,omitempty"`
	BucketUnread   string         `json:"bucket_unread,omitempty"`
}

type advisoryCut struct {
	Segment        uint64 `json:"segment"`
	Offset         int64  `json:"offset"`
	Bytes          int64  `json:"bytes"`
	AtomicBatch    bool   `json:"atomic_batch"`
	QuarantinePath string `json:"quarantine_path"`
}

const advisoryListMax = 16

// advisoryOfEngine puts an event of the engine into the form of an advisory.
func advisoryOfEngine(e *engine.Event) advisory {
	a := advisory{
		Type: advisoryTypeStem + string(e.Kind), Timestamp: time.Unix(0, e.Time).UTC(), Log: e.Log,
		Segment: e.Segment, FirstSeq: e.FirstSeq, LastSeq: e.LastSeq, Bytes: e.Bytes, Tier: e.Tier, Full: e.Full, Refused: e.Refused,
		Error: errorText(e.Err), where: whereOf(e),
	}
	if e.Backpressure != 0 {
		a.Backpressure = e.Backpressure.String()
	}
	badCopy := e.Kind == engine.EventSegmentSuspected || e.Kind == engine.EventSegmentQuarantined && e.Tier != ""
	if strings.HasSuffix(string(e.Kind), "_failed") || e.Kind == engine.EventLogUploadsStopped || badCopy {
		code := uint32(e.Reason)
		a.Reason, a.ReasonCode = e.Reason.String(), &code
	}
	if e.Recovery != nil {
		a.Recovery = recoveryOf(e.Recovery)
	}
	return a
}

func whereOf(e *engine.Event) string {
	for _, known := range advisoryGroups {
		rest, ok := strings.CutPrefix(string(e.Kind), known.prefix)
		if !ok {
			continue
		}
		if e.Backpressure != 0 {
			rest = e.Backpressure.String()
		}
		return known.group + "." + strings.ToUpper(rest)
	}
	return ""
}

func recoveryOf(r *engine.RecoveryReport) *advisoryRecovery {
	a := &advisoryRecovery{
		CutCount: len(r.Cut), DamagedCount: len(r.Damaged), RewrittenBytes: r.RewrittenBytes, SealedSegments: r.SealedSegments,
		AdoptedWarm: r.AdoptedWarm, AdoptedCold: r.AdoptedCold, NotAdopted: len(r.NotAdopted), BucketUnread: errorText(r.BucketUnread),
	}
	for _, cut := range r.Cut[:min(len(r.Cut), advisoryListMax)] {
		a.Cut = append(a.Cut, advisoryCut(cut))
	}
	for _, damage := range r.Damaged[:min(len(r.Damaged), advisoryListMax)] {
		a.Damaged = append(a.Damaged, damagedRange(*damage))
	}
	return a
}

// advisoryOfBridge does the same for an event of the bridge.
func advisoryOfBridge(e *Event) advisory {
	a := advisory{
		Type: advisoryTypeStem + string(e.Kind), Timestamp: e.Time.UTC(), Log: e.Log, Count: e.Count,
		Error: errorText(e.Err), where: bridgeAdvisories[e.Kind],
	}
	switch e.Kind {
	case EventOverlapFound, EventOverlapCleared:
		a.Stream = e.Subject
	default:
		a.Subject = e.Subject
	}
	return a
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// identify gives an advisory its id.
func (a *advisory) identify() { a.ID = nuid.Next() }
