package engine

import "bytes"

// Stored headers are `Key: value\r\n` lines with keys in byte order. This file
// walks and checks them without allocating.

var (
	headerSeparator = []byte(": ")
	lineBreak       = []byte("\r\n")
)

// EachHeader calls visit for every header line in stored order until visit
// returns false. The slices alias headers.
func EachHeader(headers []byte, visit func(key, value []byte) bool) {
	for len(headers) > 0 {
		key, value, rest, ok := cutHeader(headers)
		if !ok || !visit(key, value) {
			return
		}
		headers = rest
	}
}

// cutHeader splits the first line off.
func cutHeader(headers []byte) (key, value, rest []byte, ok bool) {
	end := bytes.Index(headers, lineBreak)
	if end < 0 {
		return nil, nil, nil, false
	}
	key, value, ok = bytes.Cut(headers[:end], headerSeparator)
	return key, value, headers[end+len(lineBreak):], ok
}

// findHeader is the first value of a key, without the blanks in front of it: they
// are stored, and no part of a message id.
func findHeader(headers []byte, key string) ([]byte, bool) {
	for len(headers) > 0 {
		k, value, rest, ok := cutHeader(headers)
		if !ok {
			return nil, false
		}
		if string(k) == key {
			return trimBlanks(value), true
		}
		headers = rest
	}
	return nil, false
}

// trimBlanks leaves out the blanks in front of a value, as NATS servers do; tabs are
// part of it.
func trimBlanks(value []byte) []byte { return bytes.TrimLeft(value, " ") }

func countHeaderLines(headers []byte) int { return bytes.Count(headers, lineBreak) }

// validateHeaders checks the stored form: complete lines, keys that are not
// empty, hold no ':' or line break and stand in byte order.
func validateHeaders(headers []byte) error {
	if len(headers) > headersBytesMax {
		return invalidRecord("headers are longer than 1 MiB")
	}
	var previous []byte
	for len(headers) > 0 {
		key, value, rest, ok := cutHeader(headers)
		switch {
		case !ok:
			return invalidRecord("a header line is not `Key: value` with CR LF")
		case len(key) == 0 || bytes.ContainsAny(key, ":\r\n") || len(bytes.TrimSpace(key)) != len(key):
			return invalidRecord("a header key is empty or holds a colon, a line break or blanks around it")
		case bytes.ContainsAny(value, "\r\n"):
			return invalidRecord("a header value holds a line break")
		case bytes.Compare(previous, key) > 0:
			return invalidRecord("header keys are not in byte order")
		}
		previous, headers = key, rest
	}
	return nil
}
