package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aof-nats/aof-nats/engine"
)

// recordWriter prints records in one format.
type recordWriter interface {
	// write prints a record, which is borrowed for the call.
	write(rec *engine.Record) error
}

// formats are the names that --format takes.
const (
	formatText   = "text"
	formatNDJSON = "ndjson"
	formatRaw    = "raw"
)

func newRecordWriter(out *bufio.Writer, format, delimiter string) (recordWriter, error) {
	switch format {
	case formatText:
		return &textRecords{out: out}, nil
	case formatNDJSON:
		return newJSONRecords(out), nil
	case formatRaw:
		return &rawRecords{out: out, delimiter: delimiter}, nil
	}
	return nil, usagef("--format %q: use text, ndjson or raw", format)
}

// jsonRecord is one line of the ndjson format. Data is the payload, or
// DataBase64 where that is not UTF-8.
type jsonRecord struct {
	Seq        uint64              `json:"seq"`
	Time       string              `json:"time"`
	Subject    string              `json:"subject"`
	ExtID      uint64              `json:"ext_id"`
	Headers    map[string][]string `json:"headers"`
	Data       *string             `json:"data,omitempty"`
	DataBase64 []byte              `json:"data_base64,omitempty"`
}

type jsonRecords struct{ encoder *json.Encoder }

func newJSONRecords(out io.Writer) *jsonRecords {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &jsonRecords{encoder: encoder}
}

func (j *jsonRecords) write(rec *engine.Record) error {
	line := jsonRecord{
		Seq: rec.Seq, Time: rec.Time().Format(time.RFC3339Nano), Subject: string(rec.Subject),
		ExtID: rec.ExtID, Headers: headersOf(rec),
	}
	if utf8.Valid(rec.Payload) {
		data := string(rec.Payload)
		line.Data = &data
	} else {
		line.DataBase64 = rec.Payload
	}
	return j.encoder.Encode(line)
}

func headersOf(rec *engine.Record) map[string][]string {
	headers := make(map[string][]string)
	engine.EachHeader(rec.Headers, func(key, value []byte) bool {
		headers[string(key)] = append(headers[string(key)], string(value))
		return true
	})
	return headers
}

// rawRecords prints payloads, byte for byte, with the delimiter behind each.
type rawRecords struct {
	out       *bufio.Writer
	delimiter string
}

func (r *rawRecords) write(rec *engine.Record) error {
	if _, err := r.out.Write(rec.Payload); err != nil {
		return err
	}
	_, err := r.out.WriteString(r.delimiter)
	return err
}

// textRecords prints for people: a line of facts, one for each header, the
// payload, and an empty line. What could move a terminal's cursor is escaped.
type textRecords struct{ out *bufio.Writer }

func (t *textRecords) write(rec *engine.Record) error {
	fmt.Fprintf(t.out, "[%d] %s  %s", rec.Seq, rec.Time().Format(time.RFC3339Nano), printable(string(rec.Subject)))
	if rec.ExtID != 0 {
		fmt.Fprintf(t.out, "  ext_id=%d", rec.ExtID)
	}
	fmt.Fprintln(t.out)
	engine.EachHeader(rec.Headers, func(key, value []byte) bool {
		fmt.Fprintf(t.out, "%s: %s\n", printable(string(key)), printable(string(value)))
		return true
	})
	if utf8.Valid(rec.Payload) {
		fmt.Fprintf(t.out, "%s\n\n", printable(string(rec.Payload)))
	} else {
		fmt.Fprintf(t.out, "(%s that are not UTF-8)\n\n", plural(len(rec.Payload), "byte"))
	}
	_, err := t.out.Write(nil) // the first error of all of them
	return err
}

// printable escapes control characters, line breaks and tabs excepted.
func printable(text string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
