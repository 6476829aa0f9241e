package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

// Headers of the marks of a replay.
const (
	headerScanned       = "Aof-Scanned-Sequence"
	headerWindow        = "Aof-Window-Bytes"
	headerEndReason     = "Aof-End-Reason"
	headerDamagedFirst  = "Aof-Damaged-First-Sequence"
	headerDamagedLast   = "Aof-Damaged-Last-Sequence"
	statusHeartbeat     = "100 Idle Heartbeat"
	statusFlowControl   = "100 FlowControl Request"
	statusDamagedRange  = "100 Damaged Range"
	statusBridgeStops   = "409 Bridge Stopping"
	statusFlowTimedOut  = "409 Flow Control Timeout"
	statusNotFoundStart = "404 "
)

// Causes that end a replay before its time.
var (
	errBridgeStopping  = errors.New("bridge: stopping")
	errConnectionLost  = errors.New("bridge: connection to NATS is lost")
	errStoppedByReader = errors.New("bridge: stopped by its reader")
)

// Reasons for which a replay ends early, as Aof-End-Reason tells clients.
const (
	endStopping = "stopping"
	endTimeout  = "flow_control_timeout"
	endDamaged  = "damaged"
	endPoisoned = "poisoned"
	endClosed   = "closed"
	endTooLarge = "too_large"
	endFailure  = "failure"
)

// tooLargeError is a record that the server would not take.
type tooLargeError struct {
	seq   uint64
	bytes int64
	limit int64
}

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("record %d makes a message of %d bytes and the server takes %d: raise its max_payload, or go on behind the record", e.seq, e.bytes, e.limit)
}

// append gathers one record.
func (r *replay) append(rec *engine.Record) error {
	before := len(r.w.lines)
	r.subject = append(append(r.subject[:0], r.reply...), '.')
	r.subject = strconv.AppendUint(r.subject, rec.Seq, 10)
	stem := len(r.subject)
	r.appendMetadata(rec)
	switch {
	case r.request.Metadata == metadataHeaders, len(r.subject) > replaySubjectBytesMax, !isLiteralSubject(rec.Subject):
		r.subject = r.subject[:stem]
		r.w.begin()
		r.w.addNumber(headerLastSequence, r.last)
		if rec.ExtID != 0 {
			r.w.addNumber(headerExtID, rec.ExtID)
		}
		r.w.addRecord(r.log.name, rec)
	case len(rec.Headers) > 0:
		r.w.begin()
		r.w.addStored(rec.Headers)
	default:
		r.w.noHeader()
	}
	if size, limit := r.w.size(rec.Payload), r.service.maxPayload(); size > limit {
		return &tooLargeError{seq: rec.Seq, bytes: size, limit: limit}
	}
	r.w.publish(r.subject, nil, rec.Payload)
	r.note(rec, int64(len(r.w.lines)-before))
	return nil
}

// appendMetadata adds what the subject tells of a record.
func (r *replay) appendMetadata(rec *engine.Record) {
	b := strconv.AppendInt(append(r.subject, '.'), rec.Timestamp, 10)
	if r.request.Metadata == metadataFull {
		b = strconv.AppendUint(append(b, '.'), r.last, 10)
		b = strconv.AppendUint(append(b, '.'), rec.ExtID, 10)
	}
	r.subject = append(append(b, '.'), rec.Subject...)
}

// note counts a record that was gathered, and asks for an answer when half a
// window is used up.
func (r *replay) note(rec *engine.Record, lineBytes int64) {
	size := len(rec.Subject) + len(rec.Headers) + len(rec.Payload)
	r.scanned, r.last, r.count, r.bytes = rec.Seq, rec.Seq, r.count+1, r.bytes+uint64(size)
	r.flow.sent += lineBytes
	r.log.metrics.records.Inc()
	r.log.metrics.bytes.Add(float64(size))
	if r.flow.wantsMark() {
		r.askForAnswer(time.Now())
	}
}

// mark begins a mark. All of them tell how far the replay is.
func (r *replay) mark(status string) {
	r.w.status(status)
	r.w.addNumber(headerLastSequence, r.last)
	r.w.addNumber(headerScanned, r.scanned)
}

func (r *replay) askForAnswer(now time.Time) {
	number := strconv.FormatUint(r.flow.mark(now), 10)
	r.mark(statusFlowControl)
	r.w.addNumber(headerWindow, uint64(r.flow.window))
	reply := r.service.options.Prefix + ".API.REPLAY." + r.log.name + ".FLOW." + r.id + "." + number
	r.w.publish(r.reply, []byte(reply), nil)
}

func (r *replay) tellAlive() error {
	r.mark(statusHeartbeat)
	r.w.publish(r.reply, nil, nil)
	return r.flush()
}

// tellIdle writes what was gathered, and a heartbeat if nothing was written for
// a while.
func (r *replay) tellIdle() error {
	if err := r.flush(); err != nil || time.Since(r.wrote) < r.heartbeat {
		return err
	}
	return r.tellAlive()
}

// damagedRange is the body of the mark of a range that was skipped.
type damagedRange struct {
	Log      string `json:"log"`
	Segment  uint64 `json:"segment"`
	Path     string `json:"path"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	Reason   string `json:"reason"`
}

// tellDamage tells of the ranges that the reader has skipped.
func (r *replay) tellDamage() error {
	for _, damage := range r.damaged {
		r.scanned = max(r.scanned, damage.LastSeq)
		body, err := json.Marshal(damagedRange(*damage))
		if err != nil {
			return fmt.Errorf("encode damage: %w", err)
		}
		r.mark(statusDamagedRange)
		r.addDamage(damage)
		r.w.publish(r.reply, nil, body)
	}
	r.damaged = r.damaged[:0]
	return nil
}

func (r *replay) addDamage(damage *engine.DamageError) {
	r.w.addNumber(headerDamagedFirst, damage.FirstSeq)
	r.w.addNumber(headerDamagedLast, damage.LastSeq)
}

// tellEnd gathers the last mark and returns its status.
func (r *replay) tellEnd(err error) (status string) {
	var damage *engine.DamageError
	var body []byte
	status, reason := endOf(err)
	if status == "" {
		return ""
	}
	r.mark(status)
	if reason != "" {
		r.w.add(headerEndReason, reason)
	}
	if errors.As(err, &damage) {
		r.addDamage(damage)
		body, _ = json.Marshal(damagedRange(*damage)) // nothing in it fails to encode
	}
	r.w.publish(r.reply, nil, body)
	return status
}

// endOf is what a reader is told of how its replay ended, and why for programs;
// nothing if it asked for it or cannot be told.
func endOf(err error) (status, reason string) {
	var tooLarge *tooLargeError
	switch {
	case errors.Is(err, errConnectionLost), errors.Is(err, wire.ErrBroken), errors.Is(err, errStoppedByReader):
		return "", ""
	case errors.Is(err, errBridgeStopping):
		return statusBridgeStops, endStopping
	case errors.Is(err, errFlowTimeout):
		return statusFlowTimedOut, endTimeout
	case errors.Is(err, engine.ErrDamaged):
		return "409 " + err.Error(), endDamaged
	case errors.Is(err, engine.ErrPoisoned):
		return "409 " + err.Error(), endPoisoned
	case errors.Is(err, engine.ErrClosed):
		return "409 " + err.Error(), endClosed
	case errors.As(err, &tooLarge):
		return "409 " + err.Error(), endTooLarge
	case errors.Is(err, engine.ErrTrimmed), errors.Is(err, engine.ErrNotFound):
		return statusNotFoundStart + err.Error(), ""
	case errors.Is(err, engine.ErrInvalidOptions):
		return "400 " + err.Error(), ""
	case errors.Is(err, io.EOF):
		return statusEndOfBatch, ""
	case errors.Is(err, context.DeadlineExceeded):
		return statusTimeout, ""
	}
	return "409 " + err.Error(), endFailure
}
