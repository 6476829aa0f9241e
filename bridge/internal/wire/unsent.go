package wire

import (
	"bytes"
	"strconv"
)

// unsent counts the messages in what waits to be written.
func (o *outbound) unsent() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	count := countMessages(o.mu.pending)
	if o.mu.retry {
		count += countMessages(o.mu.chunk)
	}
	return count
}

// countMessages counts PUB and HPUB lines, each with as many bytes behind it as
// its last field says.
func countMessages(lines []byte) (count int) {
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\r\n"))
		size, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, ' ')+1:]))
		if err != nil || size+len("\r\n") > len(rest) {
			return count // not one of our lines
		}
		count, lines = count+1, rest[size+len("\r\n"):]
	}
	return count
}
