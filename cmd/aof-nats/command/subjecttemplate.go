package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// subjectTemplate makes a subject for each message: text, and fields of the
// message's JSON in braces, as in quakes.{properties.net}.{properties.magType}.
type subjectTemplate struct {
	text   []string   // one more than fields
	fields [][]string // paths
}

const (
	// missingToken stands for a field that is absent, null, or no plain value.
	missingToken = "_"
	// subjectBytesMax keeps protocol lines under what servers take.
	subjectBytesMax = 2048
)

// parseSubjectTemplate takes a template apart and checks that its subjects are
// ones that can be published on.
func parseSubjectTemplate(source string) (*subjectTemplate, error) {
	t := &subjectTemplate{}
	rest := source
	for {
		text, behind, found := strings.Cut(rest, "{")
		t.text = append(t.text, text)
		if !found {
			break
		}
		field, behind, found := strings.Cut(behind, "}")
		path := strings.Split(field, ".")
		for _, name := range path {
			if name == "" || !found || strings.Contains(field, "{") {
				return nil, usagef("subject %q: write a field as {name} or {name.inner}", source)
			}
		}
		t.fields = append(t.fields, path)
		rest = behind
	}
	if strings.Contains(strings.Join(t.text, ""), "}") {
		return nil, usagef("subject %q has a closing brace without an opening one", source)
	}
	if sample := t.join(func([]string) string { return missingToken }); !isPublishable(sample) {
		return nil, usagef("subject %q cannot be published on: tokens are separated by single dots, without blanks and wildcards", source)
	}
	return t, nil
}

// isPublishable reports whether a subject is well formed and literal.
func isPublishable(subject string) bool {
	if !isSubjectFilter(subject) || len(subject) > subjectBytesMax {
		return false
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "*" || token == ">" {
			return false
		}
	}
	return true
}

func (t *subjectTemplate) join(value func(path []string) string) string {
	if len(t.fields) == 0 {
		return t.text[0]
	}
	var b strings.Builder
	for i, path := range t.fields {
		b.WriteString(t.text[i])
		b.WriteString(value(path))
	}
	b.WriteString(t.text[len(t.fields)])
	return b.String()
}

// subject makes the subject of a message.
func (t *subjectTemplate) subject(message []byte) (string, error) {
	if len(t.fields) == 0 {
		return t.text[0], nil
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(message))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", fmt.Errorf("the message is no JSON, which the subject's fields come from: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return "", fmt.Errorf("the message has more than one JSON value, so the subject's fields are not clear")
	}
	subject := t.join(func(path []string) string { return tokenOf(value, path) })
	if len(subject) > subjectBytesMax {
		return "", fmt.Errorf("the subject is longer than %d bytes", subjectBytesMax)
	}
	return subject, nil
}

// tokenOf is a field as a part of one token.
func tokenOf(value any, path []string) string {
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return missingToken
		}
		value = object[name]
	}
	switch plain := value.(type) {
	case string:
		return sanitizeToken(plain)
	case json.Number:
		return sanitizeToken(plain.String())
	case bool:
		return fmt.Sprint(plain)
	}
	return missingToken
}

// sanitizeToken makes text a token that is never empty, never a wildcard, and
// that opens no subject space of the server's own.
func sanitizeToken(text string) string {
	token := strings.Map(func(r rune) rune {
		if r == '.' || r == '*' || r == '>' || r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, text)
	if token == "" {
		return missingToken
	}
	if token[0] == '$' {
		return "_" + token[1:]
	}
	return token
}
