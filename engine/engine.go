package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// Engine owns a root directory: its lock, its byte budget and its logs. All
// methods are safe for concurrent use.
type Engine struct {
	dir      string
	opts     Options
	readOnly bool
	// bucketOnly says that dir is the URL of a bucket and there is no root.
	bucketOnly bool
	root       rootFile
	lock       rootLock
	hot        hotBudget
	reserve    reserve
	disk       *diskRoom
	blocks     blockPool
	syncs      syncTurns
	unsealed   atomic.Int64 // logs that have an unsealed segment
	warm       atomic.Int64 // bytes of warm files

	// bucket is the cold tier, nil if there is none. token tells this owner's
	// claims there from any other's.
	bucket *bucket.Bucket
	token  string
	// bucketFailed is why a read-only engine is without the bucket that it was told.
	bucketFailed error
	objects      *objectCache
	coordinator  *coordinator
	budgets      planner.Budgets

	// lifecycle serialises opening and closing, which do I/O.
	lifecycle sync.Mutex

	mu struct {
		sync.Mutex
		logs   map[string]*Log
		closed bool
	}
}

// Open opens the root at dir for writing and makes it if there is none. One
// engine at a time may have a root open: ErrRootInUse says that another has.
func Open(dir string, opts Options) (*Engine, error) {
	opts.ensureDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if err := checkRoot(opts.FS, dir); err != nil {
		return nil, err
	}
	e := newEngine(dir, opts)
	if err := e.openParts(); err != nil {
		return nil, errors.Join(err, e.letGo())
	}
	e.coordinator.start()
	return e, nil
}

// openParts opens what an engine has. Whatever may refuse is asked before the
// root is made or changed, so that a refused start leaves no trace there.
func (e *Engine) openParts() error {
	made, err := e.lockMadeRoot()
	if err != nil {
		return err
	}
	if err := e.openBucket(); err != nil {
		return err
	}
	if err := e.probeBucket(); err != nil {
		return err
	}
	if !made {
		if err := e.takeRoot(); err != nil {
			return err
		}
	}
	if err := e.openRoot(); err != nil {
		return err
	}
	return e.rememberBucket()
}

// letGo gives up the bucket and the lock, if they are held.
func (e *Engine) letGo() (err error) {
	if e.bucket != nil {
		err = e.bucket.Close()
	}
	return errors.Join(err, e.lock.release())
}

func newEngine(dir string, opts Options) *Engine {
	e := &Engine{dir: dir, opts: opts, syncs: newSyncTurns(), budgets: planner.NewBudgets(opts.HotBytesMax, opts.WarmBytesMax)}
	e.mu.logs = make(map[string]*Log)
	e.token = fmt.Sprintf("%016x", opts.random())
	e.objects = newObjectCache(opts.IndexBytesMax)
	e.coordinator = newCoordinator(e)
	e.disk = newDiskRoom(e)
	return e
}

// rememberBucket notes in the root which bucket it is used with, for those who
// open it without being told.
func (e *Engine) rememberBucket() error {
	if e.bucket == nil || e.root.Bucket == e.bucket.String() {
		return nil
	}
	e.root.Bucket = e.bucket.String()
	return writeJSON(e.opts.FS, filepath.Join(e.dir, engineFileName), e.root)
}

// openBucket opens the cold tier, if one is configured.
func (e *Engine) openBucket() (err error) {
	if e.opts.Bucket == "" {
		return nil
	}
	used := false
	if !e.readOnly {
		if used, err = e.usedBucket(); err != nil {
			return err
		}
	}
	e.bucket, err = bucket.Open(context.Background(), bucket.Options{
		URL: e.opts.Bucket, FS: e.opts.BucketFS, ReadOnly: e.readOnly, Existing: used, AllowUnfenced: e.opts.AllowUnfencedBucket,
		Retry: e.opts.bucketRetry, Now: e.opts.Now, Random: randomReader(e.opts.random), Logger: e.opts.Logger, Wrap: e.opts.wrapBucket,
	})
	if errors.Is(err, bucket.ErrURL) {
		err = fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	return err
}

func (e *Engine) openRoot() (err error) {
	if e.root, err = openRoot(e.opts.FS, e.dir, e.opts.Now().UnixNano()); err != nil {
		return err
	}
	e.hot.limit = e.opts.HotBytesMax
	e.reserve.fs, e.reserve.path, e.reserve.bytes = e.opts.FS, filepath.Join(e.dir, reserveFileName), e.opts.reserveBytes
	return e.reserve.restore()
}

// OpenReadOnly opens the root at dir without a lock and without writing to it;
// another process may be appending to it. Its logs serve the prefix that was
// durable at the last Refresh, from the root and from the bucket that the root
// was used with last.
//
// dir may be the URL of a bucket instead (see Options.Bucket): then there is
// nothing but the bucket, and its logs serve what is cold.
func OpenReadOnly(dir string) (*Engine, error) {
	if strings.Contains(dir, "://") {
		return openBucketOnly(dir, Options{})
	}
	return openReadOnly(dir, Options{})
}

func openReadOnly(dir string, opts Options) (*Engine, error) {
	opts.ensureDefaults()
	root, err := readRoot(opts.FS, dir)
	if isUnmarked(opts.FS, dir, err) {
		root, err = rootFile{}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is no root (it has no %s)", ErrNotFound, dir, engineFileName)
	}
	if err != nil {
		return nil, err
	}
	if opts.Bucket == "" {
		opts.Bucket = root.Bucket
	}
	e := newEngine(dir, opts)
	e.readOnly, e.root = true, root
	if err := e.openBucket(); err != nil {
		// The caller did not choose it: the root names it.
		e.bucketFailed = fmt.Errorf("%w: the root was used with the bucket %s, which cannot be opened: %s; open the root with serve --bucket URL, or read the bucket by its URL",
			ErrUnsupported, e.bucketURL(), err.Error())
		opts.Logger.Warn("bucket_not_opened", "group", "aof2.tier2", "bucket", opts.Bucket, "error", err) // what is local can be read
	}
	return e, nil
}

// whyWithoutBucket is why no bucket is open.
func (e *Engine) whyWithoutBucket() error {
	switch {
	case e.bucketFailed != nil:
		return e.bucketFailed
	case e.root.Bucket != "":
		return fmt.Errorf("%w: the root was used with the bucket %s and is opened without it", ErrUnsupported, e.root.Bucket)
	}
	return fmt.Errorf("%w: the root names no bucket: open it with serve --bucket URL, or read the bucket by its URL", ErrUnsupported)
}

// logByID is the open log with an id, nil if there is none.
func (e *Engine) logByID(id uint64) *Log {
	for _, log := range e.openLogs() {
		if log.id == id {
			return log
		}
	}
	return nil
}

// uniform is a random number in [0, 1).
func (e *Engine) uniform() float64 { return float64(e.opts.random()>>11) / (1 << 53) }

// forget drops a closed log, so that it can be opened again.
func (e *Engine) forget(log *Log) {
	e.coordinator.forget(log)
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.mu.logs, func(_ string, opened *Log) bool { return opened == log }) // by whatever name
}

// Refresh makes the logs of a read-only engine see what became durable since.
func (e *Engine) Refresh() error {
	if !e.readOnly {
		return nil
	}
	var failures []error
	for _, log := range e.openLogs() {
		failures = append(failures, log.refresh())
	}
	return errors.Join(failures...)
}

func (e *Engine) openLogs() []*Log {
	e.mu.Lock()
	defer e.mu.Unlock()
	logs := make([]*Log, 0, len(e.mu.logs))
	for _, log := range e.mu.logs {
		logs = append(logs, log)
	}
	return logs
}

// Close closes every log cleanly and gives the root up. Calling it again
// returns nil.
func (e *Engine) Close() error {
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	if e.markClosed() {
		return nil
	}
	var failures []error
	for _, log := range e.openLogs() {
		failures = append(failures, log.Close())
	}
	e.coordinator.close()
	failures = append(failures, e.letGo())
	return errors.Join(failures...)
}

func (e *Engine) markClosed() (was bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was, e.mu.closed = e.mu.closed, true
	return was
}

// randomReader reads bytes of random numbers.
type randomReader func() uint64

// Read implements io.Reader.
func (r randomReader) Read(p []byte) (int, error) {
	for at := 0; at < len(p); {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], r())
		at += copy(p[at:], word[:])
	}
	return len(p), nil
}

// randomID returns a random number that is not zero.
func randomID() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}
