package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
	"github.com/aof-nats/aof-nats/engine"
)

// This file answers STREAM.MSG.GET, the older way to get one message of a stream,
// which the nats command uses: the message comes as JSON.

const apiMsgGet = "msg_get"

func (s *readService) handleMsgGet(e *readEndpoint, m *wire.Message) {
	s.enqueue(apiMsgGet, e.log, "", m, (*readService).answerMsgGet)
}

// answerMsgGet answers a request on STREAM.MSG.GET.<log>.
func (s *readService) answerMsgGet(w *lineWriter, r *readRequest) string {
	response := server.JSApiMsgGetResponse{ApiResponse: server.ApiResponse{Type: server.JSApiMsgGetResponseType}}
	status := statusFound
	request, refused := decodeMsgRequest(r.header, r.body)
	if refused != nil {
		response.Error, status = refused, statusBadRequest
	} else if err := s.findMessage(r, &request, &response); err != nil {
		status = statusOf(err)
		response.Error = msgGetError(status, err)
	}
	body, err := json.Marshal(response)
	if err == nil && int64(len(body)) > s.maxPayload() {
		status, response.Message = statusMessageTooLarge, nil
		response.Error = msgGetError(status, errMessageTooLarge)
		body, err = json.Marshal(response)
	}
	if err != nil { // nothing in it fails to encode
		s.options.Logger.Error("cannot encode a message", "log", r.log.name, "error", err)
		return status
	}
	w.noHeader()
	w.publish(r.reply, nil, body)
	return status
}

// findMessage puts the message that is asked for into the response.
func (s *readService) findMessage(r *readRequest, request *directRequest, response *server.JSApiMsgGetResponse) error {
	ctx, cancel := context.WithTimeout(s.ctx, directTimeout)
	defer cancel()
	d := directGet{service: s, r: r, request: request, take: func(rec *engine.Record) {
		response.Message = storedMessage(rec, request.NoHeaders)
	}}
	return d.run(ctx)
}

// storedMessage copies a record.
func storedMessage(rec *engine.Record, noHeaders bool) *server.StoredMsg {
	message := &server.StoredMsg{
		Subject: string(rec.Subject), Sequence: rec.Seq, Data: bytes.Clone(rec.Payload), Time: time.Unix(0, rec.Timestamp).UTC(),
	}
	if len(rec.Headers) > 0 && !noHeaders {
		header := append([]byte(headerVersion), lineBreak...)
		message.Header = append(append(header, rec.Headers...), lineBreak...)
	}
	return message
}

// decodeMsgRequest reads a body in the order of the server's checks.
func decodeMsgRequest(header, body []byte) (request directRequest, refused *server.ApiError) {
	if refusesAPILevel(header) {
		return request, server.ApiErrors[server.JSRequiredApiLevelErr]
	}
	if len(body) == 0 {
		return request, server.ApiErrors[server.JSBadRequestErr]
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	for { // of several objects the last one counts for each member
		err := decoder.Decode(&request)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return request, server.NewJSInvalidJSONError(err)
		}
	}
	// No batches here, and what only they know is not looked at.
	if request.Batch > 0 || request.BytesMax > 0 {
		return request, server.ApiErrors[server.JSBadRequestErr]
	}
	request.Batch, request.BytesMax, request.MultiLast, request.UpToSeq = 0, 0, nil, 0
	if request.check() != "" {
		return request, server.ApiErrors[server.JSBadRequestErr]
	}
	return request, nil
}

// msgGetError is a status with the server's code where it has one.
func msgGetError(status string, err error) *server.ApiError {
	switch {
	case status == statusNotFound:
		return server.ApiErrors[server.JSNoMessageFoundErr]
	case status == statusMessageTooLarge:
		return &server.ApiError{Code: 413, ErrCode: uint16(server.JSStreamMessageExceedsMaximumErr), Description: "message is larger as JSON than the server takes: use a direct get"}
	case errors.Is(err, context.DeadlineExceeded):
		return &server.ApiError{Code: 408, ErrCode: codeStoreFailed, Description: "the search took too long: start nearer to what is looked for"}
	}
	return &server.ApiError{Code: 500, ErrCode: codeStoreFailed, Description: err.Error()}
}
