package bridge

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

const (
	apiDirectGet = "direct_get"

	// directBytesMax bounds what one request delivers: there is no flow control
	// in a batch. Longer reads are what REPLAY is for.
	directBytesMax = 8 << 20
	// directTimeout bounds the search of one request.
	directTimeout = 5 * time.Second
)

func (s *readService) handleDirectGet(e *readEndpoint, m *wire.Message) {
	s.enqueue(apiDirectGet, e.log, "", m, (*readService).answerDirectGet)
}

func (s *readService) handleDirectGetLast(e *readEndpoint, m *wire.Message) {
	s.enqueue(apiDirectGet, e.log, string(m.Subject[len(e.base)+1:]), m, (*readService).answerDirectGetLast)
}

// answerDirectGet answers a request on DIRECT.GET.<log>.
func (s *readService) answerDirectGet(w *lineWriter, r *readRequest) string {
	request, status := decodeDirectRequest(r.header, r.body, false)
	if status == "" {
		status = request.check()
	}
	return s.answerDirect(w, r, &request, status)
}

// answerDirectGetLast answers a request on DIRECT.GET.<log>.<subject>.
func (s *readService) answerDirectGetLast(w *lineWriter, r *readRequest) string {
	request, status := decodeDirectRequest(r.header, r.body, true)
	if status == "" && request.namesAPlace() {
		status = statusBadRequest
	}
	request.LastFor = r.key
	return s.answerDirect(w, r, &request, status)
}

// answerDirect delivers what a request that is in order asks for.
func (s *readService) answerDirect(w *lineWriter, r *readRequest, request *directRequest, status string) string {
	if status != "" {
		w.status(status)
		w.publish(r.reply, nil, nil)
		return status
	}
	ctx, cancel := context.WithTimeout(s.ctx, directTimeout)
	defer cancel()
	d := directGet{service: s, w: w, r: r, request: request, bytesMax: directBytesMax}
	if request.BytesMax != 0 { // less than nothing ends behind the first, as in the server
		d.bytesMax = min(d.bytesMax, request.BytesMax)
	}
	status = statusOf(d.run(ctx))
	if status != statusFound && status != statusEndOfBatch {
		w.status(status)
		w.publish(r.reply, nil, nil)
	}
	return status
}

// directGet is one request being answered.
type directGet struct {
	service  *readService
	w        *lineWriter
	r        *readRequest
	request  *directRequest
	bytesMax int
	// take, if not nil, gets the record instead of the reader.
	take func(*engine.Record)

	sent    int
	bytes   int
	last    uint64 // sequence of the record that was sent last
	pending uint64 // records behind it, matching or not
}

var (
	errNoSuchMessage   = errors.New("bridge: no such message")
	errMessageTooLarge = errors.New("bridge: message is larger than the server takes")
	errEndOfBatch      = errors.New("bridge: end of batch") // carries that to statusOf
)

// statusOf is what a reader is told of how a request ended.
func statusOf(err error) string {
	switch {
	case err == nil:
		return statusFound
	case errors.Is(err, errEndOfBatch):
		return statusEndOfBatch
	case errors.Is(err, errNoSuchMessage), errors.Is(err, io.EOF), errors.Is(err, engine.ErrTrimmed), errors.Is(err, engine.ErrNotFound):
		return statusNotFound
	case errors.Is(err, errMessageTooLarge):
		return statusMessageTooLarge
	case errors.Is(err, context.DeadlineExceeded):
		return statusTimeout
	}
	return "500 " + err.Error()
}

func (d *directGet) run(ctx context.Context) error {
	if err := d.service.refresher.refresh(); err != nil {
		return err
	}
	if d.request.LastFor != "" && d.request.Batch >= 0 {
		return d.lastOfSubject(ctx)
	}
	options, ok := d.place()
	if !ok {
		return d.end(false)
	}
	reader, err := d.r.log.log.NewReader(options)
	if errors.Is(err, engine.ErrTrimmed) && options.ToSeq == 0 {
		reader, err = d.r.log.log.NewReader(engine.ReadOptions{}) // from the first that is kept
	}
	if err != nil {
		return err
	}
	return errors.Join(d.read(ctx, reader), reader.Close())
}

// place is where the reading begins. It reports false if nothing can be there.
func (d *directGet) place() (o engine.ReadOptions, ok bool) {
	switch at := d.request.StartTime; {
	case at != nil && engine.TimestampAt(*at) > 0:
		o.FromTime = engine.TimestampAt(*at)
	case d.request.Batch == 0 && d.request.NextFor == "" && at == nil:
		o.FromSeq, o.ToSeq = d.request.Seq, d.request.Seq
	default:
		o.FromSeq = d.request.Seq
	}
	return o, o.FromSeq <= d.r.log.log.Watermarks().Durable
}

// lastOfSubject delivers the last record of a subject.
func (d *directGet) lastOfSubject(ctx context.Context) error {
	log := d.r.log.log
	seq, found, err := log.SeqOfLast(ctx, 1, []string{d.request.LastFor})
	if err != nil {
		return err
	}
	if found == 0 {
		return errNoSuchMessage
	}
	reader, err := log.NewReader(engine.ReadOptions{FromSeq: seq, ToSeq: seq})
	if err != nil {
		return err
	}
	return errors.Join(d.read(ctx, reader), reader.Close())
}

// read delivers up to a batch of what the reader gives.
func (d *directGet) read(ctx context.Context, reader *engine.Reader) error {
	filter, isBatch := []byte(d.request.NextFor), d.request.Batch > 0
	for scanned := 1; ; scanned++ {
		if scanned%lookAtContextRecords == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rec, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			d.pending = 0
			return d.end(isBatch)
		}
		if err != nil {
			return err
		}
		if len(filter) > 0 && !engine.MatchSubject(filter, rec.Subject) {
			continue
		}
		if d.request.Batch < 0 {
			d.pending = d.r.log.log.Watermarks().Durable - rec.Seq + 1
			return d.end(isBatch)
		}
		if err := d.deliver(&rec, isBatch); err != nil {
			return err
		}
		if !isBatch {
			return nil
		}
		if d.sent >= d.request.Batch || d.bytes >= d.bytesMax {
			return d.end(isBatch)
		}
	}
}

// lookAtContextRecords is how many records are read between two looks at a
// context.
const lookAtContextRecords = 1024

func (d *directGet) deliver(rec *engine.Record, isBatch bool) error {
	if d.take != nil {
		d.take(rec)
		d.count(rec)
		return nil
	}
	w, marks := d.w, d.r.log.log.Watermarks()
	d.pending = marks.Durable - min(rec.Seq, marks.Durable)
	if d.request.NoHeaders {
		w.noHeader()
	} else {
		w.begin()
		if isBatch {
			w.addNumber(headerNumPending, d.pending)
			w.addNumber(headerLastSequence, d.last)
		}
		w.addRecord(d.r.log.name, rec)
	}
	if w.size(rec.Payload) > d.service.maxPayload() {
		return errMessageTooLarge
	}
	w.publish(d.r.reply, nil, rec.Payload)
	d.count(rec)
	if len(w.lines) >= readWriteBytes {
		return d.service.flush(w, d.r.generation)
	}
	return nil
}

// count notes that a record was delivered.
func (d *directGet) count(rec *engine.Record) {
	size := len(rec.Subject) + len(rec.Headers) + len(rec.Payload)
	d.last, d.sent, d.bytes = rec.Seq, d.sent+1, d.bytes+size
	d.r.log.metrics.records.Inc()
	d.r.log.metrics.bytes.Add(float64(size))
}

// end closes a batch. One that is empty is answered like a message that is not
// there, and one of less than no messages with what is pending, as the server does.
func (d *directGet) end(isBatch bool) error {
	if d.request.Batch >= 0 && (d.sent == 0 || !isBatch) {
		return errNoSuchMessage
	}
	d.w.status(statusEndOfBatch)
	d.w.addNumber(headerNumPending, d.pending)
	d.w.addNumber(headerLastSequence, d.last)
	d.w.publish(d.r.reply, nil, nil)
	return errEndOfBatch
}
