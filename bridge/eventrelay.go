package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aof-nats/aof-nats/engine"
)

const (
	// relayQueueMax is how many events wait at most to be published.
	relayQueueMax = 4096
	// relayPerSecondMax is how many events of one log are published in a second.
	relayPerSecondMax = 20
	relayInterval     = time.Second
)

// EventRelay publishes events of an engine and of a bridge on NATS, under
// <prefix>.EVENT.ADVISORY. It exists before both: engine.Options.OnEvent gets its
// OnEngineEvent, bridge.Options.Events the relay. What comes before the bridge is
// connected is kept, within bounds. Whoever tells it something never waits: beyond
// a number of events a second and log, and beyond what may wait, events are
// counted, and the number is published when there is room.
type EventRelay struct {
	mu struct {
		sync.Mutex
		queue      []advisory
		suppressed map[string]uint64 // by log: not published and not yet told
		attached   bool
	}
	arrived chan struct{} // one pending signal
	dropped *prometheus.CounterVec
	sent    prometheus.Counter

	// Of the publishing goroutine.
	prefix  string
	publish func(subject string, body []byte) error
	logs    []string             // that events about the connection concern
	since   map[string]time.Time // when backpressure was entered, by log and kind
	counts  map[string]int       // published in this interval, by log
	ended   chan struct{}
	cancel  context.CancelFunc
}

// NewEventRelay makes a relay for one engine and one bridge at a time.
func NewEventRelay() *EventRelay {
	r := &EventRelay{
		arrived: make(chan struct{}, 1),
		dropped: counters("aof_bridge_events_dropped_total", "Events not published, by reason: rate (too many of a log in a second), queue (too many waited), publish (NATS did not take it), unknown (no subject for its kind).", "reason"),
		sent:    counter("aof_bridge_events_published_total", "Events published on NATS."),
		since:   make(map[string]time.Time), counts: make(map[string]int),
	}
	r.mu.suppressed = make(map[string]uint64)
	return r
}

// OnEngineEvent takes an event of the engine. It never waits.
func (r *EventRelay) OnEngineEvent(e engine.Event) { r.offer(advisoryOfEngine(&e)) }

// onBridgeEvent takes an event of the bridge.
func (r *EventRelay) onBridgeEvent(e Event) {
	if _, known := bridgeAdvisories[e.Kind]; known {
		r.offer(advisoryOfBridge(&e))
	}
}

func (r *EventRelay) offer(a advisory) {
	if a.where == "" {
		r.dropped.WithLabelValues("unknown").Inc()
		return
	}
	r.mu.Lock()
	full := len(r.mu.queue) >= relayQueueMax
	if full {
		r.mu.suppressed[a.Log]++
	} else {
		r.mu.queue = append(r.mu.queue, a)
	}
	r.mu.Unlock()
	if full {
		r.dropped.WithLabelValues("queue").Inc()
		return
	}
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// attach begins to publish.
func (r *EventRelay) attach(prefix string, logs []string, publish func(string, []byte) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.attached {
		return fmt.Errorf("%w: the relay of events is in use by another bridge", ErrOptions)
	}
	r.mu.attached = true
	r.prefix, r.logs, r.publish = prefix+".EVENT.ADVISORY.", logs, publish
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan struct{})
	go r.run(ctx, r.ended)
	return nil
}

// detach publishes what waits and ends. The channel is closed when that is done;
// forget must follow.
func (r *EventRelay) detach() <-chan struct{} {
	r.cancel()
	return r.ended
}

func (r *EventRelay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.attached = false
}

// run publishes until ctx ends, and then what waits still.
func (r *EventRelay) run(ctx context.Context, ended chan struct{}) {
	defer close(ended)
	interval := time.NewTimer(relayInterval) // runs only while there is something to count
	interval.Stop()
	defer interval.Stop()
	counting := false
	for {
		select {
		case <-r.arrived:
			r.publishAll()
			if !counting {
				counting = true
				interval.Reset(relayInterval)
			}
		case <-interval.C:
			counting = false
			clear(r.counts)
			r.tellSuppressed()
		case <-ctx.Done():
			r.publishAll()
			r.tellSuppressed()
			return
		}
	}
}

func (r *EventRelay) publishAll() {
	r.mu.Lock()
	queue := r.mu.queue
	r.mu.queue = nil
	r.mu.Unlock()
	for i := range queue {
		if a := &queue[i]; a.Log != "" {
			r.publishOne(a)
			continue
		}
		for _, log := range r.logs { // it concerns all of them
			each := queue[i]
			each.Log = log
			r.publishOne(&each)
		}
	}
}

// publishOne publishes an advisory, unless its log has had its share.
func (r *EventRelay) publishOne(a *advisory) {
	r.noteSince(a)
	if r.counts[a.Log] >= relayPerSecondMax {
		r.dropped.WithLabelValues("rate").Inc()
		r.suppress(a.Log, 1)
		return
	}
	r.counts[a.Log]++
	if !r.send(a) {
		r.suppress(a.Log, 1)
	}
}

// send publishes an advisory and reports whether NATS took it.
func (r *EventRelay) send(a *advisory) bool {
	a.identify()
	body, err := json.Marshal(a)
	if err == nil {
		err = r.publish(r.prefix+a.where+"."+a.Log, body)
	}
	if err != nil {
		r.dropped.WithLabelValues("publish").Inc()
		return false
	}
	r.sent.Inc()
	return true
}

func (r *EventRelay) suppress(log string, count uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.suppressed[log] += count
}

// tellSuppressed publishes how many events of each log were not.
func (r *EventRelay) tellSuppressed() {
	r.mu.Lock()
	suppressed := r.mu.suppressed
	if len(suppressed) > 0 {
		r.mu.suppressed = make(map[string]uint64)
	}
	r.mu.Unlock()
	for log, count := range suppressed {
		if log == "" {
			continue // about the connection: the logs' own numbers say enough
		}
		a := advisoryOfBridge(&Event{Kind: eventEventsSuppressed, Log: log, Count: count, Time: time.Now()})
		r.counts[log]++
		if !r.send(&a) {
			r.suppress(log, count)
		}
	}
}

// noteSince adds since when backpressure is on, and forgets it when it is
// cleared.
func (r *EventRelay) noteSince(a *advisory) {
	if a.Backpressure == "" {
		return
	}
	key := a.Log + "." + a.Backpressure
	since, on := r.since[key]
	if !on {
		since = a.Timestamp
		r.since[key] = since
	}
	a.Since = &since
	if a.Type == advisoryTypeStem+string(engine.EventBackpressureCleared) {
		delete(r.since, key)
	}
}
