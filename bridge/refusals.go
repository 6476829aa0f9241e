package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// refusal is why a message was not stored, as its publisher is told.
type refusal struct {
	kind         refusalKind
	code         int
	errCode      int
	description  string
	backpressure engine.BackpressureKind // 0: none
	retryAfter   time.Duration
	inlineStatus bool // the reply begins with an inline status line
}

// refusalKind groups refusals in metrics.
type refusalKind uint8

const (
	refusedOverload refusalKind = iota
	refusedBackpressure
	refusedCondition
	refusedUnsupported
	refusedInvalid
	refusedTooLarge
	refusedAckLevel
	refusedFailure
	refusedClosed
	refusalKinds
)

var refusalKindNames = [refusalKinds]string{
	"overload", "backpressure", "condition", "unsupported", "invalid", "too_large", "ack_level", "failure", "closed",
}

// retryHint is told where the engine has no better one.
const retryHint = 100 * time.Millisecond

// Refusals that JetStream knows: code, err_code and description are those of
// the server's errors.json.
var (
	refuseMessageTooLarge  = refusal{kind: refusedTooLarge, code: 400, errCode: 10054, description: "message size exceeds maximum allowed"}
	refuseHeaderTooLarge   = refusal{kind: refusedTooLarge, code: 400, errCode: 10097, description: "header size exceeds maximum allowed of 64k"}
	refuseIncrInvalid      = refusal{kind: refusedInvalid, code: 400, errCode: 10171, description: "message counter increment is invalid"}
	refuseIncr             = refusal{kind: refusedUnsupported, code: 400, errCode: 10168, description: "message counters is disabled"}
	refuseOtherStream      = refusal{kind: refusedCondition, code: 400, errCode: 10060, description: "expected stream does not match"}
	refuseTTL              = refusal{kind: refusedUnsupported, code: 400, errCode: 10166, description: "per-message TTL is disabled"}
	refuseTTLInvalid       = refusal{kind: refusedInvalid, code: 400, errCode: 10165, description: "invalid per-message TTL"}
	refuseFilterWithoutSeq = refusal{kind: refusedInvalid, code: 400, errCode: 10193, description: "missing sequence for expected last sequence per subject"}
	refuseSchedule         = refusal{kind: refusedUnsupported, code: 400, errCode: 10188, description: "message schedules is disabled"}
	refuseScheduler        = refusal{kind: refusedInvalid, code: 400, errCode: 10212, description: "message schedules invalid scheduler"}
	refuseSource           = refusal{kind: refusedUnsupported, code: 400, errCode: 10227, description: "message stream source header is not allowed"}
	refuseRollup           = refusal{kind: refusedUnsupported, code: 500, errCode: 10111, description: "rollup not permitted"}
	refuseAtomicBatch      = refusal{kind: refusedUnsupported, code: 400, errCode: 10174, description: "atomic publish is disabled"}
	refuseFastBatch        = refusal{kind: refusedUnsupported, code: 400, errCode: 10205, description: "batch publish is disabled"}
	refuseIngestFull       = refusal{kind: refusedOverload, code: 429, errCode: 10167, description: "too many requests", retryAfter: retryHint, inlineStatus: true}
)

const (
	codeWrongLastSequence = 10071
	codeWrongLastMsgID    = 10070
	codeStoreFailed       = 10077
)

// Refusals of our own. Their err_codes stand in docs/nats-contract.md; a number
// is never given a second meaning.
var (
	refuseUnknownLevel     = refusal{kind: refusedAckLevel, code: 400, errCode: 20001, description: "ack level is unknown: use written, durable or cold"}
	refuseLevelUnavailable = refusal{kind: refusedAckLevel, code: 400, errCode: 20002, description: "ack level is not available on this log"}
	refuseMalformedHeader  = refusal{kind: refusedInvalid, code: 400, errCode: 20003, description: "message headers are malformed"}
	refusePoisoned         = refusal{kind: refusedFailure, code: 503, errCode: 20004, description: "log is poisoned by a failed write or sync"}
	refuseClosed           = refusal{kind: refusedClosed, code: 503, errCode: 20005, description: "log is closed", retryAfter: time.Second}
	refuseReplay           = refusal{kind: refusedUnsupported, code: 400, errCode: 20006, description: "log does not accept replayed messages"}
	refuseNextSeqUnknown   = refusal{kind: refusedFailure, code: 503, errCode: 20007, description: "next sequence of the log is unknown: its manifest lost records and the bucket was not read; start the bridge with the bucket, once that answers"}
)

// refusalOf turns an error of the engine into what the publisher is told.
func refusalOf(err error) refusal {
	var full *engine.BackpressureError
	var conflict *engine.ConflictError
	switch {
	case errors.As(err, &full):
		return refusal{
			kind: refusedBackpressure, code: 503, errCode: codeStoreFailed, backpressure: full.Kind, retryAfter: full.RetryAfter,
			description: fmt.Sprintf("%s backpressure: %s", full.Kind, full.Full),
		}
	case errors.As(err, &conflict):
		return refusalOfConflict(conflict)
	case errors.Is(err, engine.ErrTooLarge):
		return refuseMessageTooLarge
	case errors.Is(err, engine.ErrInvalidRecord):
		return refuseMalformedHeader
	case errors.Is(err, engine.ErrPoisoned):
		return refusePoisoned
	case errors.Is(err, engine.ErrNextSeqUnknown): // its cause may be any of those below
		return refuseNextSeqUnknown
	case errors.Is(err, engine.ErrUnsupported):
		return refuseLevelUnavailable
	case errors.Is(err, engine.ErrClosed), errors.Is(err, errStopping):
		return refuseClosed
	}
	return refusal{kind: refusedFailure, code: 503, errCode: codeStoreFailed, description: err.Error()}
}

func refusalOfConflict(conflict *engine.ConflictError) refusal {
	r := refusal{kind: refusedCondition, code: 400, errCode: codeWrongLastSequence}
	if conflict.Kind == engine.ConflictLastMsgID {
		r.errCode = codeWrongLastMsgID
		r.description = "wrong last msg ID: " + conflict.ActualMsgID
		return r
	}
	r.description = "wrong last sequence: " + strconv.FormatUint(conflict.ActualSeq, 10)
	return r
}

// appendBody appends the error body, byte by byte as JetStream encodes it.
func (r *refusal) appendBody(b []byte, log string) []byte {
	b = strconv.AppendInt(append(b, `{"error":{"code":`...), int64(r.code), 10)
	b = strconv.AppendInt(append(b, `,"err_code":`...), int64(r.errCode), 10)
	b = appendJSONString(append(b, `,"description":`...), r.description)
	b = append(append(b, `},"stream":"`...), log...)
	return append(b, `","seq":0}`...)
}

// appendHeader appends the header block of the reply; a refusal that JetStream
// gives without headers has none here either.
func (r *refusal) appendHeader(b []byte) []byte {
	if r.code != 429 && r.code != 503 {
		return b
	}
	b = append(b, headerVersion...)
	if r.inlineStatus {
		b = append(b, " 429 Too Many Requests"...)
	}
	b = strconv.AppendInt(append(b, "\r\nNats-Service-Error-Code: "...), int64(r.code), 10)
	b = appendHeaderValue(append(b, "\r\nNats-Service-Error: "...), r.description)
	if r.backpressure != 0 {
		b = append(append(b, "\r\nAof-Backpressure: "...), r.backpressure.String()...)
	}
	if r.retryAfter > 0 {
		b = strconv.AppendInt(append(b, "\r\nAof-Retry-After-Ms: "...), r.retryAfter.Milliseconds(), 10)
	}
	return append(b, "\r\n\r\n"...)
}

// appendHeaderValue appends text with line breaks made blanks.
func appendHeaderValue(b []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		if c == '\r' || c == '\n' {
			c = ' '
		}
		b = append(b, c)
	}
	return b
}

// appendJSONString appends text as encoding/json would.
func appendJSONString(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			encoded, err := json.Marshal(text)
			if err != nil { // no string fails to encode
				encoded = []byte(`""`)
			}
			return append(b, encoded...)
		}
	}
	b = append(append(b, '"'), text...)
	return append(b, '"')
}
