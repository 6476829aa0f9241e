package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

const (
	apiReplay = "replay"
	// replaySubjectBytesMax bounds the subject of a delivery: servers refuse
	// protocol lines of more than 4 KiB. Beyond it the headers tell the rest.
	replaySubjectBytesMax = 4000
	// replayPaceMin is the shortest pause that is made to keep to a rate, and
	// replayPaceBehindMax how much of the rate is made up for when pauses were too
	// long.
	replayPaceMin       = 5 * time.Millisecond
	replayPaceBehindMax = 50 * time.Millisecond
)

// replay delivers records of a log to one reader. Its goroutine owns all of it
// but flow.answer and cancel.
type replay struct {
	service    *readService
	log        *readLog
	request    *replayRequest
	filters    [][]byte
	reply      []byte // R: marks go there, records below it
	id         string // which answers name; nobody can guess it
	generation uint64
	ctx        context.Context
	cancel     context.CancelCauseFunc
	flow       replayFlow
	heartbeat  time.Duration

	w       lineWriter
	subject []byte // of the delivery that is being put together
	damaged []*engine.DamageError
	scanned uint64 // every record up to it was passed over or delivered
	last    uint64 // sequence that was delivered last
	count   uint64 // records delivered
	bytes   uint64 // of them
	begun   time.Time
	due     time.Time // when the next record may be delivered by the rate
	wrote   time.Time // when something was written last
}

// handleReplay begins or stops a replay.
func (s *readService) handleReplay(e *readEndpoint, m *wire.Message) {
	if !s.mayAnswer(e.log, m.Reply, s.policy.mayPublishBelow) {
		return
	}
	r := readRequest{log: e.log, reply: append([]byte(nil), m.Reply...), api: apiReplay}
	request, err := decodeReplayRequest(m.Payload)
	switch {
	case err != nil:
		s.refuseAtOnce(&r, "400 "+err.Error())
		return
	case request.Stop:
		s.replays.stop(m.Reply, errStoppedByReader)
		return
	}
	begun := s.newReplay(e.log, request, r.reply)
	if err = s.replays.start(begun); err != nil {
		begun.cancel(err)
	}
	switch {
	case errors.Is(err, errTooManyReplays):
		s.refuseAtOnce(&r, "429 Too Many Replays: "+strconv.Itoa(s.replays.max)+" are running; wait for one to end")
	case errors.Is(err, errReplayRuns):
		s.refuseAtOnce(&r, "400 A replay to this reply subject is running: use a new one for each")
	case err != nil:
		s.refuseAtOnce(&r, "409 Bridge Stopping")
	}
}

// handleFlow opens the next window of a replay.
func (s *readService) handleFlow(e *readEndpoint, m *wire.Message) {
	rest := string(m.Subject[len(e.base)+len(".FLOW."):])
	for i := range len(rest) {
		if rest[i] == '.' {
			if number, err := strconv.ParseUint(rest[i+1:], 10, 64); err == nil {
				s.replays.answer(rest[:i], number)
			}
			return
		}
	}
}

func (s *readService) newReplay(l *readLog, request *replayRequest, reply []byte) *replay {
	r := &replay{
		service: s, log: l, request: request, reply: reply, id: rand.Text(), generation: s.conn.Generation(),
		flow:      newReplayFlow(s.options.ReplayFlowTimeout),
		heartbeat: time.Duration(request.IdleHeartbeatMs) * time.Millisecond,
	}
	for _, subject := range request.Subjects {
		r.filters = append(r.filters, []byte(subject))
	}
	r.ctx, r.cancel = context.WithCancelCause(s.ctx)
	return r
}

// run delivers until the end and tells how it came.
func (r *replay) run() {
	defer r.cancel(nil)
	r.begun = time.Now()
	r.due, r.wrote = r.begun, r.begun
	err := r.deliverAll()
	if r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	status := r.tellEnd(err)
	_ = r.flush() // fails when nobody can be told
	r.service.metrics.count(r.log, apiReplay, status)
}

func (r *replay) deliverAll() error {
	log := r.log.log
	if err := r.service.refresher.refresh(); err != nil {
		return err
	}
	options, more, err := r.request.place(r.ctx, log)
	if err != nil {
		return err
	}
	if !more {
		return io.EOF
	}
	if r.request.SkipDamaged {
		options.SkipDamaged = r.noteDamage
	}
	reader, err := log.NewReader(options)
	if err != nil {
		return err
	}
	r.scanned = max(options.FromSeq, 1) - 1
	if r.request.Follow { // tells at once that it has begun
		if err := r.tellAlive(); err != nil {
			return errors.Join(err, reader.Close())
		}
	}
	return errors.Join(r.deliver(reader), reader.Close())
}

// deliver takes records until the reader or the request ends.
func (r *replay) deliver(reader *engine.Reader) error {
	for {
		err := r.deliverUntilIdle(reader)
		if errors.Is(err, context.DeadlineExceeded) && r.ctx.Err() == nil {
			err = r.lookAround()
		}
		if err != nil {
			return errors.Join(r.tellDamage(), err)
		}
	}
}

// deliverUntilIdle takes one record after the other. It fails with
// context.DeadlineExceeded when a heartbeat is due while there is none, or a
// reader that asked for few of them is to be asked whether it is there.
func (r *replay) deliverUntilIdle(reader *engine.Reader) error {
	ctx, stop := context.WithTimeout(r.ctx, min(r.heartbeat, r.flow.timeout/2))
	defer stop()
	for n := 1; ; n++ {
		if r.scanned >= r.log.log.Watermarks().Durable { // the next may be waited for
			if err := r.flush(); err != nil {
				return err
			}
		}
		if n%lookAtContextRecords == 0 {
			if err := r.lookAround(); err != nil {
				return err
			}
		}
		rec, err := reader.Next(ctx)
		if err == nil {
			err = r.take(&rec)
		}
		if err != nil {
			return err
		}
	}
}

// take delivers a record if it is wanted.
func (r *replay) take(rec *engine.Record) error {
	if err := r.tellDamage(); err != nil {
		return err
	}
	if !r.wants(rec.Subject) {
		r.scanned = rec.Seq
		return nil
	}
	if err := r.awaitWindow(); err != nil {
		return err
	}
	if err := r.pace(); err != nil {
		return err
	}
	if err := r.append(rec); err != nil {
		return err
	}
	if r.request.RecordsMax > 0 && r.count >= r.request.RecordsMax || r.request.BytesMax > 0 && r.bytes >= r.request.BytesMax {
		return io.EOF
	}
	if len(r.w.lines) >= readWriteBytes {
		return r.flush()
	}
	return nil
}

func (r *replay) wants(subject []byte) bool {
	for _, filter := range r.filters {
		if engine.MatchSubject(filter, subject) {
			return true
		}
	}
	return len(r.filters) == 0
}

// awaitWindow waits while the reader has a whole window to answer for, and
// keeps telling it that the replay lives: that shows a reader whether it missed
// something.
func (r *replay) awaitWindow() error {
	for r.flow.full() {
		if err := r.flush(); err != nil {
			return err
		}
		if r.flow.overdue(time.Now()) {
			return errFlowTimeout
		}
		if err := r.flow.await(r.ctx, min(r.heartbeat, r.flow.timeout)); err != nil {
			return err
		}
		if err := r.tellIdle(); err != nil {
			return err
		}
	}
	return nil
}

// pace waits until the next record is due by the rate that was asked for. What
// was not used of it, while there was nothing to deliver or the reader did not
// answer, is not made up for later.
func (r *replay) pace() error {
	if r.request.RecordsPerSecond == 0 {
		return nil
	}
	if earliest := time.Now().Add(-replayPaceBehindMax); r.due.Before(earliest) {
		r.due = earliest
	}
	for {
		wait := time.Until(r.due)
		if wait < replayPaceMin {
			break
		}
		if err := r.flush(); err != nil {
			return err
		}
		if err := pause(r.ctx, min(wait, r.heartbeat)); err != nil {
			return context.Cause(r.ctx)
		}
		if err := r.lookAround(); err != nil { // few records are many pauses
			return err
		}
	}
	r.due = r.due.Add(time.Duration(float64(time.Second) / float64(r.request.RecordsPerSecond)))
	return nil
}

// lookAround is done now and then: it ends the replay if that is wanted, tells
// the reader that it lives, and asks it whether it does.
func (r *replay) lookAround() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if err := r.service.refresher.refresh(); err != nil {
		return err
	}
	if err := r.tellDamage(); err != nil {
		return err
	}
	now := time.Now()
	if r.flow.overdue(now) {
		return errFlowTimeout
	}
	if len(r.flow.marks) == 0 && now.Sub(r.lastAsked()) >= r.flow.timeout/2 {
		r.askForAnswer(now)
	}
	return r.tellIdle()
}

// lastAsked is when the reader was asked for an answer last.
func (r *replay) lastAsked() time.Time {
	if r.flow.markedAt.IsZero() {
		return r.begun
	}
	return r.flow.markedAt
}

// noteDamage keeps a damaged range until it can be told in its place.
func (r *replay) noteDamage(damage *engine.DamageError) { r.damaged = append(r.damaged, damage) }

// flush writes what was gathered. It fails when the connection is gone.
func (r *replay) flush() error {
	if len(r.w.lines) == 0 {
		return nil
	}
	r.wrote = time.Now()
	if err := r.service.flush(&r.w, r.generation); err != nil {
		return errors.Join(errConnectionLost, err)
	}
	return nil
}
