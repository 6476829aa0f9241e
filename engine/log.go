package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// Log is one append-only sequence of records. All methods are safe for
// concurrent use.
type Log struct {
	engine *Engine
	name   string
	id     uint64
	opts   LogOptions
	paths  logLayout

	defaultSubject []byte
	fixed          logFile
	folder         *bucket.Folder // nil: the engine has no bucket

	// segments is the list that readers search: immutable, in order of id,
	// replaced as a whole by the committer and by recovery.
	segments atomic.Pointer[[]*segmentFile]

	appended atomic.Uint64
	written  atomic.Uint64
	durable  atomic.Uint64
	cold     atomic.Uint64

	flushed   atomic.Uint64 // bytes encoded so far that are durable
	subjects  subjectTracker
	recovery  RecoveryReport
	committer committer
	keeper    maintainer
	started   atomic.Bool // it is open: start was called
	journal   journal
	wake      chan struct{} // one pending signal for the committer
	stopped   chan struct{} // closed when the committer has ended
	released  chan struct{} // closed when Close has let everything go

	// moves are the moves between tiers that are under way; moving ends them.
	moves     sync.WaitGroup
	moving    context.Context
	stopMoves context.CancelFunc

	// claiming is held while the epoch is claimed in the bucket: once, by the
	// first upload.
	claiming struct {
		sync.Mutex
		epoch atomic.Uint64 // that was claimed
		// overtook says that others had claimed before, and that the bucket was
		// looked through for what they put. It is written before epoch is.
		overtook bool
	}

	// emitting is held while OnEvent runs.
	emitting sync.Mutex
	// refreshing is held while a read-only log looks at its files again. It guards
	// superseded, the keys in a bucket that were told not to be part of the log.
	refreshing sync.Mutex
	superseded map[string]bool

	mu struct {
		sync.Mutex
		open    *commitBuffer // what appends go to
		tail    *segmentFile  // where the next record goes; nil: a new segment
		encoded uint64        // bytes encoded so far, for the unflushed limit

		signaled   bool             // wake holds a signal that the committer has not yet taken
		demandSeq  uint64           // somebody wants everything up to here durable
		swappedSeq uint64           // last sequence that the committer has taken
		syncing    bool             // a sync that covers swappedSeq is under way
		flight     []chan struct{}  // closed when what was taken is durable
		follow     [3]chan struct{} // closed at the next advance of a level's watermark
		pressure   pressure

		dedup  *dedupIndex
		lastID []byte // message id of the last record, empty if it had none
		// lastIDUnread says that the last record was not read yet: it is only in
		// the bucket.
		lastIDUnread bool
		// lastIDDoubt is the damage that the last record was found in.
		lastIDDoubt *DamageError
		dedupDoubt  dedupDoubt
		dedupUnread dedupUnread

		nextSegmentID uint64
		nextCapacity  int64
		epoch         uint64
		epochTaken    bool // this owner has written its epoch
		failure       error
		uploadStop    error // why nothing is uploaded any more
		appendStop    error // why nothing is appended until the log is opened again
		closing       bool
	}
}

// Watermarks are sequence numbers that only grow. Each is the last sequence for
// which it holds; 0 means none.
type Watermarks struct {
	Appended uint64 // has a number, may be only in memory
	Written  uint64 // in the page cache
	Durable  uint64 // on stable storage
	Cold     uint64 // in the object store
	Trimmed  uint64 // removed by retention, up to here
}

func newLog(e *Engine, name string, id uint64, opts LogOptions) *Log {
	l := &Log{
		engine: e, name: name, id: id, opts: opts, paths: newLogLayout(e.dir, name), defaultSubject: []byte(name),
		wake: make(chan struct{}, 1), stopped: make(chan struct{}), released: make(chan struct{}),
	}
	l.segments.Store(&[]*segmentFile{})
	l.mu.open = new(commitBuffer)
	l.committer.spare = new(commitBuffer)
	l.mu.nextSegmentID = 1
	l.mu.nextCapacity = opts.SegmentBytesMin
	l.mu.dedup = newDedupIndex(opts.Dedup)
	l.committer.log = l
	l.keeper.log = l
	l.journal.log = l
	l.journal.published.Store(manifest.NewState())
	l.subjects.log = l
	l.subjects.limit = subjectsTrackedMax
	l.subjects.fetching, l.subjects.fetched = make(map[string]bool), make(map[string]subjectHistory)
	l.subjects.besideBytes, l.subjects.sketchBytes = besideBytesMax, sketchBytesMax
	l.moving, l.stopMoves = context.WithCancel(context.Background())
	return l
}

// start begins to commit what is appended.
func (l *Log) start() {
	l.started.Store(true)
	if !l.hasTail() {
		l.keeper.wantSuccessor(l.plannedCapacity())
	}
	if l.engine.opts.manual {
		close(l.stopped)
		return
	}
	go l.committer.run()
}

// Name is the log's name.
func (l *Log) Name() string { return l.name }

// ID is the random number that tells this log from any other of its name.
func (l *Log) ID() uint64 { return l.id }

// Watermarks returns the log's watermarks without taking a lock.
func (l *Log) Watermarks() Watermarks {
	return Watermarks{
		Appended: l.appended.Load(), Written: l.written.Load(), Durable: l.durable.Load(), Cold: l.cold.Load(),
		Trimmed: l.journal.state().Log().TrimmedTo,
	}
}

// watermark is the watermark of a level.
func (l *Log) watermark(level Level) uint64 {
	switch level {
	case Written:
		return l.written.Load()
	case Durable:
		return l.durable.Load()
	default:
		return l.cold.Load()
	}
}

// Seal seals the active segment, if it holds records, and waits until it is
// sealed on disk. The next append opens a new segment.
func (l *Log) Seal(ctx context.Context) error {
	l.mu.Lock()
	tail := l.mu.tail
	if err := l.usableLocked(); err != nil || tail == nil || tail.tail.records == 0 {
		l.mu.Unlock()
		return err
	}
	last := tail.tail.lastSeq
	l.retireTailLocked()
	l.mu.Unlock()
	if err := l.Wait(ctx, last, Durable); err != nil {
		return err
	}
	l.keeper.poke()
	return l.keeper.awaitSealed(ctx, tail)
}

// retireTailLocked ends the active segment: the next record opens a new one.
func (l *Log) retireTailLocked() {
	if l.mu.tail != nil {
		l.engine.unsealed.Add(-1)
	}
	l.mu.tail = nil
}

func (l *Log) retireTail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retireTailLocked()
}

// setTailLocked makes s the active segment.
func (l *Log) setTailLocked(s *segmentFile) {
	l.engine.unsealed.Add(1)
	l.mu.tail = s
}

// untilSealByAge is how long the active segment may still take records.
func (l *Log) untilSealByAge() time.Duration {
	if l.opts.SegmentAgeMax == 0 {
		return idleForever
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.tail == nil || l.mu.tail.tail.records == 0 {
		return idleForever
	}
	// A segment is made for its first record.
	return max(0, l.opts.SegmentAgeMax-time.Duration(l.now()-l.mu.tail.header.Created))
}

// sealByAge ends the active segment when its first record is old enough.
func (l *Log) sealByAge() {
	if l.untilSealByAge() > 0 {
		return
	}
	l.retireTail()
	l.keeper.poke()
}

func (l *Log) hasTail() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.tail != nil
}

// signal makes the committer look.
func (l *Log) signal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signalLocked()
}

func (l *Log) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failure != nil
}

func (l *Log) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.closing
}

// endError is why the log commits no more, nil while it does.
func (l *Log) endError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endedLocked()
}

// endedBy is ErrClosed for what Close cut off, and err for everything else.
func (l *Log) endedBy(err error) error {
	if errors.Is(err, context.Canceled) && l.closed() {
		return ErrClosed
	}
	return err
}

// usableLocked says why the log takes no appends, nil if it does.
func (l *Log) usableLocked() error {
	switch {
	case l.mu.failure != nil:
		return l.mu.failure
	case l.mu.closing:
		return ErrClosed
	case l.engine.readOnly:
		return ErrReadOnly
	}
	return nil
}

// poison ends the log's life as a writer: nothing more is appended or
// acknowledged. The first cause wins.
func (l *Log) poison(cause error) {
	l.mu.Lock()
	first := l.mu.failure == nil
	if first {
		l.mu.failure = fmt.Errorf("%w: log %s: %w", ErrPoisoned, l.name, cause)
	}
	failure := l.mu.failure
	waiters := l.takeWaitersLocked()
	l.signalLocked()
	l.mu.Unlock()
	for _, waiter := range waiters {
		close(waiter)
	}
	l.keeper.wakeWaiters()
	l.engine.disk.forget(l.id)
	if first {
		l.engine.opts.Logger.Error("log_poisoned", "group", "aof2.flush", "log", l.name, "error", cause)
		l.emit(Event{Kind: EventLogPoisoned, Err: failure})
	}
}

// emit sends an event with the log's name and the time filled in. It is never
// called under Log.mu.
func (l *Log) emit(event Event) {
	l.emitting.Lock()
	defer l.emitting.Unlock()
	event.Log = l.name
	event.Time = l.engine.opts.Now().UnixNano()
	l.engine.opts.OnEvent(event)
}

// addSegment publishes a list that ends with s.
func (l *Log) addSegment(s *segmentFile) {
	old := *l.segments.Load()
	list := make([]*segmentFile, 0, len(old)+1)
	list = append(append(list, old...), s)
	l.segments.Store(&list)
}

// capacityFor is the size of the segment after one of this size, and at least
// large enough for records of so many bytes.
func (l *Log) capacityFor(previous, recordBytes int64) int64 {
	room := l.engine.hot.limit
	if disk := l.engine.disk.segmentsMax.Load(); disk > 0 {
		room = min(room, disk)
	}
	share := room / (8 * max(1, l.engine.unsealed.Load()))
	target := max(l.opts.SegmentBytesMin, min(l.opts.SegmentBytesMax, share))
	capacity := min(target, 2*previous)
	if previous == 0 {
		capacity = min(target, l.opts.SegmentBytesMin)
	}
	for capacity < l.opts.SegmentBytesMax && !emptyTail(capacity).fits(recordBytes) {
		capacity = min(2*capacity, l.opts.SegmentBytesMax)
	}
	return capacity
}

func emptyTail(capacity int64) *tail {
	return &tail{capacity: capacity, end: segment.HeaderBytes}
}

// now is the engine's clock in nanoseconds.
func (l *Log) now() int64 { return l.engine.opts.Now().UnixNano() }
