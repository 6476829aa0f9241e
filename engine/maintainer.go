package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// maintainer prepares a log's next segment file and seals its full segments,
// off the committer's path. Its goroutine lives only while there is work; the
// simulator calls step itself.
type maintainer struct {
	log *Log

	mu struct {
		sync.Mutex
		running    bool
		stopped    bool
		activating bool  // next.tmp is about to get its final name
		wanted     bool  // a successor is wanted
		retry      bool  // there may be room again for it
		need       int64 // it must have at least so many bytes
		successor  *successor
		changed    chan struct{} // closed at the next seal, poison or stop
	}
	filling filling
	done    sync.WaitGroup
}

// successor is a file whose blocks exist and that has no header yet.
type successor struct {
	file   vfs.File
	bytes  int64
	filled int64 // bytes from the start that hold written zeros
}

// poke starts the maintainer if it is not running.
func (k *maintainer) poke() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.running || k.mu.stopped || k.log.engine.opts.manual {
		return
	}
	k.mu.running = true
	k.done.Go(k.run)
}

func (k *maintainer) run() {
	for {
		for k.step() {
		}
		k.mu.Lock()
		if k.mu.stopped || !k.dueLocked() {
			k.mu.running = false
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
	}
}

// dueLocked reports work that came up after the last step looked.
func (k *maintainer) dueLocked() bool {
	if k.log.failed() {
		return false // whatever is due stays so
	}
	return k.successorDueLocked() && (k.mu.retry || k.log.roomError() == nil) || k.fillDueLocked() || k.log.sealable() != nil
}

// step does one piece of work and reports whether it did any.
func (k *maintainer) step() bool {
	if k.log.failed() {
		return false
	}
	if s := k.log.sealable(); s != nil {
		return k.sealOldest(s)
	}
	if bytes := k.successorDue(); bytes > 0 {
		return k.prepare(bytes)
	}
	return k.fill()
}

// sealable is the oldest segment that takes no more records, is durable to its
// end and has no footer yet.
func (l *Log) sealable() *segmentFile {
	list := *l.segments.Load()
	for i := max(0, len(list)-2); i < len(list); i++ {
		s := list[i]
		if !s.ended() && l.retired(s) && l.durableToEnd(s) {
			return s
		}
	}
	return nil
}

// retired reports whether s takes no more records.
func (l *Log) retired(s *segmentFile) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.tail != s
}

// durableToEnd reports whether all that was encoded for a retired segment is
// durable.
func (l *Log) durableToEnd(s *segmentFile) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.tail.end == s.durableEnd.Load()
}

// wantSuccessor asks for a prepared file of at least so many bytes.
func (k *maintainer) wantSuccessor(bytes int64) {
	k.mu.Lock()
	known := k.mu.wanted && k.mu.need >= bytes
	k.mu.wanted, k.mu.need = true, max(k.mu.need, bytes)
	k.mu.Unlock()
	if !known {
		k.poke()
	}
}

func (k *maintainer) successorDueLocked() bool {
	return k.mu.wanted && !k.mu.activating && (k.mu.successor == nil || k.mu.successor.bytes < k.mu.need)
}

// successorDue is the size of the file to prepare, 0 if none is to be.
func (k *maintainer) successorDue() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.stopped || !k.successorDueLocked() {
		return 0
	}
	k.mu.retry = false
	return k.mu.need
}

// retryRoom makes the maintainer look again for room, if it found none.
func (k *maintainer) retryRoom() {
	k.mu.Lock()
	k.mu.retry = k.successorDueLocked()
	due := k.mu.retry
	k.mu.Unlock()
	if due {
		k.poke()
	}
}

// shrinkNeed makes the file that is to be prepared smaller if the disk turned
// out to have less room for segments than was thought, and reports whether it
// did. What records were assigned to already keeps its size.
func (k *maintainer) shrinkNeed() bool {
	l := k.log
	k.mu.Lock()
	defer k.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	list := *l.segments.Load()
	if l.mu.tail != nil && (len(list) == 0 || list[len(list)-1] != l.mu.tail) {
		return false
	}
	l.mu.nextCapacity = min(l.mu.nextCapacity, l.capacityFor(l.mu.nextCapacity, 0))
	shrunk := l.mu.nextCapacity < k.mu.need
	k.mu.need = min(k.mu.need, l.mu.nextCapacity)
	return shrunk
}

func (l *Log) plannedCapacity() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.nextCapacity
}

// prepare makes next.tmp, or makes it larger. Without room, or a file descriptor,
// appends that need a new segment are refused until a later try succeeds.
func (k *maintainer) prepare(bytes int64) bool {
	next, err := k.makeSuccessor(bytes)
	var full *BackpressureError
	if isNoSpace(err) && k.shrinkNeed() {
		return true
	}
	if errors.As(err, &full) || isOutOfRoom(err) {
		k.log.setNoRoom(err)
		k.log.engine.coordinator.poke()
		return false
	}
	if err != nil {
		k.log.poison(err)
		return false
	}
	k.mu.Lock()
	k.mu.successor = next
	k.mu.Unlock()
	k.log.setNoRoom(nil)
	k.log.signal()
	k.log.engine.reserve.takeBack(k.log.engine.opts.Logger)
	return true
}

func (k *maintainer) makeSuccessor(bytes int64) (*successor, error) {
	l := k.log
	next := k.takeSuccessor()
	if next == nil {
		next = &successor{}
	}
	grow := bytes - next.bytes
	if !l.engine.hot.take(grow) {
		return nil, errors.Join(l.budgetError(grow), k.putBack(next))
	}
	err := l.engine.disk.take(l.id, grow, bytes, func() error { return k.allocate(next, bytes) })
	if err == nil {
		err = next.file.Sync()
	}
	if err != nil {
		l.engine.hot.giveBack(grow)
		return nil, fmt.Errorf("allocate successor: %w", errors.Join(err, k.drop(next)))
	}
	next.bytes = bytes
	return next, nil
}

// allocate gives the successor blocks, and a file if it has none.
func (k *maintainer) allocate(next *successor, bytes int64) (err error) {
	if next.file == nil {
		if next.file, err = k.log.engine.opts.FS.Create(k.log.paths.successor()); err != nil {
			return err
		}
	}
	return next.file.Allocate(bytes, segmentAllocation)
}

// segmentAllocation is how segment files get their blocks.
const segmentAllocation = vfs.Reserved

func (l *Log) budgetError(bytes int64) error {
	return &BackpressureError{
		Log: l.name, Kind: Admission, RetryAfter: backpressureRetry,
		Full: fmt.Sprintf("hot budget: %d of %d bytes are used and the next segment takes %d", l.engine.hot.used.Load(), l.engine.hot.limit, bytes),
	}
}

// putBack keeps a successor that could not grow, or removes one that is empty.
func (k *maintainer) putBack(next *successor) error {
	if next.bytes == 0 {
		return k.drop(next)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.successor = next
	return nil
}

// drop closes and removes next.tmp.
func (k *maintainer) drop(next *successor) error {
	k.log.engine.hot.giveBack(next.bytes)
	if next.file == nil {
		return nil
	}
	err := next.file.Close()
	return errors.Join(err, k.log.engine.opts.FS.Remove(k.log.paths.successor()))
}

func (k *maintainer) takeSuccessor() *successor {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.mu.successor
	k.mu.successor = nil
	return next
}

// activate turns the successor into the segment s: header, sync, rename,
// directory sync, SegmentOpened in the manifest. It returns errStalled, having asked for what is missing, when
// there is no successor yet or an older segment is still unsealed.
func (k *maintainer) activate(s *segmentFile) error {
	if k.olderUnsealed() {
		k.poke()
		return errStalled
	}
	next := k.claim(s.tail.capacity)
	if next == nil {
		k.wantSuccessor(s.tail.capacity)
		k.poke()
		return errStalled
	}
	defer k.claimed()
	s.header.AllocatedBytes = uint64(next.bytes) // nobody looks at it before the file has its name
	err := k.rename(next.file, s)
	if err == nil {
		err = k.log.recordOpened(s)
	}
	if err != nil {
		k.log.engine.hot.giveBack(next.bytes) // the log ends here, and other logs go on
		return fmt.Errorf("activate segment %d: %w", s.id(), errors.Join(err, next.file.Close()))
	}
	s.file = next.file
	s.bytes.Store(next.bytes)
	k.log.addSegment(s)
	k.log.emit(Event{Kind: EventSegmentOpened, Segment: s.id(), FirstSeq: s.baseSeq(), Bytes: next.bytes})
	return nil
}

// claim takes the successor for an activation if it is large enough; next.tmp
// is not made anew until claimed is called.
func (k *maintainer) claim(bytes int64) *successor {
	k.filling.io.Lock()
	defer k.filling.io.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.mu.successor
	if next == nil || next.bytes < bytes {
		return nil
	}
	k.mu.successor, k.mu.activating = nil, true
	k.mu.wanted, k.mu.need, k.filling.share = false, 0, 0
	return next
}

func (k *maintainer) claimed() {
	k.mu.Lock()
	k.mu.activating = false
	k.mu.Unlock()
	k.poke()
}

func (k *maintainer) rename(file vfs.File, s *segmentFile) error {
	var header [segment.HeaderBytes]byte
	s.header.Encode(&header)
	if _, err := file.WriteAt(header[:], 0); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	if err := file.SyncData(); err != nil {
		return fmt.Errorf("sync header: %w", err)
	}
	l := k.log
	if err := l.engine.opts.FS.Rename(l.paths.successor(), s.path); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if err := l.patient().SyncDir(l.paths.segments); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// recordOpened notes in the manifest that s takes records from now on, and,
// with the first segment of an owner, whose it is.
func (l *Log) recordOpened(s *segmentFile) error {
	err := l.journal.record(append(l.journal.ownerRecords(s.header.Epoch), openedRecord(s.header))...)
	if err != nil {
		return fmt.Errorf("record that it is opened: %w", err)
	}
	return nil
}

// olderUnsealed reports whether a segment before the last one has no footer: at
// most two unsealed segments exist.
func (k *maintainer) olderUnsealed() bool {
	list := *k.log.segments.Load()
	return len(list) >= 2 && !list[len(list)-2].ended()
}

// discardSuccessor removes next.tmp when the log closes.
func (k *maintainer) discardSuccessor() error {
	if next := k.takeSuccessor(); next != nil {
		return k.drop(next)
	}
	return nil
}

// stop finishes what is due and waits for the goroutine to end.
func (k *maintainer) stop() {
	k.mu.Lock()
	k.mu.stopped = true
	k.mu.Unlock()
	k.done.Wait()
	for more := true; more; {
		more = k.log.sealable() != nil && k.step()
	}
	k.wakeWaiters()
}

// awaitSealed waits until s has a footer.
func (k *maintainer) awaitSealed(ctx context.Context, s *segmentFile) error {
	for {
		changed := k.change()
		if s.seal.Load() != nil {
			return nil
		}
		if err := k.log.endError(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *maintainer) change() chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.changed == nil {
		k.mu.changed = make(chan struct{})
	}
	return k.mu.changed
}

// wakeWaiters makes awaitSealed look again.
func (k *maintainer) wakeWaiters() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.changed != nil {
		close(k.mu.changed)
		k.mu.changed = nil
	}
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
