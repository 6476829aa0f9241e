package vfs

import (
	"io"
	"math"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// This file is the fault injector: a file system that fails, writes short or is
// slow where rules say so.

// Rule says which operations fare badly, and how. Rules compose: each one that
// applies to an operation adds its Delay; the first with an Err or a ShortWrite
// decides how it ends.
type Rule struct {
	// Op is the kinds that it is for, joined with |; 0 is all.
	Op OperationKind
	// PathPattern is compared with as many elements at the end of the path as
	// it has itself, as path.Match does: "*.seg" or "manifest/*.mlog". Empty
	// is every path. Of a rename or link either name may match.
	PathPattern string
	// After is how many matching operations pass first.
	After int
	// Times is how many it then applies to; 0 is all.
	Times int
	// Err is returned, wrapped with operation and path, instead of doing the
	// operation.
	Err error
	// DoFirst has the operation done before Err is returned for it: the
	// outcome of which nobody was told.
	DoFirst bool
	// ShortWrite, if above 0, lets a write have that many bytes before Err, or
	// io.ErrShortWrite if that is nil. Writes that are no longer than that pass.
	ShortWrite int64
	// Delay is waited for before anything else.
	Delay time.Duration
}

// ActiveRule is a rule at work.
type ActiveRule struct {
	rule    Rule
	owner   *Faulty
	matched int
	applied int
}

// Remove ends the rule. An operation that it delays goes on waiting.
func (r *ActiveRule) Remove() {
	r.owner.mu.Lock()
	defer r.owner.mu.Unlock()
	for i, other := range r.owner.mu.rules {
		if other == r {
			r.owner.mu.rules = append(r.owner.mu.rules[:i], r.owner.mu.rules[i+1:]...)
			return
		}
	}
}

// Applied counts the operations that the rule was applied to.
func (r *ActiveRule) Applied() int {
	r.owner.mu.Lock()
	defer r.owner.mu.Unlock()
	return r.applied
}

// Faulty is a file system with faults. It and its files are safe for concurrent
// use. What is read through a map, and closing, cannot fail.
type Faulty struct {
	hooked
	mu struct {
		sync.Mutex
		rules []*ActiveRule
		wait  func(Operation, time.Duration)
	}
}

// NewFaulty wraps a file system; without rules it behaves as that does.
func NewFaulty(inner FS) *Faulty {
	f := &Faulty{}
	f.hooked = hooked{inner: inner, around: f.run}
	f.mu.wait = func(_ Operation, delay time.Duration) { time.Sleep(delay) }
	return f
}

// SetWait sets what a delayed operation blocks in, instead of a timer. It is
// called with no lock held, by many goroutines at once.
func (f *Faulty) SetWait(wait func(op Operation, delay time.Duration)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.wait = wait
}

// Add puts a rule to work, behind those that are there. It panics if the path
// pattern is malformed.
func (f *Faulty) Add(rule Rule) *ActiveRule {
	if _, err := path.Match(rule.PathPattern, ""); err != nil {
		panic("vfs: " + err.Error() + ": " + rule.PathPattern)
	}
	active := &ActiveRule{rule: rule, owner: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules = append(f.mu.rules, active)
	return active
}

// Clear ends all rules.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules = nil
}

// verdict is what the rules say about one operation.
type verdict struct {
	delay    time.Duration
	wait     func(Operation, time.Duration)
	err      error
	doFirst  bool
	bytesMax int64
}

func (f *Faulty) run(op Operation, do func(bytesMax int64) error) error {
	v := f.judge(op)
	if v.delay > 0 {
		v.wait(op, v.delay)
	}
	if v.err == nil {
		return do(math.MaxInt64)
	}
	if v.doFirst {
		// Whatever came of it, the answer is the rule's.
		_ = do(v.bytesMax)
	}
	return pathError(op.Kind.String(), op.Path, v.err)
}

func (f *Faulty) judge(op Operation) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := verdict{wait: f.mu.wait, bytesMax: math.MaxInt64}
	for _, active := range f.mu.rules {
		if !active.appliesLocked(op) {
			continue
		}
		rule := active.rule
		v.delay += rule.Delay
		switch {
		case v.err != nil:
		case rule.ShortWrite > 0:
			if op.Kind == OpWrite && op.Length > rule.ShortWrite {
				v.err, v.doFirst, v.bytesMax = rule.Err, true, rule.ShortWrite
				if v.err == nil {
					v.err = io.ErrShortWrite
				}
			}
		case rule.Err != nil:
			v.err, v.doFirst = rule.Err, rule.DoFirst
		}
	}
	return v
}

func (r *ActiveRule) appliesLocked(op Operation) bool {
	if r.rule.Op != 0 && r.rule.Op&op.Kind == 0 {
		return false
	}
	if !matchesEnd(r.rule.PathPattern, op.Path) &&
		(op.NewPath == "" || !matchesEnd(r.rule.PathPattern, op.NewPath)) {
		return false
	}
	r.matched++
	if r.matched <= r.rule.After || r.rule.Times > 0 && r.applied >= r.rule.Times {
		return false
	}
	r.applied++
	return true
}

// matchesEnd compares a pattern with the last elements of a path.
func matchesEnd(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	name = filepath.ToSlash(filepath.Clean(name))
	start := len(name)
	for range strings.Count(pattern, "/") + 1 {
		start = strings.LastIndexByte(name[:start], '/')
		if start < 0 {
			break
		}
	}
	matched, err := path.Match(pattern, name[start+1:])
	return matched && err == nil
}
