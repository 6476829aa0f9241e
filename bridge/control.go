package bridge

// Names of headers, compared byte by byte as JetStream does.
const (
	headerRequestInfo = "Nats-Request-Info"
	headerAckLevel    = "Aof-Ack-Level"
	headerAcked       = "Aof-Acked"
	headerReplay      = "Aof-Replay"
)

// controlHeaders are the headers that the bridge acts on. nil: absent. Of
// several lines of one name the first counts.
type controlHeaders struct {
	msgID             []byte
	expectedStream    []byte
	lastSeq           []byte
	lastSubjectSeq    []byte
	lastSubjectFilter []byte
	lastMsgID         []byte
	batchID           []byte
	increment         []byte
	rollup            []byte
	timeToLive        []byte
	schedule          []byte
	scheduleZone      []byte
	scheduleNext      []byte
	scheduler         []byte
	streamSource      []byte
	requestInfo       []byte
	ackLevel          []byte
	replay            []byte

	any bool // one of them is there
}

// note keeps the value of a header that the bridge acts on. It reports whether
// the line is stored: what the server or a client library adds on the way is
// not part of what was published.
func (c *controlHeaders) note(key, value []byte) (stored bool) {
	if len(key) < len("Status") || key[0] != 'N' && key[0] != 'A' && key[0] != 'S' && key[0] != 'D' {
		return true
	}
	switch string(key) {
	case "Status", "Description":
		return false
	case headerRequestInfo:
		c.set(&c.requestInfo, value)
		return false
	}
	if field := c.field(key); field != nil {
		c.set(field, value)
	}
	return true
}

func (c *controlHeaders) set(field *[]byte, value []byte) {
	if *field == nil {
		*field, c.any = value, true
	}
}

func (c *controlHeaders) field(key []byte) *[]byte {
	switch string(key) {
	case "Nats-Msg-Id":
		return &c.msgID
	case "Nats-Expected-Stream":
		return &c.expectedStream
	case "Nats-Expected-Last-Sequence":
		return &c.lastSeq
	case "Nats-Expected-Last-Subject-Sequence":
		return &c.lastSubjectSeq
	case "Nats-Expected-Last-Subject-Sequence-Subject":
		return &c.lastSubjectFilter
	case "Nats-Expected-Last-Msg-Id":
		return &c.lastMsgID
	case "Nats-Batch-Id":
		return &c.batchID
	case "Nats-Incr":
		return &c.increment
	case "Nats-Rollup":
		return &c.rollup
	case "Nats-TTL":
		return &c.timeToLive
	case "Nats-Schedule":
		return &c.schedule
	case "Nats-Schedule-Time-Zone":
		return &c.scheduleZone
	case "Nats-Schedule-Next":
		return &c.scheduleNext
	case "Nats-Scheduler":
		return &c.scheduler
	case "Nats-Stream-Source":
		return &c.streamSource
	case headerAckLevel:
		return &c.ackLevel
	case headerReplay:
		return &c.replay
	}
	return nil
}
