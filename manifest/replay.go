package manifest

// This file is replay: newest good snapshot, then the chunks behind it. It only
// reads.

import (
	"errors"
	"fmt"
	"slices"

	"github.com/minio/crc64nvme"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// replay is one pass over a manifest directory.
type replay struct {
	fsys  vfs.FS
	dir   string
	logID uint64 // 0: any
	// provenOnly leaves out what the last chunk does not prove to be durable.
	provenOnly bool
	// visit, if set, sees every chunk after its scan; before, every ordinal before
	// its record is applied.
	visit  func(*scannedChunk)
	before func(ordinal uint64)

	state    *builder
	snapshot *Snapshot
	recovery *Recovery
	listing  listing
	next     uint64 // ordinal that follows what was read
	last     *scannedChunk
	previous *scannedChunk // the one that was read before last
}

// loadedChunk is a chunk file in memory.
type loadedChunk struct {
	index     uint64
	path      string
	image     []byte
	header    ChunkHeader
	headerErr error
}

// scannedChunk is a chunk and what the scan says of it.
type scannedChunk struct {
	loadedChunk
	chunkScan
	first uint64 // ordinal of its first record, as far as is known
	isEnd bool   // no chunk follows
}

func (r *replay) run() error {
	var err error
	if r.listing, err = list(r.fsys, r.dir); err != nil {
		return err
	}
	r.recovery = &Recovery{Skipped: map[RecordType]uint64{}, UnknownFiles: r.listing.unknown}
	snapshot, damage, err := newestSnapshot(r.fsys, r.dir, r.logID, r.listing.snapshots)
	if err != nil {
		return err
	}
	r.recovery.Damage = damage
	if err := r.runFrom(snapshot); err != nil {
		return err
	}
	return r.withoutUnreadable(damage)
}

// withoutUnreadable is why the replay is not enough without the snapshots that
// cannot be read, nil if it is: an older one and all chunks behind it say the same.
func (r *replay) withoutUnreadable(snapshots []*DamageError) error {
	at := slices.IndexFunc(snapshots, func(d *DamageError) bool { return isUnreadable(d) })
	if at < 0 || r.snapshot != nil && len(r.recovery.Damage) == len(snapshots) && !r.endsSealed() {
		return nil
	}
	return snapshots[at].Cause
}

// runFrom replays what stands behind a snapshot; nil: everything.
func (r *replay) runFrom(snapshot *Snapshot) error {
	r.state, r.next = edit(NewState()), 1
	from := uint64(0)
	if snapshot != nil {
		r.snapshot, r.recovery.SnapshotID = snapshot, snapshot.SnapshotID
		r.state, r.next, from = edit(snapshot.State), snapshot.Ordinal, snapshot.ChunkIndex
	}
	indexes := r.listing.chunks
	indexes = indexes[lowerBound(indexes, from):]
	if err := r.replayChunks(indexes); err != nil {
		return err
	}
	if snapshot != nil && snapshot.ChunkIndex > 0 && len(indexes) == 0 {
		r.missingEnd()
	}
	r.state.nextOrdinal = max(r.state.nextOrdinal, r.next)
	r.state.lenient = false
	return nil
}

func lowerBound(sorted []uint64, from uint64) int {
	at, _ := slices.BinarySearch(sorted, from)
	return at
}

func (r *replay) replayChunks(indexes []uint64) error {
	var chunk, next *loadedChunk
	var err error
	for i, index := range indexes {
		if chunk = next; chunk == nil {
			if chunk, err = r.load(index); err != nil {
				return err
			}
		}
		if next = nil; i+1 < len(indexes) {
			if next, err = r.load(indexes[i+1]); err != nil {
				return err
			}
		}
		if err := r.replayChunk(chunk, next); err != nil {
			return fmt.Errorf("%s: %w", chunk.path, err)
		}
	}
	return nil
}

// load reads a chunk and its header. Only what forbids going on is an error.
func (r *replay) load(index uint64) (*loadedChunk, error) {
	c := &loadedChunk{index: index, path: chunkPath(r.dir, index)}
	var err error
	if c.image, err = readChunk(r.fsys, c.path); err != nil {
		return nil, err
	}
	c.header, c.headerErr = DecodeChunkHeader(c.image)
	if c.headerErr == nil && c.header.ChunkIndex != index {
		c.headerErr = fmt.Errorf("chunk header: index %d: %w", c.header.ChunkIndex, ErrInvalid)
	}
	switch {
	case c.headerErr == nil && r.logID != 0 && c.header.LogID != r.logID:
		return nil, fmt.Errorf("%s: log id %016x, not %016x: %w", c.path, c.header.LogID, r.logID, ErrWrongLog)
	case errors.Is(c.headerErr, ErrNewerVersion):
		return nil, fmt.Errorf("%s: %w", c.path, c.headerErr)
	}
	return c, nil
}

// replayChunk scans one chunk, which next follows, and applies its records.
func (r *replay) replayChunk(chunk, next *loadedChunk) error {
	s := &scannedChunk{loadedChunk: *chunk, isEnd: next == nil}
	if chunk.headerErr != nil {
		r.damaged(&DamageError{Path: chunk.path, Chunk: chunk.index, LengthBytes: int64(min(len(chunk.image), chunkHeaderBytes)),
			FirstOrdinal: 1, Cause: chunk.headerErr})
	}
	task := r.task(s, next)
	s.first = task.first
	s.chunkScan = task.run()
	if s.first == 0 {
		r.findFirst(s)
	}
	r.gapBefore(s, s.first)
	r.previous, r.last = r.last, s
	r.recovery.Chunks++
	if r.visit != nil {
		r.visit(s)
	}
	var err error
	if r.next, err = r.applyItems(s); err != nil {
		return err
	}
	r.checkSums(s, next)
	return nil
}

// task gathers what is known of a chunk.
func (r *replay) task(s *scannedChunk, next *loadedChunk) *scanTask {
	t := &scanTask{image: s.image, start: chunkHeaderBytes, first: r.next, last: s.isEnd}
	h := &s.header
	switch {
	case s.headerErr == nil:
		t.first, t.allocated = h.BaseRecord, int(h.AllocatedBytes)
	case !r.follows(s.index):
		t.first = 0 // chunks before it are gone, nobody knows with how many records
	}
	if s.headerErr == nil && h.Sealed() {
		t.sealedEnd = chunkHeaderBytes + int(h.RecordBytes)
		t.nextFirst = h.BaseRecord + h.RecordCount
	} else if next != nil && next.headerErr == nil {
		t.nextFirst = next.header.BaseRecord
	}
	if r.snapshot != nil && r.snapshot.ChunkIndex == s.index && r.snapshot.ChunkOffset >= chunkHeaderBytes {
		t.start, t.first = int(r.snapshot.ChunkOffset), r.snapshot.Ordinal
		if t.start > len(t.image) {
			t.start = len(t.image)
			t.allocated = max(t.allocated, int(r.snapshot.ChunkOffset))
		}
	}
	return t
}

// follows reports whether a chunk comes right after what was read.
func (r *replay) follows(index uint64) bool {
	switch {
	case r.last != nil:
		return index == r.last.index+1
	case r.snapshot != nil:
		return index == r.snapshot.ChunkIndex
	default:
		return index == 1
	}
}

// findFirst finds out where a chunk begins that nothing else tells: at its first
// record, or else above every ordinal that so many chunks can have given out.
func (r *replay) findFirst(s *scannedChunk) {
	for _, item := range s.items {
		if item.cause == nil {
			s.first = item.ordinal
			return
		}
	}
	s.items = nil
	s.first = max(r.next, s.index*(ChunkBytesMax/recordHeaderBytes))
	s.next = s.first
}

// gapBefore reports records that lie between what was read and a chunk.
func (r *replay) gapBefore(s *scannedChunk, first uint64) {
	switch {
	case first > r.next:
		missing := max(s.index, 2) - 1
		r.damaged(&DamageError{Path: chunkPath(r.dir, missing), Chunk: missing, Offset: chunkHeaderBytes,
			FirstOrdinal: r.next, LastOrdinal: first - 1, Cause: fmt.Errorf("records before chunk %d: %w", s.index, ErrMissing)})
	case first > 0 && first < r.next:
		r.damaged(&DamageError{Path: s.path, Chunk: s.index, FirstOrdinal: 1,
			Cause: fmt.Errorf("begins with record %d where %d is next: %w", first, r.next, ErrInvalid)})
	}
}

// damaged reports damage. What comes behind it may lack its causes.
func (r *replay) damaged(d *DamageError) {
	r.recovery.Damage = append(r.recovery.Damage, d)
	r.state.lenient = true
}

// applyItems returns the ordinal that follows what it applied.
func (r *replay) applyItems(s *scannedChunk) (next uint64, err error) {
	for _, item := range s.items {
		if item.cause != nil {
			r.damaged(s.damage(item))
			continue
		}
		if r.isUnproven(s, item) {
			return item.ordinal, nil
		}
		if r.before != nil {
			r.before(item.ordinal)
		}
		if err := r.applyRecord(s, item); err != nil {
			return 0, err
		}
	}
	return s.next, nil
}

// isUnproven reports whether a record is left out because nothing proves it
// durable. A LogClosed is not: what it says had been made durable before it was
// written.
func (r *replay) isUnproven(s *scannedChunk, item scanItem) bool {
	unproven := r.provenOnly && s.isEnd && !s.header.Sealed() && item.offset >= s.durableTo
	return unproven && !isLogClosed(s.image[item.offset:item.end])
}

// applyRecord applies one record that verifies.
func (r *replay) applyRecord(s *scannedChunk, item scanItem) error {
	record, err := interpretRecord(s.image[item.offset:item.end])
	if err != nil {
		return r.notUnderstood(s, item, err)
	}
	r.recovery.Records++
	if t := record.Type(); !t.Known() && t < TypeUserFirst {
		r.recovery.Skipped[t]++
	}
	if contradiction, ok := errors.AsType[*ContradictionError](r.state.apply(&record)); ok {
		r.recovery.Contradictions = append(r.recovery.Contradictions, contradiction)
		r.state.nextOrdinal = max(r.state.nextOrdinal, record.Ordinal+1)
	}
	return nil
}

// notUnderstood reports a record that verifies and cannot be meant. Of a newer
// version it is no damage, and the end.
func (r *replay) notUnderstood(s *scannedChunk, item scanItem, cause error) error {
	if errors.Is(cause, ErrNewerVersion) {
		return fmt.Errorf("record %d at %d: %w", item.ordinal, item.offset, cause)
	}
	item.cause, item.lost = cause, 1
	r.damaged(s.damage(item))
	return nil
}

// checkSums compares the checksums of a whole chunk, which damage inside it
// explains if there is any.
func (r *replay) checkSums(s *scannedChunk, next *loadedChunk) {
	for _, item := range s.items {
		if item.cause != nil {
			return
		}
	}
	sum := chainValue(s.image, s.end)
	report := func(path string, index uint64, offset int64, what string) {
		r.damaged(&DamageError{Path: path, Chunk: index, Offset: offset, LengthBytes: 8, FirstOrdinal: 1,
			Cause: fmt.Errorf("%s: %w", what, ErrCorrupt)})
	}
	if s.headerErr == nil && s.header.Sealed() && s.header.RecordsCRC64 != sum {
		report(s.path, s.index, 72, "checksum of the whole chunk")
	}
	if next != nil && next.headerErr == nil && next.index == s.index+1 && next.header.PreviousCRC64 != sum {
		report(next.path, next.index, 48, "checksum of the chunk before")
	}
	if r.snapshot != nil && r.snapshot.ChunkIndex == s.index && r.snapshot.ChainCRC64 != chainValue(s.image, int(r.snapshot.ChunkOffset)) {
		report(snapshotPath(r.dir, r.snapshot.SnapshotID), 0, 56, "chain value of the snapshot")
	}
}

// chainValue is the checksum of what stands behind a chunk's header, up to end.
func chainValue(image []byte, end int) uint64 {
	end = min(end, len(image))
	if end < chunkHeaderBytes {
		return 0
	}
	return crc64nvme.Checksum(image[chunkHeaderBytes:end])
}

// missingEnd reports that the chunk of the snapshot is gone and none follows:
// what came behind the snapshot is lost, at most as much as fits in a chunk.
func (r *replay) missingEnd() {
	lost := (ChunkBytesMax - r.snapshot.ChunkOffset) / recordHeaderBytes
	r.damaged(&DamageError{Path: chunkPath(r.dir, r.snapshot.ChunkIndex), Chunk: r.snapshot.ChunkIndex, Offset: int64(r.snapshot.ChunkOffset),
		FirstOrdinal: r.next, LastOrdinal: r.next + lost - 1, Cause: ErrMissing})
	r.next += lost
}
