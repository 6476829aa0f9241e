package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// This file is the recorder of I/O traces, against which the order of writes,
// syncs and renames is checked.

// opReads is what changes nothing.
const opReads = OpOpen | OpRead | OpMap | OpReadDir | OpStat | OpUsage

// Traced is a file system that records what is done, one line per operation, as
// [Operation] writes it: "write a/b 0+128". An operation is recorded when it
// ends; one that failed has " ! " and the reason behind it. A file goes by the
// name that it was opened by, also after a rename. Paths are relative to a root.
// It is safe for concurrent use.
type Traced struct {
	hooked
	root  string
	reads bool
	mu    struct {
		sync.Mutex
		lines []string
	}
}

// NewTraced wraps a file system and shows paths below root relative to it,
// others as they are. Operations that change nothing are left out.
func NewTraced(inner FS, root string) *Traced { return newTraced(inner, root, false) }

// NewTracedWithReads is NewTraced with opens, reads, maps, listings, stats and
// usages recorded as well.
func NewTracedWithReads(inner FS, root string) *Traced { return newTraced(inner, root, true) }

func newTraced(inner FS, root string, reads bool) *Traced {
	t := &Traced{root: filepath.Clean(root), reads: reads}
	t.hooked = hooked{inner: inner, around: t.run}
	return t
}

// Lines returns a copy of what was recorded since the last Reset.
func (t *Traced) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.mu.lines)
}

// Reset forgets what was recorded.
func (t *Traced) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.lines = nil
}

func (t *Traced) run(op Operation, do func(bytesMax int64) error) error {
	err := do(op.Length)
	if op.Kind&opReads != 0 && !t.reads {
		return err
	}
	op.Path = t.relative(op.Path)
	op.NewPath = t.relative(op.NewPath)
	line := op.String()
	if err != nil {
		line += " ! " + reason(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.lines = append(t.mu.lines, line)
	return err
}

func (t *Traced) relative(name string) string {
	if name == "" {
		return ""
	}
	relative, err := filepath.Rel(t.root, name)
	if err != nil || strings.HasPrefix(relative, "..") {
		return filepath.ToSlash(name)
	}
	return filepath.ToSlash(relative)
}

// reason is the innermost error, without the path: the same on every disk.
func reason(err error) string {
	var number syscall.Errno
	var path *fs.PathError
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &path):
		return path.Err.Error()
	default:
		return err.Error()
	}
}
