package command

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

// What JSON cannot show as text is there in base64, and two records that differ
// print differently, in the same way over NATS and from the files.
func TestRecordsThatAreNotUTF8CanBeToldApart(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	records := []engine.Record{
		{Subject: []byte("l.\xff\xfe"), Payload: []byte("one")},
		{Subject: []byte("l.\xfe\xff"), Payload: []byte("two")},
		{Subject: []byte("l.\xe2\x82"), Headers: []byte("A: \xff\r\nA:   lead\r\nB: \ttab\r\nB: \r\n\xfe: x\r\n\xff: y\r\n")},
		{Subject: []byte("l.é"), Headers: []byte("B: \t tab \r\nC:    \r\n")},
	}
	writeLog(t, root, "L", records)
	s := serve(t, "--root", root, "--log", "L=l.>")
	for _, format := range []string{formatNDJSON, formatText} {
		offline := succeed(t, "read", "L", "--root", root, "--format", format)
		if online := succeed(t, "read", "L", "-s", s.NATSURL, "--format", format); online != offline {
			t.Errorf("over NATS it prints\n%s\nand from the files\n%s", online, offline)
		}
	}
	text := succeed(t, "read", "L", "--root", root)
	for _, part := range []string{`l.\xff\xfe`, `l.\xfe\xff`, `A: \xff`, "B: tab\n", `\xfe: x`} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	var lines []jsonRecord
	for line := range strings.Lines(succeed(t, "read", "L", "--root", root, "--format", "ndjson")) {
		var r jsonRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, r)
	}
	for i := range 3 {
		if !slices.Equal(lines[i].SubjectBase64, records[i].Subject) || lines[i].Subject != "l.\ufffd\ufffd" {
			t.Errorf("line %d: %+v", i+1, lines[i])
		}
	}
	encoded := make(map[string][]string)
	for name, values := range map[string][]string{"A": {"\xff", "lead"}, "B": {"tab", ""}, "\xfe": {"x"}, "\xff": {"y"}} {
		for _, value := range values {
			key := base64.StdEncoding.EncodeToString([]byte(name))
			encoded[key] = append(encoded[key], base64.StdEncoding.EncodeToString([]byte(value)))
		}
	}
	for name, values := range encoded {
		if !slices.Equal(lines[2].HeadersBase64[name], values) {
			t.Errorf("header %s: %q", name, lines[2].HeadersBase64)
		}
	}
	if got := lines[2].Headers; !slices.Equal(got["\ufffd"], []string{"x", "y"}) || !slices.Equal(got["A"], []string{"\ufffd", "lead"}) {
		t.Errorf("headers as text: %q", got)
	}
	if r := lines[3]; r.SubjectBase64 != nil || r.HeadersBase64 != nil || !slices.Equal(r.Headers["B"], []string{"tab "}) || !slices.Equal(r.Headers["C"], []string{""}) {
		t.Errorf("what is UTF-8: %+v", r)
	}
}
