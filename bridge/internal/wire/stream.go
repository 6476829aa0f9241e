package wire

import (
	"net"
)

// readBufferBytes is the size of the read buffer while no larger message needs
// more. It is several of the chunks that a server writes, so that a busy
// connection costs few reads.
const readBufferBytes = 128 << 10

// stream reads operations from a connection. It is used by one goroutine.
type stream struct {
	conn   net.Conn
	parser Parser
	buf    []byte
	start  int // first byte that is not parsed
	end    int // end of what was read
	need   int // bytes from start that the next operation takes at least
}

func newStream(conn net.Conn) *stream {
	return &stream{conn: conn, buf: make([]byte, readBufferBytes)}
}

// next parses the next operation that is buffered; Incomplete asks for fill.
func (s *stream) next() (Operation, error) {
	if s.end-s.start < s.need {
		return Incomplete, nil
	}
	operation, n, err := s.parser.Next(s.buf[s.start:s.end])
	if err != nil {
		return Incomplete, err
	}
	if operation == Incomplete {
		s.need = n
		return Incomplete, nil
	}
	s.start, s.need = s.start+n, 0
	return operation, nil
}

// fill reads once from the socket, behind what is kept of an incomplete
// operation. Everything that was borrowed from the buffer becomes invalid.
func (s *stream) fill() error {
	kept := s.end - s.start
	switch size := max(s.need, readBufferBytes); {
	case size > len(s.buf), kept == 0 && size < len(s.buf):
		grown := make([]byte, size)
		copy(grown, s.buf[s.start:s.end])
		s.buf = grown
	case s.start > 0:
		copy(s.buf, s.buf[s.start:s.end])
	}
	s.start, s.end = 0, kept
	n, err := s.conn.Read(s.buf[s.end:])
	s.end += n
	if n > 0 {
		return nil
	}
	return err
}

// wait reads until one operation is complete. It serves the handshake only.
func (s *stream) wait() (Operation, error) {
	for {
		operation, err := s.next()
		if err != nil || operation != Incomplete {
			return operation, err
		}
		if err := s.fill(); err != nil {
			return Incomplete, err
		}
	}
}
