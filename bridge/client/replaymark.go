package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"
)

// Errors of replays, for errors.Is.
var (
	// ErrNotFound: nobody serves the log, or the place to begin at is not there.
	ErrNotFound = errors.New("client: not found")
	// ErrDamaged: a range of the log does not verify; a *DamagedError has the
	// details.
	ErrDamaged = errors.New("client: damaged")
	// ErrEnded: the bridge ended a replay.
	ErrEnded = errors.New("client: the bridge ended the replay")
)

// Headers of marks.
const (
	headerStatus       = "Status"
	headerDescription  = "Description"
	headerLastSequence = "Nats-Last-Sequence"
	headerScanned      = "Aof-Scanned-Sequence"
	headerEndReason    = "Aof-End-Reason"

	descriptionDamaged = "Damaged Range"
)

func stopBody() ([]byte, error) { return json.Marshal(replayBody{Stop: true}) }

// mark acts on a message on the reply subject itself.
func (r *Replay) mark(m *nats.Msg) {
	status := m.Header.Get(headerStatus)
	if status == "100" || status == "204" {
		if !r.agrees(m.Header) {
			return
		}
		r.alive()
	}
	switch status {
	case "100":
		r.goOn(m)
	case "204":
		r.finish(io.EOF)
	case "503":
		r.refused(fmt.Errorf("%w: nobody serves readers of log %s on %s: check its name, and that its bridge runs with this prefix", ErrNotFound, r.log, r.subject()))
	case "429":
		r.refused(fmt.Errorf("%w: %s", ErrBackpressure, m.Header.Get(headerDescription)))
	case "409":
		r.endedBy(m)
	case "404":
		r.finish(fmt.Errorf("%w: %s", ErrNotFound, m.Header.Get(headerDescription)))
	case "408":
		r.finish(fmt.Errorf("%w: %s", ErrTimeout, m.Header.Get(headerDescription)))
	case "400":
		r.finish(fmt.Errorf("%w: the bridge refuses the request: %s", ErrOptions, m.Header.Get(headerDescription)))
	default:
		r.finish(fmt.Errorf("%w: mark with status %q", errMalformed, status))
	}
}

// agrees reports whether all that was delivered before the mark has come, and
// notes how far the bridge has looked. If something is missing, the request is
// given up.
func (r *Replay) agrees(h nats.Header) bool {
	last, err := number(h, headerLastSequence)
	scanned, scannedErr := number(h, headerScanned)
	if err = errors.Join(err, scannedErr); err != nil {
		r.finish(err)
		return false
	}
	if last != r.delivered {
		r.lost(fmt.Errorf("%w: records behind %d are missing", ErrConnection, r.delivered))
		return false
	}
	if scanned > 0 || r.next == 0 && r.options.placeIsKnown() {
		r.next = max(r.next, scanned+1)
	}
	return true
}

// goOn answers flow control and passes damage on.
func (r *Replay) goOn(m *nats.Msg) {
	if m.Reply != "" {
		if err := r.client.conn.Publish(m.Reply, nil); err != nil {
			r.lost(r.connectionError(err))
			return
		}
	}
	if m.Header.Get(headerDescription) != descriptionDamaged || r.options.OnDamaged == nil {
		return
	}
	damage, err := decodeDamage(m.Data)
	if err != nil {
		r.finish(err)
		return
	}
	r.next = max(r.next, damage.LastSeq+1)
	r.options.OnDamaged(damage)
}

// refused is an end that another try may change, once the replay had begun.
func (r *Replay) refused(err error) {
	if r.lostAt.IsZero() {
		r.finish(err)
		return
	}
	r.lost(err)
}

// endedBy acts on an end that the bridge has brought about: some are no reason
// not to go on where it was.
func (r *Replay) endedBy(m *nats.Msg) {
	if m.Header.Get(headerLastSequence) != "" && !r.agrees(m.Header) {
		return // what is missing in front of the end comes first
	}
	err := fmt.Errorf("%w: %s", ErrEnded, m.Header.Get(headerDescription))
	switch m.Header.Get(headerEndReason) {
	case "stopping", "closed", "flow_control_timeout":
		r.lost(err)
	case "damaged":
		damage, decodeErr := decodeDamage(m.Data)
		if decodeErr != nil {
			r.finish(errors.Join(err, decodeErr))
			return
		}
		r.finish(damage)
	default:
		r.finish(err)
	}
}

// finish ends the replay.
func (r *Replay) finish(err error) {
	r.end = err
	if r.in != nil {
		_ = r.in.Unsubscribe() // fails only without a connection
		r.in = nil
	}
}
