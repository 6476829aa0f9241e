package vfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// This file is the locks of the simulated disk.

type memLock struct {
	disk   *Mem
	node   *memNode
	name   string
	closed bool
}

// Lock takes an exclusive lock; see [FS]. A crash of any kind releases it.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	missing := false
	if !m.mu.halted {
		_, err := m.findLocked(name)
		missing = errors.Is(err, syscall.ENOENT)
	}
	m.mu.Unlock()
	if missing {
		m.announce(Operation{Kind: OpCreate, Path: name})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	lock, err := m.takeLockLocked(name)
	if err != nil {
		return nil, pathError("lock", name, err)
	}
	return lock, nil
}

func (m *Mem) takeLockLocked(name string) (*memLock, error) {
	if m.mu.halted {
		return nil, ErrHalted
	}
	node, err := m.findLocked(name)
	if errors.Is(err, syscall.ENOENT) {
		if err := m.stepLocked(); err != nil {
			return nil, err
		}
		node, err = m.createLocked(name)
	}
	if err != nil {
		return nil, err
	}
	if m.mu.locks[node] != nil {
		return nil, ErrLocked
	}
	lock := &memLock{disk: m, node: node, name: name}
	m.mu.locks[node] = lock
	node.users++
	return lock, nil
}

func (l *memLock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	switch {
	case l.disk.mu.halted:
		return pathError("unlock", l.name, ErrHalted)
	case l.closed:
		return pathError("unlock", l.name, fs.ErrClosed)
	}
	l.closed = true
	delete(l.disk.mu.locks, l.node)
	l.disk.leaveLocked(l.node)
	return nil
}
