package vfs

// This file is the memory behind the live image of a simulated file. A map is a
// slice of it, so memory with live maps never moves: when the file outgrows it,
// later writes go to both.

type memBuffer struct {
	bytes []byte
	maps  int
}

// memLive has zeros behind the size of its file, always.
type memLive struct {
	now    *memBuffer
	mapped []*memBuffer // outgrown, but mapped
}

func (l *memLive) bytes() []byte {
	if l.now == nil {
		return nil
	}
	return l.now.bytes
}

// reserve makes room for size bytes, of which the first used are content.
func (l *memLive) reserve(size, used int) {
	have := len(l.bytes())
	if size <= have {
		return
	}
	room := pagesIn(max(size, 2*have)) * pageBytes
	grown := &memBuffer{bytes: make([]byte, room)}
	copy(grown.bytes, l.bytes()[:min(used, have)])
	if l.now != nil && l.now.maps > 0 {
		l.mapped = append(l.mapped, l.now)
	}
	l.now = grown
}

func (l *memLive) write(p []byte, offset int) {
	copy(l.now.bytes[offset:], p)
	for _, old := range l.mapped {
		if offset < len(old.bytes) {
			copy(old.bytes[offset:], p)
		}
	}
}

func (l *memLive) zero(from, to int) {
	clear(l.now.bytes[from:to])
	for _, old := range l.mapped {
		if from < len(old.bytes) {
			clear(old.bytes[from:min(to, len(old.bytes))])
		}
	}
}

// abandon leaves mapped memory to whoever still looks at it: their process is
// dead, and what happens to the file later is not for them to see.
func (l *memLive) abandon(used int) {
	l.mapped = nil
	if l.now.maps > 0 {
		copied := make([]byte, len(l.now.bytes))
		copy(copied, l.now.bytes[:used])
		l.now = &memBuffer{bytes: copied}
	}
}

// replace sets the content of a file that has no maps; used is how much it had.
func (l *memLive) replace(content []byte, used int) {
	l.reserve(len(content), used)
	copy(l.bytes(), content)
	if used > len(content) {
		clear(l.bytes()[len(content):used])
	}
}

// hold gives a stable view of the first length bytes.
func (l *memLive) hold(length, used int) (*memBuffer, []byte) {
	l.reserve(length, used)
	if l.now == nil {
		l.now = &memBuffer{}
	}
	l.now.maps++
	return l.now, l.now.bytes[:length:length]
}

func (l *memLive) letGo(buffer *memBuffer) {
	buffer.maps--
	if buffer.maps > 0 {
		return
	}
	for i, old := range l.mapped {
		if old == buffer {
			l.mapped = append(l.mapped[:i], l.mapped[i+1:]...)
			return
		}
	}
}
