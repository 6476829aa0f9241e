package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// This file is the FS methods of the simulated disk.

// Create makes a new empty file; see [FS].
func (m *Mem) Create(name string) (File, error) {
	m.announce(Operation{Kind: OpCreate, Path: name})
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.stepLocked(); err != nil {
		return nil, pathError("create", name, err)
	}
	node, err := m.createLocked(name)
	if err != nil {
		return nil, pathError("create", name, err)
	}
	return m.newFileLocked(node, name, true), nil
}

func (m *Mem) createLocked(name string) (*memNode, error) {
	parent, base, err := m.parentLocked(name)
	if err != nil {
		return nil, err
	}
	if parent.live[base] != nil {
		return nil, syscall.EEXIST
	}
	return m.enterLocked(parent, base, name, false), nil
}

// Open opens an existing file for reading; see [FS].
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenReadWrite opens an existing file for reading and writing; see [FS].
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.halted {
		return nil, pathError("open", name, ErrHalted)
	}
	node, err := m.findFileLocked(name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return m.newFileLocked(node, name, writable), nil
}

// Rename moves a file or directory; see [FS].
func (m *Mem) Rename(oldName, newName string) error {
	m.announce(Operation{Kind: OpRename, Path: oldName, NewPath: newName})
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.stepLocked()
	if err == nil {
		err = m.renameLocked(oldName, newName)
	}
	if err != nil {
		return pathError("rename", oldName+" -> "+newName, err)
	}
	return nil
}

func (m *Mem) renameLocked(oldName, newName string) error {
	from, oldBase, err := m.parentLocked(oldName)
	if err != nil {
		return err
	}
	to, newBase, err := m.parentLocked(newName)
	if err != nil {
		return err
	}
	node, target := from.live[oldBase], to.live[newBase]
	if node == nil {
		return syscall.ENOENT
	}
	if node == target {
		return nil
	}
	if err := mayReplace(node, target); err != nil {
		return err
	}
	if node.directory != nil && isInside(cleanPath(newName), cleanPath(oldName)) {
		return syscall.EINVAL
	}
	delete(from.live, oldBase)
	to.live[newBase] = node
	if target != nil {
		m.unlinkLocked(target)
	}
	if from == to {
		to.change(&nameChange{node: node, removed: oldBase, added: newBase, replaces: true})
		return nil
	}
	source := to.change(&nameChange{node: node, added: newBase, replaces: true})
	from.change(&nameChange{node: node, removed: oldBase, source: source})
	return nil
}

func mayReplace(node, target *memNode) error {
	switch {
	case target == nil:
		return nil
	case target.directory == nil && node.directory == nil:
		return nil
	case target.directory == nil:
		return syscall.ENOTDIR
	default:
		return syscall.EEXIST
	}
}

func isInside(path, directory string) bool {
	return strings.HasPrefix(path, directory+string(filepath.Separator))
}

// Link gives a file a second name; see [FS].
func (m *Mem) Link(oldName, newName string) error {
	m.announce(Operation{Kind: OpLink, Path: oldName, NewPath: newName})
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.stepLocked()
	if err == nil {
		err = m.linkLocked(oldName, newName)
	}
	if err != nil {
		return pathError("link", oldName+" -> "+newName, err)
	}
	return nil
}

func (m *Mem) linkLocked(oldName, newName string) error {
	node, err := m.findLocked(oldName)
	if err != nil {
		return err
	}
	if node.content == nil {
		return syscall.EPERM
	}
	parent, base, err := m.parentLocked(newName)
	if err != nil {
		return err
	}
	if parent.live[base] != nil {
		return syscall.EEXIST
	}
	node.links++
	parent.live[base] = node
	parent.change(&nameChange{node: node, added: base})
	return nil
}

// Remove deletes a file or an empty directory; see [FS].
func (m *Mem) Remove(name string) error {
	m.announce(Operation{Kind: OpRemove, Path: name})
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.stepLocked()
	if err == nil {
		err = m.removeLocked(name)
	}
	if err != nil {
		return pathError("remove", name, err)
	}
	return nil
}

func (m *Mem) removeLocked(name string) error {
	parent, base, err := m.parentLocked(name)
	if err != nil {
		return err
	}
	node := parent.live[base]
	switch {
	case node == nil:
		return syscall.ENOENT
	case node.directory != nil && len(node.directory.live) > 0:
		return syscall.ENOTEMPTY
	}
	delete(parent.live, base)
	parent.change(&nameChange{node: node, removed: base})
	m.unlinkLocked(node)
	return nil
}

// MkdirAll makes a directory and its missing parents; see [FS]. Each one that
// is made counts as an operation.
func (m *Mem) MkdirAll(dir string) error {
	var missing []string
	for path := filepath.Clean(dir); cleanPath(path) != ""; path = filepath.Dir(path) {
		exists, err := m.directoryExists(path)
		if err != nil {
			return pathError("mkdir", dir, err)
		}
		if exists {
			break
		}
		missing = append(missing, path)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := m.mkdir(missing[i]); err != nil {
			return pathError("mkdir", dir, err)
		}
	}
	return nil
}

// mkdir makes one directory, or leaves it if another caller has made it.
func (m *Mem) mkdir(path string) error {
	m.announce(Operation{Kind: OpMkdir, Path: path})
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.stepLocked(); err != nil {
		return err
	}
	parent, base, err := m.parentLocked(path)
	if err != nil {
		return err
	}
	if node := parent.live[base]; node != nil {
		if node.directory == nil {
			return syscall.ENOTDIR
		}
		return nil
	}
	m.enterLocked(parent, base, path, true)
	return nil
}

func (m *Mem) directoryExists(path string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.halted {
		return false, ErrHalted
	}
	_, err := m.findDirectoryLocked(path)
	if errors.Is(err, syscall.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// ReadDir lists the names in a directory; see [FS].
func (m *Mem) ReadDir(dir string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.halted {
		return nil, pathError("read directory", dir, ErrHalted)
	}
	directory, err := m.findDirectoryLocked(dir)
	if err != nil {
		return nil, pathError("read directory", dir, err)
	}
	entries := make([]fs.DirEntry, 0, len(directory.live))
	for _, name := range sortedNames(directory.live) {
		entries = append(entries, fs.FileInfoToDirEntry(newMemInfo(name, directory.live[name])))
	}
	return entries, nil
}

// Stat describes a file or directory; see [FS].
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.halted {
		return nil, pathError("stat", name, ErrHalted)
	}
	node, err := m.findLocked(name)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return newMemInfo(filepath.Base(name), node), nil
}

// SyncDir makes the names in a directory durable; see [FS].
func (m *Mem) SyncDir(dir string) error {
	m.announce(Operation{Kind: OpSyncDir, Path: dir})
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.stepLocked()
	if err == nil {
		err = m.syncDirLocked(dir)
	}
	if err != nil {
		return pathError("sync directory", dir, err)
	}
	return nil
}

func (m *Mem) syncDirLocked(dir string) error {
	directory, err := m.findDirectoryLocked(dir)
	if err != nil {
		return err
	}
	if m.syncFailsLocked() {
		return syscall.EIO // its journal is gone: what was pending stays so
	}
	directory.settle()
	return nil
}
