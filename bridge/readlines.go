package bridge

import (
	"bytes"
	"strconv"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// Names of the headers of what readers get.
const (
	headerStream       = "Nats-Stream"
	headerSubject      = "Nats-Subject"
	headerSequence     = "Nats-Sequence"
	headerTimeStamp    = "Nats-Time-Stamp"
	headerNumPending   = "Nats-Num-Pending"
	headerLastSequence = "Nats-Last-Sequence"
	headerUpTo         = "Nats-UpTo-Sequence"
	headerExtID        = "Aof-Ext-Id"
)

// ownHeaders are left out of what is stored where the bridge sets headers of its
// own, or a stored `Nats-Sequence: 999` would fool a reader. Status and
// Description are what client libraries make of an inline status.
var ownHeaders = [...]string{
	headerStream, headerSubject, headerSequence, headerTimeStamp, headerNumPending,
	headerLastSequence, headerUpTo, headerExtID, "Status", "Description",
}

func isOwnHeader(key []byte) bool {
	for _, own := range ownHeaders {
		if len(key) == len(own) && bytes.EqualFold(key, []byte(own)) {
			return true
		}
	}
	return false
}

// lineWriter gathers the protocol lines of messages to readers. A header block
// is begun, added to, and published with the message.
type lineWriter struct {
	lines  []byte // complete messages
	header []byte // of the message that is being put together
}

// status begins the header block of a status, such as "204 EOB".
func (w *lineWriter) status(status string) {
	w.header = append(w.header[:0], headerVersion...)
	w.header = appendHeaderValue(append(w.header, ' '), status)
	w.header = append(w.header, lineBreak...)
}

// begin begins the header block of a record.
func (w *lineWriter) begin() {
	w.header = append(append(w.header[:0], headerVersion...), lineBreak...)
}

// noHeader makes the next message one without a header block.
func (w *lineWriter) noHeader() { w.header = w.header[:0] }

func (w *lineWriter) add(key, value string) {
	w.header = append(append(w.header, key...), headerSeparator...)
	w.header = append(appendHeaderValue(w.header, value), lineBreak...)
}

func (w *lineWriter) addNumber(key string, value uint64) {
	w.header = append(append(w.header, key...), headerSeparator...)
	w.header = append(strconv.AppendUint(w.header, value, 10), lineBreak...)
}

// addRecord adds what ADR-31 says of a record, and its stored headers.
func (w *lineWriter) addRecord(log string, rec *engine.Record) {
	w.add(headerStream, log)
	w.add(headerSubject, string(rec.Subject))
	w.addNumber(headerSequence, rec.Seq)
	w.header = append(append(w.header, headerTimeStamp...), headerSeparator...)
	w.header = append(rec.Time().AppendFormat(w.header, time.RFC3339Nano), lineBreak...)
	engine.EachHeader(rec.Headers, func(key, value []byte) bool {
		if !isOwnHeader(key) {
			w.header = append(append(w.header, key...), headerSeparator...)
			w.header = append(append(w.header, value...), lineBreak...)
		}
		return true
	})
}

// addStored adds stored headers as they are.
func (w *lineWriter) addStored(headers []byte) { w.header = append(w.header, headers...) }

// size is what the message counts against the server's limit.
func (w *lineWriter) size(payload []byte) int64 {
	if len(w.header) == 0 {
		return int64(len(payload))
	}
	return int64(len(w.header) + len(lineBreak) + len(payload))
}

// publish ends the header block, if there is one, and appends the message. An
// empty reply is none.
func (w *lineWriter) publish(subject, reply, payload []byte) {
	verb := "PUB "
	if len(w.header) > 0 {
		w.header = append(w.header, lineBreak...)
		verb = "HPUB "
	}
	b := append(append(append(w.lines, verb...), subject...), ' ')
	if len(reply) > 0 {
		b = append(append(b, reply...), ' ')
	}
	if len(w.header) > 0 {
		b = append(strconv.AppendInt(b, int64(len(w.header)), 10), ' ')
	}
	b = append(strconv.AppendInt(b, int64(len(w.header)+len(payload)), 10), lineBreak...)
	b = append(append(append(b, w.header...), payload...), lineBreak...)
	w.lines = b
}

func (w *lineWriter) reset() { w.lines = w.lines[:0] }
