package client

// Message is one message to publish.
type Message struct {
	// Subject is where it goes: no wildcards.
	Subject string
	// Header holds header names and their values; nil: none.
	Header map[string][]string
	// Data is the payload. It belongs to the publisher until the message was
	// answered.
	Data []byte
	// Origin says where the message comes from, for reports. It is not sent.
	Origin string
}

// bytes is what the message counts in a publisher's window.
func (m *Message) bytes() int64 {
	n := len(m.Subject) + len(m.Data)
	for key, values := range m.Header {
		for _, value := range values {
			n += len(key) + len(value) + 4 // ": " and the line break
		}
	}
	return int64(n)
}

// Ack is the answer to a message that was stored.
type Ack struct {
	// Log is the log that holds the record, Seq its number there.
	Log string
	Seq uint64
	// Duplicate says that a message of the same id was stored before; Seq is
	// the number of that one.
	Duplicate bool
}

// Result is how one message fared: either Ack or Err is set.
type Result struct {
	Message *Message
	Ack     Ack
	Err     error
}
