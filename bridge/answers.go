package bridge

import (
	"strconv"

	"github.com/aof-nats/aof-nats/engine"
)

// ackHeaders are the reply headers of a publish that asked for a level, by the
// level that was reached.
var ackHeaders = [...][]byte{
	engine.Durable: []byte(headerVersion + lineBreak + headerAcked + ": durable\r\n\r\n"),
	engine.Written: []byte(headerVersion + lineBreak + headerAcked + ": written\r\n\r\n"),
}

// ackHead is the part of an ack's body that is the same for all messages of a
// log.
func ackHead(log, domain string) []byte {
	head := append(append([]byte(`{"stream":"`), log...), '"')
	if domain != "" {
		head = append(append(append(head, `,"domain":"`...), domain...), '"')
	}
	return append(head, `,"seq":`...)
}

const (
	ackTail          = "}"
	ackTailDuplicate = `,"duplicate": true}` // the blank is JetStream's
)

// appendAck appends the protocol lines of one ack.
func appendAck(b, reply, head []byte, seq uint64, duplicate bool, header []byte) []byte {
	var digits [20]byte
	number := strconv.AppendUint(digits[:0], seq, 10)
	tail := ackTail
	if duplicate {
		tail = ackTailDuplicate
	}
	b = appendPublishLine(b, reply, len(header), len(head)+len(number)+len(tail))
	b = append(append(b, header...), head...)
	b = append(append(b, number...), tail...)
	return append(b, lineBreak...)
}

// appendRefusal appends the protocol lines of one refusal.
func appendRefusal(b, reply []byte, log string, r *refusal) []byte {
	var headerSpace, bodySpace [256]byte
	header := r.appendHeader(headerSpace[:0])
	body := r.appendBody(bodySpace[:0], log)
	b = appendPublishLine(b, reply, len(header), len(body))
	b = append(append(b, header...), body...)
	return append(b, lineBreak...)
}

// appendPublishLine appends `PUB subject size`, or `HPUB subject headerBytes
// size` if there is a header.
func appendPublishLine(b, subject []byte, headerBytes, bodyBytes int) []byte {
	if headerBytes == 0 {
		b = append(b, "PUB "...)
	} else {
		b = append(b, "HPUB "...)
	}
	b = append(append(b, subject...), ' ')
	if headerBytes > 0 {
		b = append(strconv.AppendInt(b, int64(headerBytes), 10), ' ')
	}
	b = strconv.AppendInt(b, int64(headerBytes+bodyBytes), 10)
	return append(b, lineBreak...)
}
