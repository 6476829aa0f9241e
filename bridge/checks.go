package bridge

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

// The checks stand in the order of the server's processJetStreamMsg, so that a
// message with several faults is refused for the same one. Those that need the
// log's state are in conditions.go.

const (
	headerBytesMax       = math.MaxUint16
	headerBytesParsedMax = 2 * headerBytesMax // beyond it a block is not looked into
	fastBatchSuffix      = ".$FI"
)

// checkShape takes the header block apart and checks sizes and batches.
func (in *intake) checkShape(l *boundLog, m *wire.Message) bool {
	if limit := l.config.MessageBytesMax; limit > 0 && len(m.Header)+len(m.Payload) > limit {
		return in.refuseWith(&refuseMessageTooLarge)
	}
	if len(m.Header) > headerBytesParsedMax {
		return in.refuseWith(&refuseHeaderTooLarge)
	}
	wellFormed := in.header.parse(m.Header)
	control := &in.header.control
	switch {
	case isFastBatch(m.Reply, control.requestInfo):
		return in.refuseWith(&refuseFastBatch)
	case len(control.batchID) > 0:
		return in.refuseWith(&refuseAtomicBatch)
	case in.header.wire > headerBytesMax:
		return in.refuseWith(&refuseHeaderTooLarge)
	case !wellFormed:
		return in.refuseWith(&refuseMalformedHeader)
	}
	return true
}

// isFastBatch reports whether the reply subject is one of fast-ingest
// publishing. Across accounts the server replaces it and tells the original in
// the request info.
func isFastBatch(reply, requestInfo []byte) bool {
	if len(reply) > len(fastBatchSuffix) && string(reply[len(reply)-len(fastBatchSuffix):]) == fastBatchSuffix {
		return true
	}
	if len(requestInfo) == 0 || !hasPrefix(reply, "_R_.") {
		return false
	}
	var info struct {
		Reply string `json:"reply"`
	}
	err := json.Unmarshal(requestInfo, &info)
	return err == nil && len(info.Reply) > len(fastBatchSuffix) && strings.HasSuffix(info.Reply, fastBatchSuffix)
}

// checkHeaders checks the headers that need no state, and takes the ack level.
func (in *intake) checkHeaders(l *boundLog, level *engine.Level) bool {
	c := &in.header.control
	switch {
	case len(c.increment) > 0 && !isDecimal(c.increment):
		return in.refuseWith(&refuseIncrInvalid)
	case len(c.increment) > 0:
		return in.refuseWith(&refuseIncr)
	case len(c.expectedStream) > 0 && string(c.expectedStream) != l.name:
		return in.refuseWith(&refuseOtherStream)
	case c.replay != nil && !l.config.AcceptReplays:
		return in.refuseWith(&refuseReplay)
	}
	if ttl, valid := parseTTL(c.timeToLive); valid && ttl != 0 {
		return in.refuseWith(&refuseTTL)
	}
	if len(c.lastSubjectSeq) == 0 && len(c.lastSubjectFilter) > 0 {
		return in.refuseWith(&refuseFilterWithoutSeq)
	}
	if c.ackLevel == nil {
		return true
	}
	asked, ok := engine.ParseLevel(string(c.ackLevel))
	switch {
	case !ok:
		return in.refuseWith(&refuseUnknownLevel)
	case asked != engine.Durable && asked != engine.Written:
		return in.refuseWith(&refuseLevelUnavailable)
	}
	*level = asked
	return true
}

// isDecimal reports whether text is digits with an optional sign.
func isDecimal(text []byte) bool {
	if text[0] == '+' || text[0] == '-' {
		text = text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

// parseTTL reads Nats-TTL as the server does: seconds, a duration of at least
// one second, or "never", which gives -1. Absent gives 0.
func parseTTL(text []byte) (seconds int64, valid bool) {
	if len(text) == 0 {
		return 0, true
	}
	if strings.EqualFold(string(text), "never") {
		return -1, true
	}
	if duration, err := time.ParseDuration(string(text)); err == nil {
		return int64(duration.Seconds()), duration >= time.Second
	}
	for _, c := range text { // what overflows is what the server makes of it
		if c < '0' || c > '9' {
			return 0, false
		}
		seconds = seconds*10 + int64(c-'0')
	}
	return seconds, seconds >= 0
}

// parseSequence reads an expected sequence. What is no number becomes one that
// no log reaches, so that the comparison fails as it does in the server.
func parseSequence(text []byte) uint64 {
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' || n > (math.MaxUint64-9)/10 {
			return math.MaxUint64
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}
