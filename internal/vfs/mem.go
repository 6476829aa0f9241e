package vfs

import (
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
)

// This file is the simulated disk as a whole: what it counts, what it allows
// and when it crashes.

// Crashed is the value that an operation panics with when the crash that CrashAt
// asked for has come.
type Crashed struct{}

// ErrHalted is returned by every operation between a crash that was asked for
// and the PowerCut or ProcessCrash that ends it. It matches fs.ErrClosed.
var ErrHalted = fmt.Errorf("vfs: simulated disk has crashed: %w", fs.ErrClosed)

// Mem is a disk in memory that can crash. It keeps two images: the live one,
// which is what the page cache of an operating system would show, and the
// durable one, which is what a power cut leaves. They differ in
//
//   - 4 KiB pages that were written since the last sync of their file, each of
//     which may get lost, kept, or torn at 512-byte sectors;
//   - the size of a file, lost or kept independently of its pages;
//   - the names in a directory since its last SyncDir, each lost or kept
//     independently. A rename inside one directory is atomic; one across
//     directories may leave both names, never none. A name that is durable
//     while its file was never synced is a file without the lost content.
//
// Now and then a written page becomes durable by itself. A failed sync (FailSync)
// leaves pages that differ on disk and count as clean, as Linux does: no later
// sync writes them.
//
// Everything random comes from the seed: a caller that makes the same calls in
// the same order sees the same disk. Paths with and without a leading separator
// are the same; the root exists. All methods are safe for concurrent use, except
// where they say otherwise.
type Mem struct {
	seed uint64
	hook atomic.Pointer[func(Operation)]

	mu struct {
		sync.Mutex
		root        *memNode
		directories []*memNode // in the order of creation
		files       map[*memFile]bool
		maps        map[*memMapping]bool
		locks       map[*memNode]*memLock
		space       memSpace
		nodes       uint64 // files and directories made, ever

		operations     int
		crashAt        int
		crashPanics    bool
		halted         bool
		failSyncIn     int
		tearInside     bool
		loseSizeOnFail bool
	}
}

// memSpace counts the pages that files occupy.
type memSpace struct {
	used int64
	max  int64 // 0: unlimited
}

// NewMem returns an empty disk whose every random choice comes from seed.
func NewMem(seed uint64) *Mem {
	m := &Mem{seed: seed}
	m.mu.files = map[*memFile]bool{}
	m.mu.maps = map[*memMapping]bool{}
	m.mu.locks = map[*memNode]*memLock{}
	m.mu.root = m.newDirectoryLocked(seedFor(seed, "", 0))
	m.mu.root.links = 1
	return m
}

// CrashAt makes the n-th counted operation from now panic with Crashed{} before
// it has any effect; only a write or an allocation may have done its first part,
// up to a page border. Until the next PowerCut or ProcessCrash every
// operation then returns ErrHalted, so that deferred clean-up changes nothing.
// Counted are the kinds of OpChanges. CrashAt(0) disarms. Either sets
// Operations to 0.
func (m *Mem) CrashAt(n int) { m.arm(n, true) }

// HaltAt is CrashAt for code that runs in goroutines of its own: the n-th
// operation returns ErrHalted instead of panicking.
func (m *Mem) HaltAt(n int) { m.arm(n, false) }

func (m *Mem) arm(n int, panics bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.operations, m.mu.crashAt, m.mu.crashPanics = 0, n, panics
}

// Halted reports whether a crash that was asked for has come and was not yet
// followed by PowerCut or ProcessCrash.
func (m *Mem) Halted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.halted
}

// Operations counts the operations since the last CrashAt or HaltAt, or since
// the beginning.
func (m *Mem) Operations() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.operations
}

// FailSync makes the n-th sync from now, of a file or a directory, return EIO.
// A failed sync of a file marks its pages clean: the live image keeps them, the
// durable image has none, some or parts of them. A failed sync of a directory
// leaves its names pending. FailSync(0) disarms.
func (m *Mem) FailSync(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.failSyncIn = n
}

// LoseSizeOnFailedSync says whether a failed sync also takes a pending change of
// the file's size for done, so that no later sync makes it durable.
func (m *Mem) LoseSizeOnFailedSync(lose bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.loseSizeOnFail = lose
}

// TearInsideSectors says whether a power cut may leave a sector with its first
// part new and the rest old, which drives promise not to do.
func (m *Mem) TearInsideSectors(tear bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.tearInside = tear
}

// SetCapacity limits the disk to that many bytes, in whole pages of 4 KiB: what
// needs a new page beyond it gets ENOSPC, after as much of a write as fits.
// Writing where a file has its pages, written or allocated, never fails. 0 is
// no limit.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.space.max = bytes / pageBytes
	if bytes > 0 && m.mu.space.max == 0 {
		m.mu.space.max = 1
	}
}

// BeforeOperation sets a function that is called before each counted operation,
// with no lock held: it may use the disk itself, for which it is called again.
// Nil removes it.
func (m *Mem) BeforeOperation(f func(Operation)) {
	if f == nil {
		m.hook.Store(nil)
		return
	}
	m.hook.Store(&f)
}

// OpenFiles counts open files and held locks.
func (m *Mem) OpenFiles() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.files) + len(m.mu.locks)
}

// OpenMaps counts maps that are not closed.
func (m *Mem) OpenMaps() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.maps)
}

func (m *Mem) announce(op Operation) {
	if hook := m.hook.Load(); hook != nil {
		(*hook)(op)
	}
}

// stepLocked counts an operation and crashes if its turn has come.
func (m *Mem) stepLocked() error {
	crash, err := m.countLocked()
	if crash {
		return m.crashLocked()
	}
	return err
}

func (m *Mem) countLocked() (crash bool, err error) {
	if m.mu.halted {
		return false, ErrHalted
	}
	m.mu.operations++
	return m.mu.crashAt > 0 && m.mu.operations >= m.mu.crashAt, nil
}

func (m *Mem) crashLocked() error {
	m.mu.halted = true
	if m.mu.crashPanics {
		panic(Crashed{})
	}
	return ErrHalted
}

// syncFailsLocked counts a sync and says whether it is the one to fail.
func (m *Mem) syncFailsLocked() bool {
	if m.mu.failSyncIn == 0 {
		return false
	}
	m.mu.failSyncIn--
	return m.mu.failSyncIn == 0
}

func (s *memSpace) has(pages int64) bool { return s.max == 0 || s.used+pages <= s.max }

// unlimitedBytes is the size that a disk without a capacity reports.
const unlimitedBytes = 1 << 50

// Usage reports the capacity and what is left of it.
func (m *Mem) Usage(dir string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.halted {
		return Usage{}, pathError("read usage of", dir, ErrHalted)
	}
	if _, err := m.findLocked(dir); err != nil {
		return Usage{}, pathError("read usage of", dir, err)
	}
	total := int64(unlimitedBytes)
	if m.mu.space.max > 0 {
		total = m.mu.space.max * pageBytes
	}
	return Usage{TotalBytes: total, FreeBytes: max(0, total-m.mu.space.used*pageBytes)}, nil
}
