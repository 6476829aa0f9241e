package vfs

import (
	"io/fs"
)

// This file is the maps of the simulated disk.

// Map gives a slice of the live image itself. Behind the end of the file it
// shows zeros, where a real map would fault.
func (f *memFile) Map(length int64) (Mapping, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.usableLocked()
	if err == nil {
		err = checkRange(0, length)
	}
	if err != nil {
		return nil, pathError("map", f.name, err)
	}
	content := f.node.content
	mapping := &memMapping{disk: f.disk, node: f.node, name: f.name}
	mapping.buffer, mapping.bytes = content.live.hold(int(length), content.size)
	f.node.users++
	f.disk.mu.maps[mapping] = true
	return mapping, nil
}

type memMapping struct {
	disk   *Mem
	node   *memNode
	name   string
	buffer *memBuffer
	bytes  []byte
	closed bool
}

func (m *memMapping) Bytes() []byte { return m.bytes }

func (m *memMapping) Close() error {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	switch {
	case m.disk.mu.halted:
		return pathError("unmap", m.name, ErrHalted)
	case m.closed:
		return pathError("unmap", m.name, fs.ErrClosed)
	}
	m.closed = true
	delete(m.disk.mu.maps, m)
	m.node.content.live.letGo(m.buffer)
	m.disk.leaveLocked(m.node)
	return nil
}
