package manifest

// This file is the snapshots of a Writer: writing one, and removing what the two
// newest make unnecessary.

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// SnapshotInfo is a snapshot that was written.
type SnapshotInfo struct {
	ID    uint64
	Path  string
	Bytes int64
	// ChunkIndex and ChunkOffset are where replay goes on behind it, Ordinal is
	// that of the first record there.
	ChunkIndex  uint64
	ChunkOffset uint64
	Ordinal     uint64
}

// WriteSnapshot commits, writes a snapshot of the state, and records it. What the
// log itself knows better than its manifest (next sequence, timestamps, last
// ext_id, dedup settings) is taken from live where it is higher, or set; the zero
// value of a field says nothing.
//
// It holds the whole snapshot in memory. If the disk has no room the error
// matches ENOSPC or EDQUOT, if the file cannot be opened EMFILE or ENFILE, and
// nothing is lost. Other errors poison the Writer.
func (w *Writer) WriteSnapshot(live LogState) (SnapshotInfo, error) {
	if err := w.Commit(); err != nil {
		return SnapshotInfo{}, err
	}
	found, err := list(w.fsys, w.dir)
	if err != nil {
		return SnapshotInfo{}, err
	}
	id := w.edit.log.LastSnapshotID + 1
	if n := len(found.snapshots); n > 0 {
		id = max(id, found.snapshots[n-1]+1)
	}
	w.edit.log.raise(live)
	info, err := w.writeSnapshotFile(id)
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("write snapshot: %w", err)
	}
	w.sinceSnapshot = info.Ordinal
	marker := Record{Payload: &SnapshotMarker{SnapshotID: id, ChunkIndex: info.ChunkIndex, ChunkOffset: info.ChunkOffset}}
	if err := w.appendOne(&marker); err != nil {
		return SnapshotInfo{}, fmt.Errorf("record snapshot: %w", err)
	}
	return info, w.Commit()
}

func (w *Writer) writeSnapshotFile(id uint64) (SnapshotInfo, error) {
	state := *w.edit.publish()
	state.log.LastSnapshotID = id
	snapshot := &Snapshot{State: &state, SnapshotHeader: SnapshotHeader{
		LogID: w.options.LogID, SnapshotID: id, ChunkIndex: w.lastIndex, ChunkOffset: uint64(w.lastEnd),
		Ordinal: state.nextOrdinal, ChainCRC64: w.lastCRC64, CreatedNs: w.options.Now().UnixNano(),
	}}
	if c := w.current; c != nil {
		snapshot.ChunkIndex, snapshot.ChunkOffset, snapshot.ChainCRC64 = c.header.ChunkIndex, uint64(c.written), c.crc64
	}
	b, err := EncodeSnapshot(snapshot)
	if err != nil {
		return SnapshotInfo{}, err
	}
	path := snapshotPath(w.dir, id)
	if err := vfs.WriteFileAtomic(w.fsys, path, b); err != nil {
		if hasChangedNothing(err) {
			return SnapshotInfo{}, err
		}
		return SnapshotInfo{}, w.poison("write snapshot", err)
	}
	return SnapshotInfo{ID: id, Path: path, Bytes: int64(len(b)), ChunkIndex: snapshot.ChunkIndex,
		ChunkOffset: snapshot.ChunkOffset, Ordinal: snapshot.Ordinal}, nil
}

// hasChangedNothing reports whether a file was not made for want of room on the disk
// or in the table of open files.
func hasChangedNothing(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// Prunable is a file that the next open would not read.
type Prunable struct {
	// ChunkIndex is the chunk's index, 0 for a snapshot; SnapshotID is the
	// snapshot's id, 0 for a chunk.
	ChunkIndex uint64
	SnapshotID uint64
	Path       string
}

// Prune removes chunks and snapshots that are older than the two newest snapshots
// that verify, where confirmed says so for each: the bucket has it, or need not.
// Chunks go from the oldest up to the first that is not confirmed. It returns the
// paths that were removed. With fewer than two good snapshots it removes nothing.
func (w *Writer) Prune(confirmed func(Prunable) bool) (removed []string, err error) {
	if err := w.usable(); err != nil {
		return nil, err
	}
	candidates, err := w.prunable()
	if err != nil {
		return nil, fmt.Errorf("prune manifest: %w", err)
	}
	var names []string
	keepChunks := false
	for _, candidate := range candidates {
		if candidate.ChunkIndex > 0 && keepChunks {
			continue
		}
		if !confirmed(candidate) {
			keepChunks = keepChunks || candidate.ChunkIndex > 0
			continue
		}
		names = append(names, filepath.Base(candidate.Path))
		removed = append(removed, candidate.Path)
	}
	if err := removeAll(w.fsys, w.dir, names); err != nil {
		return nil, w.poison("prune", err)
	}
	return removed, nil
}

func (w *Writer) prunable() ([]Prunable, error) {
	found, err := list(w.fsys, w.dir)
	if err != nil {
		return nil, err
	}
	older, err := w.secondGoodSnapshot(found.snapshots)
	if older == nil || err != nil {
		return nil, err
	}
	var all []Prunable
	for _, index := range found.chunks {
		if index < older.ChunkIndex {
			all = append(all, Prunable{ChunkIndex: index, Path: chunkPath(w.dir, index)})
		}
	}
	for _, id := range found.snapshots {
		if id < older.SnapshotID {
			all = append(all, Prunable{SnapshotID: id, Path: snapshotPath(w.dir, id)})
		}
	}
	return all, nil
}

// secondGoodSnapshot reads snapshots from the newest on until two are good; nil
// if there are not two.
func (w *Writer) secondGoodSnapshot(ids []uint64) (*Snapshot, error) {
	newest, _, err := newestSnapshot(w.fsys, w.dir, w.options.LogID, ids)
	if newest == nil || err != nil {
		return nil, err
	}
	older, _, err := newestSnapshot(w.fsys, w.dir, w.options.LogID, ids[:lowerBound(ids, newest.SnapshotID)])
	return older, err
}
