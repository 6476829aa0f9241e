package bridge

import (
	"bytes"
	"slices"
)

// headerLine is one line of a header block; the slices borrow from the message.
type headerLine struct {
	key, value []byte
}

// headerBlock takes a message's header block apart and puts it into the form
// that logs store: `Key: value` lines with the keys in byte order. It is reused
// from message to message and allocates only to grow.
type headerBlock struct {
	lines   []headerLine
	stored  []byte // in the stored form; borrows from the message if that is in it already
	scratch []byte
	control controlHeaders
	wire    int // bytes of the block as JetStream counts them
}

const (
	headerVersion   = "NATS/1.0"
	lineBreak       = "\r\n"
	headerSeparator = ": "
)

// parse takes block apart. It reports false if the block is malformed: no
// version line, a line without colon, a key that is empty or has blanks around
// it, a CR or LF inside a line, no blank line at the end. Everything that it
// keeps borrows from block.
func (h *headerBlock) parse(block []byte) bool {
	h.lines, h.stored, h.wire = h.lines[:0], nil, 0
	if h.control.any { // clearing it costs more than reading most blocks
		h.control = controlHeaders{}
	}
	if len(block) == 0 {
		return true
	}
	version, rest, ok := cutLine(block)
	if !ok || !hasPrefix(version, headerVersion) || !isStatus(version[len(headerVersion):]) {
		return false
	}
	h.wire = len(block) - (len(version) - len(headerVersion))
	lines := rest
	canonical := true
	for {
		line, rest, ok := cutLine(lines)
		if !ok {
			return false
		}
		if len(line) == 0 {
			if len(rest) > 0 {
				return false
			}
			break
		}
		lines = rest
		exact, ok := h.addLine(line)
		if !ok {
			return false
		}
		canonical = canonical && exact
	}
	h.store(rest[:len(rest)-len(lineBreak)], canonical)
	return true
}

// isStatus reports whether what follows the version is nothing or, behind a
// blank, an inline status.
func isStatus(status []byte) bool {
	return len(status) == 0 || status[0] == ' ' && bytes.IndexByte(status, '\n') < 0 && bytes.IndexByte(status, '\r') < 0
}

// cutLine splits off the first line, which ends with CR LF.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\r')
	if i < 0 || i+1 >= len(b) || b[i+1] != '\n' {
		return nil, nil, false
	}
	return b[:i], b[i+2:], true
}

// addLine notes one line. exact reports whether it stands in the stored form as
// it is and follows the line before it in order.
func (h *headerBlock) addLine(line []byte) (exact, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || bytes.IndexByte(line, '\n') >= 0 {
		return false, false
	}
	key, value := line[:colon], line[colon+1:]
	if key[0] <= ' ' || key[colon-1] <= ' ' || len(bytes.TrimSpace(key)) != len(key) {
		return false, false
	}
	if exact = len(value) > 0 && value[0] == ' '; exact {
		value = value[1:] // stands in the stored form too; further ones are stored as they are
	}
	bare := value
	for len(bare) > 0 && bare[0] == ' ' { // the server skips no tabs: they are part of a message id
		bare = bare[1:]
	}
	if !h.control.note(key, bare) {
		if string(key) == headerRequestInfo { // JetStream removes it before it measures
			h.wire -= len(line) + len(lineBreak)
		}
		return false, true
	}
	if n := len(h.lines); n > 0 && bytes.Compare(h.lines[n-1].key, key) > 0 {
		exact = false
	}
	h.lines = append(h.lines, headerLine{key: key, value: value})
	return exact, true
}

// store makes the stored form: the lines of the message themselves if they are
// in it, else a copy.
func (h *headerBlock) store(lines []byte, canonical bool) {
	if canonical {
		h.stored = lines
		return
	}
	slices.SortStableFunc(h.lines, func(a, b headerLine) int { return bytes.Compare(a.key, b.key) })
	b := h.scratch[:0]
	for _, line := range h.lines {
		b = append(append(b, line.key...), headerSeparator...)
		b = append(append(b, line.value...), lineBreak...)
	}
	h.scratch, h.stored = b, b
}
