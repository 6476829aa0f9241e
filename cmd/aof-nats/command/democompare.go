package command

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
)

// eventLedger is what is known of each event: what it must be, from its source,
// and where the bridge said it is. It keeps hashes, not payloads.
type eventLedger struct {
	events  []ledgerEvent
	groups  []string       // filters that together match every event, once
	group   map[string]int // their place in groups
	bytes   int64          // of all payloads and subjects
	longest int64          // of a payload and its subject
}

type ledgerEvent struct {
	hash  [sha256.Size]byte
	seq   uint64 // as acknowledged; 0: not yet
	group int
}

// newEventLedger reads a source once.
func newEventLedger(s *eventSource) (l *eventLedger, err error) {
	in, err := s.read()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	l = &eventLedger{group: make(map[string]int)}
	for {
		e, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		l.events = append(l.events, ledgerEvent{hash: eventHash(e.subject, e.payload), group: l.groupOf(e.subject)})
		bytes := int64(len(e.subject) + len(e.payload))
		l.bytes, l.longest = l.bytes+bytes, max(l.longest, bytes)
	}
	if len(l.events) == 0 {
		return nil, usagef("%s holds no events", in.in.name)
	}
	return l, nil
}

// groupOf returns the group of a subject: those with the same first two tokens.
func (l *eventLedger) groupOf(subject string) int {
	filter := subject
	if tokens := strings.SplitN(subject, ".", 3); len(tokens) == 3 {
		filter = tokens[0] + "." + tokens[1] + ".>"
	}
	group, known := l.group[filter]
	if !known {
		group = len(l.groups)
		l.group[filter], l.groups = group, append(l.groups, filter)
	}
	return group
}

// ack notes an acknowledgement. An event has one sequence, however often it is
// published.
func (l *eventLedger) ack(number int, seq uint64) error {
	e := &l.events[number]
	if e.seq != 0 && e.seq != seq {
		return fmt.Errorf("event %d was acknowledged as sequence %d and as %d", number+1, e.seq, seq)
	}
	e.seq = seq
	return nil
}

// storedRecord is a record as a reader returned it.
type storedRecord struct {
	seq     uint64
	subject string
	header  map[string][]string
	payload []byte
}

// matches returns the event that a record is, whole, where it was acknowledged.
func (l *eventLedger) matches(r *storedRecord) (number int, err error) {
	ids := r.header[messageIDHeader]
	if len(ids) != 1 || len(r.header) != 1 {
		return 0, fmt.Errorf("sequence %d has other headers than were published: %v", r.seq, r.header)
	}
	number, err = eventNumber(ids[0])
	if err != nil || number < 0 || number >= len(l.events) {
		return 0, fmt.Errorf("sequence %d holds an event that nobody published: %q", r.seq, ids[0])
	}
	e := &l.events[number]
	switch {
	case e.hash != eventHash(r.subject, r.payload):
		return number, fmt.Errorf("sequence %d, event %d on %s, has other bytes than its source", r.seq, number+1, r.subject)
	case e.seq != 0 && e.seq != r.seq:
		return number, &misplacedError{number: number, acked: e.seq, found: r.seq}
	}
	return number, nil
}

// misplacedError is about an event at another sequence than its publisher was
// told.
type misplacedError struct {
	number       int
	acked, found uint64
}

func (e *misplacedError) Error() string {
	return fmt.Sprintf("event %d stands at sequence %d and was acknowledged as %d", e.number+1, e.found, e.acked)
}

// comparison counts over many passes what differs from the source. A record or
// event counts once, however many passes meet it.
type comparison struct {
	ledger     *eventLedger
	lost       map[int]bool
	invented   map[uint64]bool
	duplicates map[uint64]bool
	first      error // of the differences
}

func newComparison(l *eventLedger) *comparison {
	return &comparison{ledger: l, lost: make(map[int]bool), invented: make(map[uint64]bool), duplicates: make(map[uint64]bool)}
}

func (c *comparison) note(err error) {
	if c.first == nil {
		c.first = err
	}
}

// comparisonPass is one reading of events: each that is wanted has to come once,
// in the order of sequences, and nothing else.
type comparisonPass struct {
	*comparison
	name    string
	wanted  func(*ledgerEvent) bool
	seen    []bool
	last    uint64
	records uint64
}

// pass begins a reading.
func (c *comparison) pass(name string, wanted func(*ledgerEvent) bool) *comparisonPass {
	return &comparisonPass{comparison: c, name: name, wanted: wanted, seen: make([]bool, len(c.ledger.events))}
}

// all wants every event that was acknowledged.
func allEvents(*ledgerEvent) bool { return true }

// take compares a record.
func (p *comparisonPass) take(r *storedRecord) {
	p.records++
	ascending := r.seq > p.last
	p.last = max(p.last, r.seq)
	number, err := p.ledger.matches(r)
	var misplaced *misplacedError
	switch {
	case errors.As(err, &misplaced):
		p.duplicates[r.seq] = true
	case err == nil && p.seen[number]:
		err = fmt.Errorf("sequence %d: event %d came twice", r.seq, number+1)
		p.duplicates[r.seq] = true
	case err == nil && !ascending:
		err = fmt.Errorf("sequence %d came behind sequence %d", r.seq, p.last)
		p.invented[r.seq] = true
	case err == nil && !p.wanted(&p.ledger.events[number]):
		err = fmt.Errorf("sequence %d, event %d, was not asked for", r.seq, number+1)
		p.invented[r.seq] = true
	case err != nil:
		p.invented[r.seq] = true
	default:
		p.seen[number] = true
		return
	}
	p.note(fmt.Errorf("%s: %w", p.name, err))
}

// end notes what did not come.
func (p *comparisonPass) end() {
	for number := range p.seen {
		e := &p.ledger.events[number]
		if e.seq != 0 && !p.seen[number] && p.wanted(e) {
			p.lost[number] = true
			p.note(fmt.Errorf("%s: event %d, acknowledged as sequence %d, does not come", p.name, number+1, e.seq))
		}
	}
}
