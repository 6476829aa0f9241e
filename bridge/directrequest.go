package bridge

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// directRequest is the body of a direct get, as ADR-31 has it.
type directRequest struct {
	Seq       uint64     `json:"seq"`
	LastFor   string     `json:"last_by_subj"`
	NextFor   string     `json:"next_by_subj"`
	Batch     int        `json:"batch"`
	BytesMax  int        `json:"max_bytes"`
	StartTime *time.Time `json:"start_time"`
	MultiLast []string   `json:"multi_last"`
	UpToSeq   uint64     `json:"up_to_seq"`
	UpToTime  *time.Time `json:"up_to_time"`
	NoHeaders bool       `json:"no_hdr"`
}

// Statuses of direct gets, those of the server where it has them.
const (
	statusFound           = "200 OK" // counted, never sent
	statusEndOfBatch      = "204 EOB"
	statusNotAvailable    = "400 multi_last is not available on a log: ask for each subject with last_by_subj"
	statusNotFound        = "404 Message Not Found"
	statusEmptyRequest    = "408 Empty Request"
	statusMalformed       = "408 Malformed Request"
	statusBadRequest      = "408 Bad Request"
	statusTimeout         = "408 Request Timeout: the search took too long; start nearer to what is looked for"
	statusAPILevel        = "412 Required Api Level"
	statusMessageTooLarge = "413 Message Too Large: it and its headers are over the server's max_payload"
)

// decodeDirectRequest reads a body in the order of the server's checks. The
// status is empty if there is nothing to complain of.
func decodeDirectRequest(header, body []byte, optional bool) (request directRequest, status string) {
	if refusesAPILevel(header) {
		return request, statusAPILevel
	}
	if len(body) == 0 {
		if !optional {
			status = statusEmptyRequest
		}
		return request, status
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return request, statusMalformed
	}
	return request, ""
}

// refusesAPILevel reports whether a request asks for a newer JetStream API than
// the one that these answers follow.
func refusesAPILevel(header []byte) bool {
	var block headerBlock
	if len(header) == 0 || !block.parse(header) {
		return false
	}
	for _, line := range block.lines {
		if string(line.key) == server.JSRequiredApiLevel {
			level, err := strconv.Atoi(strings.TrimLeft(string(line.value), " "))
			return err != nil || level > server.JSApiLevel
		}
	}
	return false
}

// check refuses what contradicts itself.
func (r *directRequest) check() (status string) {
	byPlace := r.Seq > 0 || r.StartTime != nil
	switch {
	case len(r.MultiLast) > 0:
		return statusNotAvailable
	case !byPlace && r.LastFor == "" && r.NextFor == "":
		return statusEmptyRequest
	case r.Seq > 0 && r.StartTime != nil,
		r.LastFor != "" && (byPlace || r.NextFor != "" || r.Batch > 0),
		r.UpToSeq > 0 && r.UpToTime != nil:
		return statusBadRequest
	}
	return ""
}

// namesAPlace reports whether a request says more than its subject may.
func (r *directRequest) namesAPlace() bool {
	return r.Seq > 0 || r.StartTime != nil || r.LastFor != "" || r.NextFor != "" || r.Batch != 0 ||
		len(r.MultiLast) > 0 || r.UpToSeq > 0 || r.UpToTime != nil
}
