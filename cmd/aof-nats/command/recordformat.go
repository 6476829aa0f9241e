package command

import (
	"bufio"
	"bytes"
	"encoding/base64"
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
// DataBase64 where that is not UTF-8. Of a subject or of headers that are not, JSON
// can show no more than where the bytes are: SubjectBase64 and HeadersBase64, which
// is like Headers with every name and value encoded, have them all.
type jsonRecord struct {
	Seq           uint64              `json:"seq"`
	Time          string              `json:"time"`
	Subject       string              `json:"subject"`
	SubjectBase64 []byte              `json:"subject_base64,omitempty"`
	ExtID         uint64              `json:"ext_id"`
	Headers       map[string][]string `json:"headers"`
	HeadersBase64 map[string][]string `json:"headers_base64,omitempty"`
	Data          *string             `json:"data,omitempty"`
	DataBase64    []byte              `json:"data_base64,omitempty"`
}

type jsonRecords struct{ encoder *json.Encoder }

func newJSONRecords(out io.Writer) *jsonRecords {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &jsonRecords{encoder: encoder}
}

func (j *jsonRecords) write(rec *engine.Record) error {
	line := jsonRecord{Seq: rec.Seq, Time: rec.Time().Format(time.RFC3339Nano), Subject: asText(rec.Subject), ExtID: rec.ExtID}
	if !utf8.Valid(rec.Subject) {
		line.SubjectBase64 = rec.Subject
	}
	line.Headers = headersOf(rec)
	if !utf8.Valid(rec.Headers) {
		line.HeadersBase64 = encodedHeadersOf(rec)
	}
	if utf8.Valid(rec.Payload) {
		data := string(rec.Payload)
		line.Data = &data
	} else {
		line.DataBase64 = rec.Payload
	}
	return j.encoder.Encode(line)
}

// asText is UTF-8 with U+FFFD for each byte that is none.
func asText(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	return string([]rune(string(raw)))
}

// headersOf are the headers as text; names that are the same then have their
// values together.
func headersOf(rec *engine.Record) map[string][]string {
	headers := make(map[string][]string)
	eachHeader(rec, func(key, value []byte) {
		name := asText(key)
		headers[name] = append(headers[name], asText(value))
	})
	return headers
}

func encodedHeadersOf(rec *engine.Record) map[string][]string {
	headers := make(map[string][]string)
	encode := base64.StdEncoding.EncodeToString
	eachHeader(rec, func(key, value []byte) { headers[encode(key)] = append(headers[encode(key)], encode(value)) })
	return headers
}

// eachHeader visits the headers as NATS clients show them: without blanks and tabs
// in front of a value. A client that reads over NATS gets no more.
func eachHeader(rec *engine.Record, visit func(key, value []byte)) {
	engine.EachHeader(rec.Headers, func(key, value []byte) bool {
		visit(key, bytes.TrimLeft(value, " \t"))
		return true
	})
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
	eachHeader(rec, func(key, value []byte) {
		fmt.Fprintf(t.out, "%s: %s\n", printable(string(key)), printable(string(value)))
	})
	if utf8.Valid(rec.Payload) {
		fmt.Fprintf(t.out, "%s\n\n", printable(string(rec.Payload)))
	} else {
		fmt.Fprintf(t.out, "(%s that are not UTF-8)\n\n", plural(len(rec.Payload), "byte"))
	}
	_, err := t.out.Write(nil) // the first error of all of them
	return err
}

// printable escapes control characters, line breaks and tabs excepted, and bytes
// that are not UTF-8.
func printable(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, isHidden) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case isHidden(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

func isHidden(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
