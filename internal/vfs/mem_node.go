package vfs

import (
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// This file is the tree of the simulated disk: directories, their two images
// and the changes of names that are pending between them.

// memNode is a file or a directory, whatever it is called and from however many
// places. It is guarded by the lock of its disk.
type memNode struct {
	directory *memDirectory // nil for a file
	content   *memContent   // nil for a directory
	links     int           // names in the live image
	users     int           // open files, maps and locks
	changed   int64         // count of operations at the last change of content
	number    uint64        // see Identity; never given to another node
	random    random
}

type memDirectory struct {
	live    map[string]*memNode
	durable map[string]*memNode
	pending []*nameChange // in the order of the calls
	created uint64        // files and directories made here, ever
}

// nameChange is one change of names on its way to the durable image.
type nameChange struct {
	in       *memDirectory
	node     *memNode
	removed  string // "" for none
	added    string // "" for none
	replaces bool   // whether added may be taken from another node (a rename)
	// source is set in the half of a rename across directories that removes
	// the old name: the half that adds the new one, which must come first.
	source *nameChange
	done   bool
}

func (c *nameChange) apply() {
	if c.done {
		return
	}
	c.done = true
	if c.source != nil {
		c.source.apply()
	}
	names := c.in.durable
	if c.removed != "" && names[c.removed] == c.node {
		delete(names, c.removed)
	}
	if c.added == "" {
		return
	}
	if holder := names[c.added]; holder != nil && holder != c.node && !c.replaces {
		return // what freed the name is lost: no directory has it twice
	}
	names[c.added] = c.node
}

// change records a change of names that the live image has already.
func (d *memDirectory) change(c *nameChange) *nameChange {
	c.in = d
	d.pending = append(d.pending, c)
	return c
}

func (d *memDirectory) settle() {
	for _, change := range d.pending {
		change.apply()
	}
	clear(d.pending)
	d.pending = d.pending[:0]
}

func sortedNames(names map[string]*memNode) []string {
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	return sorted
}

func (m *Mem) newDirectoryLocked(seed uint64) *memNode {
	d := &memDirectory{live: map[string]*memNode{}, durable: map[string]*memNode{}}
	node := &memNode{directory: d, random: random{state: seed}, changed: int64(m.mu.operations), number: m.numberLocked()}
	m.mu.directories = append(m.mu.directories, node)
	return node
}

func (m *Mem) numberLocked() uint64 {
	m.mu.nodes++
	return m.mu.nodes
}

// enterLocked gives a new file or directory its name.
func (m *Mem) enterLocked(parent *memDirectory, base, path string, isDirectory bool) *memNode {
	parent.created++
	seed := seedFor(m.seed, cleanPath(path), parent.created)
	var node *memNode
	if isDirectory {
		node = m.newDirectoryLocked(seed)
	} else {
		node = &memNode{content: newMemContent(&m.mu.space), random: random{state: seed}, number: m.numberLocked()}
		node.content.random = &node.random
	}
	node.links = 1
	parent.live[base] = node
	parent.change(&nameChange{node: node, added: base})
	return node
}

// unlinkLocked takes a name from a node whose directory does not list it any
// more.
func (m *Mem) unlinkLocked(node *memNode) {
	node.links--
	m.freeLocked(node)
}

// freeLocked gives back the space of a file that nobody can reach.
func (m *Mem) freeLocked(node *memNode) {
	if node.links == 0 && node.users == 0 && node.content != nil {
		node.content.dropFrom(0)
	}
}

// cleanPath is the path inside the disk: no separator at the front, "" for the
// root.
func cleanPath(name string) string {
	name = strings.TrimPrefix(filepath.Clean(name), string(filepath.Separator))
	if name == "." {
		return ""
	}
	return name
}

// image picks one of a directory's two images.
type image func(*memDirectory) map[string]*memNode

func liveImage(d *memDirectory) map[string]*memNode    { return d.live }
func durableImage(d *memDirectory) map[string]*memNode { return d.durable }

func (m *Mem) findLocked(name string) (*memNode, error) {
	return m.findInLocked(name, liveImage)
}

func (m *Mem) findInLocked(name string, in image) (*memNode, error) {
	node := m.mu.root
	rest := cleanPath(name)
	for rest != "" {
		if node.directory == nil {
			return nil, syscall.ENOTDIR
		}
		var step string
		step, rest, _ = strings.Cut(rest, string(filepath.Separator))
		if node = in(node.directory)[step]; node == nil {
			return nil, syscall.ENOENT
		}
	}
	return node, nil
}

func (m *Mem) findFileLocked(name string) (*memNode, error) {
	node, err := m.findLocked(name)
	if err == nil && node.content == nil {
		return nil, syscall.EISDIR
	}
	return node, err
}

func (m *Mem) findDirectoryLocked(name string) (*memDirectory, error) {
	node, err := m.findLocked(name)
	if err != nil {
		return nil, err
	}
	if node.directory == nil {
		return nil, syscall.ENOTDIR
	}
	return node.directory, nil
}

// parentLocked finds the directory that holds a name, which need not exist.
func (m *Mem) parentLocked(name string) (*memDirectory, string, error) {
	path := cleanPath(name)
	if path == "" {
		return nil, "", syscall.EBUSY // the root has no name
	}
	directory, err := m.findDirectoryLocked(filepath.Dir(path))
	return directory, filepath.Base(path), err
}

// memInfo describes a node as it was at the time of the call.
type memInfo struct {
	name      string
	size      int64
	directory bool
	changed   int64
	number    uint64
}

func newMemInfo(name string, node *memNode) memInfo {
	info := memInfo{name: name, directory: node.directory != nil, changed: node.changed, number: node.number}
	if node.content != nil {
		info.size = int64(node.content.size)
	}
	return info
}

func (i memInfo) Name() string { return i.name }
func (i memInfo) Size() int64  { return i.size }
func (i memInfo) IsDir() bool  { return i.directory }
func (i memInfo) Sys() any     { return nil }

// ModTime counts operations instead of a clock's ticks, so that it is the same
// in every run.
func (i memInfo) ModTime() time.Time { return time.Unix(0, i.changed).UTC() }

func (i memInfo) Mode() fs.FileMode {
	if i.directory {
		return fs.ModeDir | directoryMode
	}
	return fileMode
}
