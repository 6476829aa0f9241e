package vfs

import (
	"fmt"
	"io/fs"
	"syscall"
)

// This file crashes the simulated disk, damages it, and lets checkers look.

// PowerCut makes the live image what has survived, chosen at random within what
// the type describes. Open files, maps and locks die: later use of them returns
// an error that matches fs.ErrClosed, and the bytes of a map stay what they
// were.
func (m *Mem) PowerCut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endProcessLocked()
	for _, node := range m.mu.directories {
		node.settleSome()
	}
	m.mu.directories = nil
	reached := map[*memNode]bool{}
	m.mu.space.used = 0
	m.restoreLocked(m.mu.root, reached)
}

// ProcessCrash ends the process that used the disk: open files, maps and locks
// die as in a PowerCut, the live image stays.
func (m *Mem) ProcessCrash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endProcessLocked()
}

func (m *Mem) endProcessLocked() {
	m.mu.halted = false
	m.mu.crashAt = 0
	// The order in which a map is walked changes nothing here: each handle
	// only lets its node go.
	for file := range m.mu.files {
		file.closed = true
		m.leaveLocked(file.node)
	}
	for mapping := range m.mu.maps {
		mapping.closed = true
		mapping.node.content.live.abandon(mapping.node.content.size)
		m.leaveLocked(mapping.node)
	}
	for node, lock := range m.mu.locks {
		lock.closed = true
		m.leaveLocked(node)
	}
	clear(m.mu.files)
	clear(m.mu.maps)
	clear(m.mu.locks)
}

// settleSome applies none, all or some of a directory's pending changes.
func (n *memNode) settleSome() {
	if len(n.directory.pending) == 0 {
		return
	}
	chance := []int{0, 100, 50}[n.random.below(3)]
	for _, change := range n.directory.pending {
		if n.random.percent(chance) {
			change.apply()
		}
	}
	n.directory.pending = nil
}

// restoreLocked makes the durable image of a node and all below it the live one.
// A file may be reached by several names.
func (m *Mem) restoreLocked(node *memNode, reached map[*memNode]bool) {
	if reached[node] {
		node.links++
		return
	}
	reached[node] = true
	node.links = 1
	if node.content != nil {
		node.content.powerCut(m.mu.tearInside)
		return
	}
	directory := node.directory
	m.mu.directories = append(m.mu.directories, node)
	clear(directory.live)
	for _, name := range sortedNames(directory.durable) {
		child := directory.durable[name]
		directory.live[name] = child
		m.restoreLocked(child, reached)
	}
}

// DropCleanPages empties the page cache: clean pages are read from the disk
// again. After a failed sync that takes away what only the live image has. No
// map may be read meanwhile.
func (m *Mem) DropCleanPages() {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[*memNode]bool{}
	for _, directory := range m.mu.directories {
		for _, node := range directory.directory.live {
			if node.content != nil && !seen[node] {
				seen[node] = true
				node.content.dropClean()
			}
		}
	}
}

// Corrupt calls change with the 512-byte sector (less at the end of a file) of
// the durable image in which offset lies; offset modulo 512 is its place there.
// Where the page is clean the live image changes too, under live maps as well:
// no map may be read meanwhile. It returns an error if there is no such file or
// if the file is durably shorter.
func (m *Mem) Corrupt(name string, offset int64, change func(sector []byte)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.findFileLocked(name)
	if err != nil {
		node, err = m.findInLocked(name, durableImage)
	}
	if err == nil && node.content == nil {
		err = syscall.EISDIR
	}
	if err != nil {
		return pathError("corrupt", name, err)
	}
	if !node.content.corrupt(offset, change) {
		return fmt.Errorf("vfs: corrupt %s at %d of %d durable bytes: %w",
			name, offset, len(node.content.durable), fs.ErrInvalid)
	}
	return nil
}

// Durable returns a copy of what the disk has for certain of the file that has
// this name for certain, nil if there is none. Pages that a power cut may also
// keep are not in it.
func (m *Mem) Durable(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.findInLocked(name, durableImage)
	if err != nil || node.content == nil {
		return nil
	}
	return append([]byte{}, node.content.durable...)
}

// Live returns a copy of what a reader of the file sees, nil if there is none.
// It works on a halted disk too.
func (m *Mem) Live(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.findFileLocked(name)
	if err != nil {
		return nil
	}
	return append([]byte{}, node.content.live.bytes()[:node.content.size]...)
}
