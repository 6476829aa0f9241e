package command

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// builtinEvents are what the demo publishes unless --events names a file;
// demodata/README.md says where they are from.
//
//go:embed demodata/earthquakes.ndjson
var builtinEvents []byte

const (
	builtinName     = "earthquakes.ndjson"
	quakesSubject   = "quakes.{properties.net}.{properties.magType}"
	subjectOfEvents = "events.all"
	// demoLineBytesMax is under what the embedded server takes as one message.
	demoLineBytesMax = 1<<20 - 64<<10
	messageIDHeader  = "Nats-Msg-Id"
	messageIDPrefix  = "event-"
)

// eventSource is where the events come from. It can be read any number of
// times, a line at a time.
type eventSource struct {
	path     string // "": those in the program
	template *subjectTemplate
}

// open begins to read it.
func (s *eventSource) open() (*lines, error) {
	if s.path == "" {
		return newLines(bytes.NewReader(builtinEvents), builtinName, demoLineBytesMax), nil
	}
	file, err := os.Open(s.path)
	if err != nil {
		return nil, missingFile(err)
	}
	opened := newLines(file, s.path, demoLineBytesMax)
	opened.closer = file
	return opened, nil
}

// newEventSource takes the template that was given, or the one that fits.
func newEventSource(path, subject string) (*eventSource, error) {
	s := &eventSource{path: path}
	if subject == "" {
		fitting, err := s.fittingSubject()
		if err != nil {
			return nil, err
		}
		subject = fitting
	}
	template, err := parseSubjectTemplate(subject)
	if err != nil {
		return nil, err
	}
	if len(template.fields) > 0 && !strings.Contains(template.text[0], ".") {
		return nil, usagef("--subject %q: begin with a token of plain text, as in events.{kind}: the log stores what is below it", subject)
	}
	s.template = template
	return s, nil
}

// fittingSubject looks at the first event.
func (s *eventSource) fittingSubject() (subject string, err error) {
	in, err := s.open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	first, err := in.next()
	if errors.Is(err, io.EOF) {
		return "", usagef("%s holds no events", in.name)
	}
	if err != nil {
		return "", err
	}
	var quake struct {
		Properties struct{ Net, MagType string }
	}
	if json.Unmarshal(first.data, &quake) == nil && quake.Properties.Net != "" && quake.Properties.MagType != "" {
		return quakesSubject, nil
	}
	return subjectOfEvents, nil
}

// captured is the subject that a log needs to store all events.
func (s *eventSource) captured() string {
	if first, _, more := strings.Cut(s.template.text[0], "."); more {
		return first + ".>"
	}
	return s.template.text[0]
}

// event is one line.
type event struct {
	number  int // from 0
	subject string
	payload []byte
	origin  string
}

// eventReader reads a source.
type eventReader struct {
	source *eventSource
	in     *lines
	count  int
}

func (s *eventSource) read() (*eventReader, error) {
	in, err := s.open()
	return &eventReader{source: s, in: in}, err
}

// next returns the next event, then io.EOF.
func (r *eventReader) next() (event, error) {
	line, err := r.in.next()
	if err != nil {
		return event{}, err
	}
	subject, err := r.source.template.subject(line.data)
	if err != nil {
		return event{}, usagef("%s: %w", line.origin, err)
	}
	e := event{number: r.count, subject: subject, payload: line.data, origin: line.origin}
	r.count++
	return e, nil
}

func (r *eventReader) close() error { return r.in.close() }

// messageID is what tells an event that is published again from a new one.
func messageID(number int) string { return messageIDPrefix + strconv.Itoa(number) }

// eventNumber reads a message id.
func eventNumber(id string) (int, error) {
	digits, ok := strings.CutPrefix(id, messageIDPrefix)
	number, err := strconv.Atoi(digits)
	if !ok || err != nil || messageID(number) != id {
		return 0, fmt.Errorf("%q is no id of an event", id)
	}
	return number, nil
}

// eventHash is what is kept of an event: equal for equal subject and bytes.
func eventHash(subject string, payload []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	_, _ = io.WriteString(h, subject+"\x00") // never fails; no subject holds a zero
	_, _ = h.Write(payload)
	h.Sum(sum[:0])
	return sum
}
