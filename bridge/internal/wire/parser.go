package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// Operation is what one protocol line asks for.
type Operation uint8

// The operations that a server sends. Incomplete means that more bytes are
// needed.
const (
	Incomplete Operation = iota
	OperationMessage
	OperationPing
	OperationPong
	OperationInfo
	OperationError
	OperationOK
)

// Bounds of what is accepted from a server. The server's own default limits are
// 4 KiB for a line and 1 MiB for a payload; both can be configured higher.
const (
	lineBytesMax    = 256 << 10
	payloadBytesMax = 64<<20 + 64<<10
)

// ErrProtocol is matched by every error of the parser: the peer does not speak
// the NATS protocol, or not within the bounds. The connection is of no more use.
var ErrProtocol = errors.New("wire: protocol error")

// Message is one delivered message. Its slices borrow from the read buffer:
// they are valid until the handler returns.
type Message struct {
	Subject []byte
	Reply   []byte // empty: no answer is wanted
	Header  []byte // the header block from `NATS/1.0` to its blank line; empty: none
	Payload []byte
	SID     uint32 // the subscription that it came by
}

// Parser takes one operation after the other off a byte buffer. It never keeps
// a reference to a buffer beyond the next call and never allocates on a message.
type Parser struct {
	// Message is what the last OperationMessage carried.
	Message Message
	// Text is the argument of the last OperationInfo or OperationError.
	Text []byte
}

// Next parses the first operation of buf. It returns the operation and the
// number of bytes that it takes. For Incomplete the number is how many bytes
// buf must hold at least before another call can succeed. Errors match
// ErrProtocol.
func (p *Parser) Next(buf []byte) (Operation, int, error) {
	if len(buf) < 2 {
		return Incomplete, 2, nil
	}
	newline := bytes.IndexByte(buf[:min(len(buf), lineBytesMax)], '\n')
	if newline < 0 {
		if len(buf) >= lineBytesMax {
			return Incomplete, 0, protocolError("a line is longer than the limit")
		}
		return Incomplete, len(buf) + 1, nil
	}
	line := buf[:newline]
	if newline > 0 && line[newline-1] == '\r' {
		line = line[:newline-1]
	}
	switch buf[0] {
	case 'M':
		return p.message(buf, line, newline+1)
	case 'H':
		return p.headerMessage(buf, line, newline+1)
	}
	return p.control(line, newline+1)
}

// control parses the operations that are one line.
func (p *Parser) control(line []byte, consumed int) (Operation, int, error) {
	verb, argument := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		verb, argument = line[:i], line[i+1:]
	}
	switch string(verb) {
	case "PING":
		return OperationPing, consumed, nil
	case "PONG":
		return OperationPong, consumed, nil
	case "+OK":
		return OperationOK, consumed, nil
	case "INFO":
		p.Text = argument
		return OperationInfo, consumed, nil
	case "-ERR":
		p.Text = bytes.Trim(argument, "' ")
		return OperationError, consumed, nil
	}
	return Incomplete, 0, protocolError("unknown operation")
}

// message parses `MSG subject sid [reply] size`, the payload behind it included.
func (p *Parser) message(buf, line []byte, consumed int) (Operation, int, error) {
	var fields [6][]byte
	n := splitFields(line, &fields)
	if n < 4 || n > 5 || string(fields[0]) != "MSG" {
		return Incomplete, 0, protocolError("malformed MSG line")
	}
	size, ok := parseNumber(fields[n-1], payloadBytesMax)
	if !ok {
		return Incomplete, 0, protocolError("malformed or too large size of a message")
	}
	body, err := cutBody(buf, consumed, size)
	if body == nil || err != nil {
		return Incomplete, consumed + size + 2, err
	}
	if !p.route(&fields, n-1) {
		return Incomplete, 0, protocolError("malformed MSG line")
	}
	p.Message.Header, p.Message.Payload = nil, body
	return OperationMessage, consumed + size + 2, nil
}

// headerMessage parses `HMSG subject sid [reply] headerSize size`, header block
// and payload behind it included.
func (p *Parser) headerMessage(buf, line []byte, consumed int) (Operation, int, error) {
	var fields [6][]byte
	n := splitFields(line, &fields)
	if n < 5 || n > 6 || string(fields[0]) != "HMSG" {
		return Incomplete, 0, protocolError("malformed HMSG line")
	}
	size, ok := parseNumber(fields[n-1], payloadBytesMax)
	headerSize, headerOK := parseNumber(fields[n-2], size)
	if !ok || !headerOK {
		return Incomplete, 0, protocolError("malformed or too large size of a message")
	}
	body, err := cutBody(buf, consumed, size)
	if body == nil || err != nil {
		return Incomplete, consumed + size + 2, err
	}
	if !p.route(&fields, n-2) {
		return Incomplete, 0, protocolError("malformed HMSG line")
	}
	p.Message.Header, p.Message.Payload = body[:headerSize:headerSize], body[headerSize:]
	return OperationMessage, consumed + size + 2, nil
}

// route takes subject, subscription and reply from the first n fields.
func (p *Parser) route(fields *[6][]byte, n int) bool {
	sid, ok := parseNumber(fields[2], 1<<31-1)
	if !ok || len(fields[1]) == 0 {
		return false
	}
	p.Message.Subject, p.Message.SID, p.Message.Reply = fields[1], uint32(sid), nil
	if n == 4 {
		p.Message.Reply = fields[3]
		return len(fields[3]) > 0
	}
	return true
}

// cutBody returns the size bytes at start if they and their line break are
// there, else nil.
func cutBody(buf []byte, start, size int) ([]byte, error) {
	end := start + size
	if len(buf) < end+2 {
		return nil, nil
	}
	if buf[end] != '\r' || buf[end+1] != '\n' {
		return nil, protocolError("a payload does not end with a line break")
	}
	return buf[start:end:end], nil
}

// splitFields cuts a line at single spaces and returns the number of fields,
// len(fields)+1 if there are more than that.
func splitFields(line []byte, fields *[6][]byte) int {
	for n := range fields {
		i := bytes.IndexByte(line, ' ')
		if i < 0 {
			fields[n] = line
			return n + 1
		}
		fields[n], line = line[:i], line[i+1:]
	}
	return len(fields) + 1
}

// parseNumber reads decimal digits up to limit.
func parseNumber(digits []byte, limit int) (int, bool) {
	if len(digits) == 0 || len(digits) > 10 {
		return 0, false
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, n <= limit
}

func protocolError(why string) error { return fmt.Errorf("%w: %s", ErrProtocol, why) }
