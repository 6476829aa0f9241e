package engine

import "time"

// backpressureRetry is the hint in refusals.
const backpressureRetry = 100 * time.Millisecond

// pressure is what an appender may be refused for, beside the unflushed limit.
// Log.mu guards it.
type pressure struct {
	noRoom  error // why no further segment can be opened, nil if one can
	asked   bool  // an append was refused for that since room was last looked for
	rolling bool  // the committer waits for the next segment

	entered  BackpressureKind // appends have been refused with this kind; 0: none
	refused  uint64           // since then
	total    [len(backpressureNames)]uint64
	announce []Event // changes of state that the committer has yet to tell
}

// refuseLocked counts a refusal and makes its error.
func (l *Log) refuseLocked(kind BackpressureKind, full string, cause error) error {
	p := &l.mu.pressure
	p.total[kind]++
	if p.entered != kind {
		l.clearPressureLocked()
		p.entered = kind
		p.announce = append(p.announce, Event{Kind: EventBackpressureEntered, Backpressure: kind, Full: full, Err: cause})
		l.signalLocked()
	}
	p.refused++
	if kind == Admission && !p.asked {
		p.asked = true
		l.signalLocked() // the committer looks for room the sooner
	}
	return &BackpressureError{Log: l.name, Kind: kind, RetryAfter: backpressureRetry, Full: full, Cause: cause}
}

// clearPressureLocked notes that an append was admitted again.
func (l *Log) clearPressureLocked() {
	p := &l.mu.pressure
	if p.entered == 0 {
		return
	}
	if !p.foldCleared() {
		p.announce = append(p.announce, Event{Kind: EventBackpressureCleared, Backpressure: p.entered, Refused: p.refused})
	}
	p.entered, p.refused = 0, 0
	l.signalLocked()
}

// announceMax is how many changes of state wait to be told before those that came
// and went meanwhile are told with an earlier one: the committer tells them, and it
// may be waiting for a disk that hangs.
const announceMax = 16

// foldCleared adds what was refused since nobody was told that pressure was entered
// to an earlier time of the same kind, and reports whether it did.
func (p *pressure) foldCleared() bool {
	n := len(p.announce)
	if n < announceMax || p.announce[n-1].Kind != EventBackpressureEntered {
		return false
	}
	for i := n - 2; i >= 0; i-- {
		if earlier := &p.announce[i]; earlier.Kind == EventBackpressureCleared && earlier.Backpressure == p.entered {
			earlier.Refused += p.refused
			p.announce = p.announce[:n-1]
			return true
		}
	}
	return false
}

// setNoRoom notes why no further segment can be opened, nil when one can.
func (l *Log) setNoRoom(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.pressure.noRoom = cause
}

// roomError is why no further segment can be opened.
func (l *Log) roomError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.pressure.noRoom
}

// refusingLocked reports whether appends are refused for want of room: all of
// them without an active segment, else those that do not fit into it. It ends
// when there is room, whether somebody appends or not.
func (l *Log) refusingLocked() bool {
	return l.mu.pressure.noRoom != nil && (l.mu.tail == nil || l.mu.pressure.entered == Admission)
}

// roomAsked reports whether an append was refused for want of room since room
// was last looked for.
func (l *Log) roomAsked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.pressure.asked
}

func (l *Log) roomLookedFor() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.pressure.asked = false
}

func (l *Log) setRolling(rolling bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.pressure.rolling = rolling
}
