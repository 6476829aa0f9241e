package bridge

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

const (
	// readWorkers answer requests for single messages and batches.
	readWorkers = 4
	// readRequestsMax is how many requests may wait for them.
	readRequestsMax = 256
	// readRequestBytesMax bounds the headers and body of a request.
	readRequestBytesMax = 64 << 10
	// readWriteBytes is how much is gathered before it is written.
	readWriteBytes = 64 << 10
	// readDrainTimeout bounds how long a stopping bridge waits for readers.
	readDrainTimeout = 2 * time.Second
)

// readService answers those who read logs over NATS. It has a connection of its
// own, so that no reader can hold up what is stored or acknowledged.
type readService struct {
	options    *Options
	policy     *publishPolicy
	metrics    *readMetrics
	maxPayload func() int64
	conn       *wire.Conn
	logs       []*readLog
	bySID      []readEndpoint // index: subscription number
	requests   chan readRequest
	replays    replayTable
	complaints complaintList
	refresher  refresher

	ctx    context.Context // ends with the service
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup
	closed atomic.Bool // nothing new is begun
}

// readLog is a log that can be read.
type readLog struct {
	name     string
	log      *engine.Log
	subjects []string // that it captures; none: it is only read
	config   LogConfig
	metrics  *readLogMetrics
}

// readEndpoint is what one subscription serves.
type readEndpoint struct {
	log    *readLog
	base   string // the subject without what a wildcard stands for
	handle func(s *readService, e *readEndpoint, m *wire.Message)
}

// readRequest is a request that waits for a worker. It owns its memory.
type readRequest struct {
	log        *readLog
	key        string // the subject behind the log's name, if there is one
	reply      []byte
	header     []byte
	body       []byte
	generation uint64
	answer     func(s *readService, w *lineWriter, r *readRequest) (status string)
	api        string
}

// startReadService subscribes on a connection of its own. When it fails, it has
// left nothing behind.
func startReadService(ctx context.Context, natsOptions nats.Options, logs []*readLog, policy *publishPolicy, o *Options, maxPayload func() int64, metrics *readMetrics) (*readService, error) {
	s := &readService{
		options: o, policy: policy, metrics: metrics, maxPayload: maxPayload, logs: logs,
		requests: make(chan readRequest, readRequestsMax),
	}
	s.replays.max, s.replays.windows = o.ReplaysMax, newReplayWindows(o)
	s.refresher.engine = o.Engine
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if err := s.connect(ctx, natsOptions); err != nil {
		s.stop()
		return nil, err
	}
	for range readWorkers {
		s.tasks.Go(s.work)
	}
	return s, nil
}

func (s *readService) connect(ctx context.Context, natsOptions nats.Options) error {
	natsOptions.Name = readConnectionName
	conn, err := wire.New(wire.Options{NATS: natsOptions, Handler: s, Perishable: true, Logger: s.options.Logger})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	s.conn = conn
	s.bySID = make([]readEndpoint, 1) // subscriptions count from 1
	for _, l := range s.logs {
		s.subscribe(l)
	}
	if err := conn.Connect(ctx); err != nil {
		return fmt.Errorf("connect for reading to NATS: %w", err)
	}
	if err := conn.Barrier(ctx); err != nil {
		return fmt.Errorf("subscribe for reading: %w", err)
	}
	if complaints := s.complaints.get(); len(complaints) > 0 {
		return fmt.Errorf("subscribe for reading: the server refuses: %s; let the bridge subscribe to %s.API.>", strings.Join(complaints, "; "), s.options.Prefix)
	}
	return nil
}

// subscribe asks for the requests about one log. Each log has subjects of its
// own, so that a reader of a log that is nowhere learns at once that nobody
// listens.
func (s *readService) subscribe(l *readLog) {
	api := s.options.Prefix + ".API."
	for _, endpoint := range []struct {
		subject, rest string
		handle        func(*readService, *readEndpoint, *wire.Message)
	}{
		{"DIRECT.GET." + l.name, "", (*readService).handleDirectGet},
		{"DIRECT.GET." + l.name, ".>", (*readService).handleDirectGetLast},
		{"STREAM.INFO." + l.name, "", (*readService).handleStreamInfo},
		{"STREAM.MSG.GET." + l.name, "", (*readService).handleMsgGet},
		{"REPLAY." + l.name, "", (*readService).handleReplay},
		{"REPLAY." + l.name, ".FLOW.*.*", (*readService).handleFlow},
	} {
		s.conn.Subscribe(api + endpoint.subject + endpoint.rest)
		s.bySID = append(s.bySID, readEndpoint{log: l, base: api + endpoint.subject, handle: endpoint.handle})
	}
}

// HandleMessage hands a request on. It does no work that takes time.
func (s *readService) HandleMessage(m *wire.Message) {
	if int(m.SID) >= len(s.bySID) || s.bySID[m.SID].handle == nil || s.closed.Load() {
		return
	}
	e := &s.bySID[m.SID]
	e.handle(s, e, m)
}

// HandleBatchEnd does nothing: requests are handed on one by one.
func (s *readService) HandleBatchEnd() {}

// HandleConnected notes that readers are served.
func (s *readService) HandleConnected(url string) {
	s.options.Logger.Info("serving readers", "server", url)
}

// HandleDisconnected ends all replays: what their readers got is a prefix, and
// they go on from there once the connection is made again.
func (s *readService) HandleDisconnected(error) {
	s.complaints.clear()
	s.replays.stopAll(errConnectionLost)
}

// HandleServerError notes what the server refused.
func (s *readService) HandleServerError(err *wire.ServerError) {
	s.options.Logger.Warn("the server complains about a reader's connection", "error", err)
	if strings.HasPrefix(err.Text, "Permissions Violation for Publish") {
		s.metrics.forbidden.Inc()
		return
	}
	s.complaints.add(err.Text)
}

// mayAnswer judges the reply subject of a request. Without one there is nobody
// to answer.
func (s *readService) mayAnswer(l *readLog, reply []byte, allowed func([]byte) bool) bool {
	if len(reply) == 0 {
		return false
	}
	if allowed(reply) {
		return true
	}
	l.metrics.refusedReplies.Inc()
	s.options.emit(Event{Kind: EventReplyRefused, Log: l.name, Subject: string(reply), Count: 1})
	return false
}

// enqueue hands a request to the workers, or tells the reader that there are too
// many.
func (s *readService) enqueue(api string, l *readLog, key string, m *wire.Message, answer func(*readService, *lineWriter, *readRequest) string) {
	if !s.mayAnswer(l, m.Reply, s.policy.mayPublish) {
		return
	}
	r := readRequest{
		log: l, key: key, reply: append([]byte(nil), m.Reply...), generation: s.conn.Generation(), answer: answer, api: api,
	}
	if len(m.Header)+len(m.Payload) > readRequestBytesMax {
		s.refuseAtOnce(&r, "408 Request Too Large")
		return
	}
	r.header, r.body = append([]byte(nil), m.Header...), append([]byte(nil), m.Payload...)
	select {
	case s.requests <- r:
	default:
		s.refuseAtOnce(&r, "429 Too Many Requests")
	}
}

// refuseAtOnce answers from the reading goroutine, which may not wait.
func (s *readService) refuseAtOnce(r *readRequest, status string) {
	var w lineWriter
	w.status(status)
	w.publish(r.reply, nil, nil)
	s.metrics.count(r.log, r.api, status)
	if !s.conn.Offer(w.lines) {
		s.metrics.dropped.Inc()
	}
}

// work answers requests until the service ends.
func (s *readService) work() {
	var w lineWriter
	for {
		select {
		case <-s.ctx.Done():
			return
		case r := <-s.requests:
			w.reset()
			s.metrics.count(r.log, r.api, r.answer(s, &w, &r))
			_ = s.flush(&w, r.generation) // fails with the connection: the reader asks again
		}
	}
}

// flush writes what was gathered. It fails only when the connection that it
// belongs to is gone: then the reader asks again.
func (s *readService) flush(w *lineWriter, generation uint64) error {
	if len(w.lines) == 0 {
		return nil
	}
	err := s.conn.WriteTo(generation, w.lines)
	w.reset()
	if cap(w.lines) > 4*readWriteBytes {
		w.lines = nil // a large message: not kept
	}
	return err
}

// refuseNew ends the taking of requests and tells every replay's reader that
// the bridge stops.
func (s *readService) refuseNew() {
	s.closed.Store(true)
	s.replays.stopAll(errBridgeStopping)
}

// drain waits until every replay has told its reader, but not for long: those
// who wait for acknowledgements come first.
func (s *readService) drain(ctx context.Context) {
	s.refuseNew()
	ctx, cancel := context.WithTimeout(ctx, readDrainTimeout)
	defer cancel()
	err := s.replays.wait(ctx)
	if err == nil {
		err = s.conn.Barrier(ctx)
	}
	if err != nil {
		s.options.Logger.Warn("readers could not all be told that the bridge stops", "error", err)
	}
}

// stop ends everything at once and waits for it.
func (s *readService) stop() {
	s.refuseNew()
	s.cancel(errBridgeStopping)
	if s.conn != nil {
		s.conn.Close() // releases who waits to write
	}
	s.tasks.Wait()
	s.replays.running.Wait()
}
