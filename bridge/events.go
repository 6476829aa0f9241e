package bridge

import "time"

// EventKind names something that an operator wants to know.
type EventKind string

// The events of a bridge.
const (
	// EventReplyRefused: messages whose reply subject the bridge may not publish
	// on were not stored. Subject is the last such reply subject.
	EventReplyRefused EventKind = "reply_refused"
	// EventMessagesLost: the connection broke; messages that publishers sent
	// until it was made again may not have arrived. They were not answered.
	EventMessagesLost EventKind = "messages_lost"
	// EventAnswersDropped: answers could not be told to their publishers:
	// refusals beyond the limit of what waits to be sent, or lines that several
	// connections broke on.
	EventAnswersDropped EventKind = "answers_dropped"
	// EventLogPoisoned: publishers of a log are being refused because of a
	// failed write or sync.
	EventLogPoisoned EventKind = "log_poisoned"
	// EventOverlapFound: a JetStream stream captures subjects of a log; nobody
	// is answered by the bridge until it is gone. Subject names the stream.
	EventOverlapFound EventKind = "overlap_found"
	// EventOverlapCleared: that stream is gone.
	EventOverlapCleared EventKind = "overlap_cleared"
)

// Event is one of them. Fields that do not belong to its kind are zero.
type Event struct {
	Kind    EventKind
	Time    time.Time
	Log     string
	Subject string
	Count   uint64
	Err     error
}

// emit sends an event with the time filled in, to the owner of the bridge and to
// NATS.
func (o *Options) emit(event Event) {
	event.Time = time.Now()
	o.Events.onBridgeEvent(event)
	o.OnEvent(event)
}
