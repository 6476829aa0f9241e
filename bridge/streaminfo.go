package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

const (
	apiStreamInfo = "stream_info"
	// metadataLogID is under which name the info of a log tells its id.
	metadataLogID = "aof_nats.log_id"
	unlimited     = -1
)

func (s *readService) handleStreamInfo(e *readEndpoint, m *wire.Message) {
	s.enqueue(apiStreamInfo, e.log, "", m, (*readService).answerStreamInfo)
}

// answerStreamInfo describes a log as a stream, so that clients that read
// streams find what they ask for.
func (s *readService) answerStreamInfo(w *lineWriter, r *readRequest) string {
	response := server.JSApiStreamInfoResponse{ApiResponse: server.ApiResponse{Type: server.JSApiStreamInfoResponseType}}
	status := statusFound
	info, err := s.streamInfo(r.log)
	if err != nil {
		status = "500 " + err.Error()
		response.Error = &server.ApiError{Code: 500, ErrCode: 10077, Description: err.Error()}
	} else {
		response.StreamInfo = info
	}
	body, err := json.Marshal(response)
	if err != nil { // nothing in it fails to encode
		s.options.Logger.Error("cannot encode stream info", "log", r.log.name, "error", err)
		return status
	}
	w.noHeader()
	w.publish(r.reply, nil, body)
	return status
}

func (s *readService) streamInfo(l *readLog) (*server.StreamInfo, error) {
	if err := s.refresher.refresh(); err != nil {
		return nil, err
	}
	state := l.log.State()
	streamState, err := streamStateOf(s.ctx, l.log, &state)
	if err != nil {
		return nil, fmt.Errorf("read the ends of log %s: %w", l.name, err)
	}
	return &server.StreamInfo{
		Created: time.Unix(0, state.Created).UTC(), TimeStamp: time.Now().UTC(), Domain: s.options.Domain,
		Config: l.streamConfig(&state), State: streamState,
	}, nil
}

// streamConfig is the configuration of a stream that behaves as the log does: it
// discards nothing, and nothing can be deleted from it. A log that is only read
// is sealed.
func (l *readLog) streamConfig(state *engine.State) server.StreamConfig {
	config := server.StreamConfig{
		Name: l.name, Description: "log of an aof-nats bridge", Subjects: l.subjects,
		Retention: server.LimitsPolicy, Discard: server.DiscardNew, Storage: server.FileStorage, Replicas: 1,
		MaxConsumers: unlimited, MaxMsgs: unlimited, MaxBytes: unlimited, MaxMsgsPer: unlimited, MaxMsgSize: unlimited,
		Duplicates: state.DedupWindow, AllowDirect: true, DenyDelete: true, DenyPurge: true, Sealed: len(l.subjects) == 0,
		Metadata: map[string]string{metadataLogID: fmt.Sprintf("%016x", state.ID)},
	}
	if limit := l.config.MessageBytesMax; limit > 0 && limit <= 1<<30 {
		config.MaxMsgSize = int32(limit)
	}
	return config
}

// streamStateOf tells what the log holds that is durable.
func streamStateOf(ctx context.Context, log *engine.Log, state *engine.State) (s server.StreamState, err error) {
	s.FirstSeq, s.LastSeq = state.FirstSeq, state.Watermarks.Durable
	for _, segment := range state.Segments {
		s.Bytes += uint64(segment.Bytes)
	}
	if s.LastSeq < s.FirstSeq {
		return s, nil
	}
	s.Msgs = s.LastSeq - s.FirstSeq + 1
	if s.FirstTime, err = timeOf(ctx, log, s.FirstSeq); err != nil {
		return s, err
	}
	s.LastTime, err = timeOf(ctx, log, s.LastSeq)
	return s, err
}

// timeOf is the time of a record, or of the next one that is not damaged; zero
// if there is none.
func timeOf(ctx context.Context, log *engine.Log, seq uint64) (at time.Time, err error) {
	reader, err := log.NewReader(engine.ReadOptions{FromSeq: seq, SkipDamaged: func(*engine.DamageError) {}})
	if errors.Is(err, engine.ErrTrimmed) {
		return at, nil // meanwhile
	}
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	rec, err := reader.Next(ctx)
	if errors.Is(err, io.EOF) {
		return at, nil
	}
	return rec.Time(), err
}
