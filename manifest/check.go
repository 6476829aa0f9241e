package manifest

// This file is the check of a whole manifest directory.

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Report is what Check found.
type Report struct {
	LogID uint64 // 0 if no header could be read
	// Chunks and Sealed count chunk files.
	Chunks, Sealed int
	// Records counts the records that verify, by type.
	Records map[RecordType]uint64
	// FirstOrdinal and NextOrdinal are the range that the chunks hold; equal if
	// they hold nothing.
	FirstOrdinal, NextOrdinal uint64
	// SnapshotsGood and SnapshotsCompared count snapshots that verify, and those
	// among them that agree with a replay up to their place.
	SnapshotsGood, SnapshotsCompared int
	// Damage is what does not verify, is missing, does not chain, or disagrees
	// with a replay.
	Damage         []*DamageError
	Contradictions []*ContradictionError
	// TornTail is what the next open would cut; nil: nothing.
	TornTail *Cut
	// ClosedCleanly says that the last chunk ends with a clean close.
	ClosedCleanly bool
	// Temporary and Unknown are files that are neither chunk nor snapshot.
	Temporary, Unknown []string
	// State is the result of a replay of everything; nil if that was not possible.
	State *State
}

// Err joins what is wrong; nil if nothing is. A torn tail is not wrong.
func (r *Report) Err() error {
	recovery := Recovery{Damage: r.Damage, Contradictions: r.Contradictions}
	return recovery.Err()
}

// Check reads everything in a manifest directory and verifies it: every record,
// ordinals without a gap, the checksums and the chain of chunks, every snapshot,
// and that each snapshot is what a replay up to its place gives. It changes
// nothing. The error says why it could not be done; what is wrong with the
// manifest is in the Report. fsys nil is the operating system.
func Check(fsys vfs.FS, dir string) (*Report, error) {
	if fsys == nil {
		fsys = vfs.OS()
	}
	found, err := list(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("check manifest: %w", err)
	}
	c := &checker{fsys: fsys, dir: dir, found: found,
		report: &Report{Records: map[RecordType]uint64{}, Temporary: found.temporary, Unknown: found.unknown}}
	for _, step := range []func() error{c.readSnapshots, c.readOlderChunks, c.replayAll} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("check manifest %s: %w", dir, err)
		}
	}
	return c.report, nil
}

type checker struct {
	fsys   vfs.FS
	dir    string
	found  listing
	report *Report
	// good are the snapshots that verify, by id; start is the one that replay
	// begins with, nil for the first record.
	good  []*Snapshot
	start *Snapshot
}

func (c *checker) readSnapshots() error {
	for _, id := range c.found.snapshots {
		snapshot, err := readSnapshot(c.fsys, snapshotPath(c.dir, id), id)
		switch {
		case err == nil:
			c.good = append(c.good, snapshot)
		case isDamage(err):
			c.report.Damage = append(c.report.Damage, &DamageError{Path: snapshotPath(c.dir, id), FirstOrdinal: 1, Cause: err})
		default:
			return err
		}
	}
	c.report.SnapshotsGood = len(c.good)
	c.chooseStart()
	return nil
}

// chooseStart begins as early as no chunk is missing: at the first record, or at
// a snapshot. What lies before the two newest snapshots may be pruned, and a
// crash may have taken any part of that away; from the older of them on nothing
// may be missing.
func (c *checker) chooseStart() {
	if c.isUnbroken(1) || len(c.good) == 0 {
		return
	}
	limit := max(0, len(c.good)-2)
	for _, snapshot := range c.good[:limit+1] {
		if c.start = snapshot; c.isUnbroken(max(snapshot.ChunkIndex, 1)) {
			return
		}
	}
}

// isUnbroken reports whether the directory has every chunk from an index on.
func (c *checker) isUnbroken(from uint64) bool {
	chunks := c.found.chunks[lowerBound(c.found.chunks, from):]
	return len(chunks) > 0 && chunks[0] == from && chunks[len(chunks)-1]-from == uint64(len(chunks)-1)
}

// readOlderChunks checks what lies before the place where replay begins.
func (c *checker) readOlderChunks() error {
	for _, index := range c.found.chunks {
		if c.start == nil || index > c.start.ChunkIndex {
			break
		}
		s, err := scanFile(c.fsys, chunkPath(c.dir, index))
		if err != nil {
			return err
		}
		end := len(s.image)
		if index == c.start.ChunkIndex {
			end = int(c.start.ChunkOffset) // the rest is replayed
		} else {
			c.countChunk(s)
		}
		if s.headerErr != nil && index != c.start.ChunkIndex {
			c.report.Damage = append(c.report.Damage, s.damage(scanItem{end: chunkHeaderBytes, cause: s.headerErr}))
		}
		c.countItems(s, end, true)
	}
	return nil
}

func (c *checker) countChunk(s *scannedChunk) {
	c.report.Chunks++
	if s.headerErr == nil {
		c.report.LogID = s.header.LogID
		if s.header.Sealed() {
			c.report.Sealed++
		}
	}
}

// countItems counts the records that begin before end.
func (c *checker) countItems(s *scannedChunk, end int, withDamage bool) {
	for _, item := range s.items {
		switch {
		case item.offset >= end:
			return
		case item.cause == nil:
			c.report.Records[recordTypeOf(s.image[item.offset:])]++
			if c.report.FirstOrdinal == 0 {
				c.report.FirstOrdinal = item.ordinal
			}
			c.report.NextOrdinal = item.ordinal + 1
		case withDamage:
			c.report.Damage = append(c.report.Damage, s.damage(item))
		}
	}
}

// replayAll replays from the beginning, or from the oldest good snapshot, and
// compares every later snapshot with the state at its place.
func (c *checker) replayAll() error {
	r := &replay{fsys: c.fsys, dir: c.dir, listing: c.found, recovery: &Recovery{Skipped: map[RecordType]uint64{}}}
	rest := c.good
	if c.start != nil {
		c.report.LogID = c.start.LogID
		for rest[0] != c.start {
			rest = rest[1:]
		}
		rest = rest[1:]
	}
	compareUpTo := func(ordinal uint64) {
		for len(rest) > 0 && rest[0].Ordinal <= ordinal {
			c.compare(r, rest[0])
			rest = rest[1:]
		}
	}
	r.before = compareUpTo
	r.visit = func(s *scannedChunk) {
		c.countChunk(s)
		c.countItems(s, len(s.image), false)
	}
	if err := r.runFrom(c.start); err != nil {
		return err
	}
	compareUpTo(r.next)
	for _, snapshot := range rest {
		c.disagree(snapshot, fmt.Errorf("stands at record %d, the chunks end before %d: %w", snapshot.Ordinal, r.next, ErrMissing))
	}
	c.report.Damage = append(c.report.Damage, r.recovery.Damage...)
	c.report.Contradictions = r.recovery.Contradictions
	c.report.TornTail = r.tornTail()
	c.report.ClosedCleanly = r.last != nil && r.last.clean
	c.report.State = r.state.publish()
	if c.report.FirstOrdinal == 0 {
		c.report.FirstOrdinal, c.report.NextOrdinal = r.next, r.next
	}
	return nil
}

// compare holds a snapshot against the state that replay has reached.
func (c *checker) compare(r *replay, snapshot *Snapshot) {
	if r.state.lenient || len(r.recovery.Contradictions) > 0 {
		r.state = edit(snapshot.State) // what is missing before it is reported, and an open begins with the snapshot
		return
	}
	replayed := r.state.publish()
	if err := compareStates(replayed, snapshot.State); err != nil {
		c.disagree(snapshot, err)
		return
	}
	c.report.SnapshotsCompared++
	r.state.log.raise(snapshot.State.log) // as the Writer did when it wrote it
}

func (c *checker) disagree(snapshot *Snapshot, err error) {
	path := filepath.Join(c.dir, SnapshotName(snapshot.SnapshotID))
	c.report.Damage = append(c.report.Damage, &DamageError{Path: path, FirstOrdinal: 1, Cause: err})
}

// compareStates says where a snapshot differs from a replay. The snapshot may be
// ahead in what the log itself knew better, and in when copies were verified.
func compareStates(replayed, snapshot *State) error {
	var errs []error
	note := func(what string, differ bool) {
		if differ {
			errs = append(errs, fmt.Errorf("%s: %w", what, ErrConflict))
		}
	}
	a, b := replayed.log, snapshot.log
	raised := a
	raised.raise(b)
	note("next seq", raised.NextSeq != b.NextSeq)
	note("next segment id", raised.NextSegmentID != b.NextSegmentID)
	note("trimmed-to seq", raised.TrimmedTo != b.TrimmedTo)
	note("max ts", raised.MaxNs != b.MaxNs)
	note("last ext_id", raised.LastExtID != b.LastExtID)
	note("epoch", raised.Epoch != b.Epoch)
	note("unknown records", a.UnknownRecords != b.UnknownRecords)
	note("uploaded chunks", !sameItem(&LogState{UploadedChunks: a.UploadedChunks}, &LogState{UploadedChunks: b.UploadedChunks}))
	note("segments", !sameItems(&replayed.segments, &snapshot.segments, withoutScrubs))
	note("uploads", !sameItems(&replayed.uploads, &snapshot.uploads, nil))
	note("deletes", !sameItems(&replayed.deletes, &snapshot.deletes, nil))
	note("dictionaries", !sameItems(&replayed.dictionaries, &snapshot.dictionaries, nil))
	return errors.Join(errs...)
}

func withoutScrubs(s *Segment) *Segment {
	edited := *s
	edited.VerifiedNs = [tierCount]int64{}
	return &edited
}

// sameItems compares two maps by the bytes of their items.
func sameItems[K uint32 | uint64 | string, V structure](a, b *pageMap[K, V], normalized func(V) V) bool {
	if a.size != b.size {
		return false
	}
	for key, value := range a.all() {
		other, found := b.get(key)
		if !found {
			return false
		}
		if normalized != nil {
			value, other = normalized(value), normalized(other)
		}
		if !sameItem(value, other) {
			return false
		}
	}
	return true
}

func sameItem(a, b structure) bool {
	left, _ := encodeStructure(nil, a)
	right, _ := encodeStructure(nil, b)
	return bytes.Equal(left, right)
}
