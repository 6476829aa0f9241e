package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// journal is the manifest of a log as its owner uses it: what happens to a
// segment is durable there before anybody acts on it.
type journal struct {
	log *Log

	// published is what the durable records say. A read-only log loads it, and adds
	// what it assumed.
	published atomic.Pointer[manifest.State]
	assumed   atomic.Pointer[assumption]

	// writing serialises the writer and its I/O, and guards nothing else.
	writing struct {
		sync.Mutex
		writer     *manifest.Writer // nil in a read-only log
		snapshotAt time.Time        // when the last snapshot was written, or the manifest opened
		held       bool             // a snapshot would hide that records are missing
	}
}

const (
	// snapshotRecords and snapshotInterval say when a snapshot is due.
	snapshotRecords  = 4096
	snapshotInterval = 30 * time.Minute
)

// state is what the durable records say about the log's segments. It is
// immutable.
func (j *journal) state() *manifest.State { return j.published.Load() }

// open recovers the manifest. Damage in it does not stop the log: segments and
// their footers say what was lost.
func (j *journal) open() (*manifest.Recovery, error) {
	l := j.log
	writer, err := manifest.Open(l.patient(), l.paths.manifest, manifest.Options{
		LogID: l.id, Now: l.engine.opts.Now, QuarantineDir: l.paths.quarantine,
	})
	if err != nil {
		if errors.Is(err, manifest.ErrNewerVersion) {
			err = fmt.Errorf("%w: %w", ErrNewerFormat, err)
		}
		return nil, err
	}
	j.writing.writer, j.writing.snapshotAt = writer, l.engine.opts.Now()
	j.published.Store(writer.State())
	return writer.Recovery(), nil
}

// load reads the manifest without writing, for a read-only log. A log that has
// none yet has an empty one. What was assumed beside the same manifest is added.
func (j *journal) load() (*manifest.Recovery, error) {
	state, found, err := manifest.Load(j.log.engine.opts.FS, j.log.paths.manifest, j.log.id)
	if errors.Is(err, fs.ErrNotExist) {
		state, found, err = manifest.NewState(), &manifest.Recovery{}, nil
	}
	if err != nil {
		return nil, err
	}
	if assumed := j.assumed.Load(); assumed != nil && assumed.beside == markOf(found) {
		state = assumed.addTo(state)
	}
	j.published.Store(state)
	return found, nil
}

// record makes records durable. What they say may be acted upon afterwards. An
// error that matches manifest.ErrContradiction has changed nothing; after any
// other, nothing more can be recorded.
func (j *journal) record(records ...manifest.Record) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.writing.writer == nil {
		return ErrClosed
	}
	if _, err := j.writing.writer.Append(records...); err != nil {
		return err
	}
	if err := j.commit(); err != nil {
		return err
	}
	j.published.Store(j.writing.writer.State())
	return nil
}

// follow begins a chunk behind the last one.
func (j *journal) follow() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.writing.writer.Follow()
}

// commit syncs what was appended, on a full disk with the room of the reserve.
func (j *journal) commit() error {
	err := j.log.awaitDescriptor(j.writing.writer.Commit)
	if !isNoSpace(err) {
		return err
	}
	if releaseErr := j.log.engine.disk.giveReserve(); releaseErr != nil {
		return errors.Join(err, releaseErr)
	}
	return j.log.awaitDescriptor(j.writing.writer.Commit)
}

// snapshotIfDue writes a snapshot when enough was recorded since the last one,
// and removes what the two newest make unnecessary. A disk without room for it
// is no failure: it stays due.
func (j *journal) snapshotIfDue() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	writer, now := j.writing.writer, j.log.engine.opts.Now()
	if writer == nil || j.writing.held || writer.SinceSnapshot() < 2 {
		return nil
	}
	if writer.SinceSnapshot() < snapshotRecords && now.Sub(j.writing.snapshotAt) < snapshotInterval {
		return nil
	}
	_, err := writer.WriteSnapshot(j.log.liveState())
	if isOutOfRoom(err) {
		return nil
	}
	if err != nil {
		return err
	}
	j.writing.snapshotAt = now
	j.published.Store(writer.State())
	_, err = writer.Prune(func(manifest.Prunable) bool { return true })
	if err != nil && writer.Err() == nil { // what is not read stays, and is in nobody's way
		j.log.engine.opts.Logger.Warn("manifest_not_pruned", "group", "aof2.manifest", "log", j.log.name, "error", err)
		err = nil
	}
	return err
}

// snapshot writes a snapshot now. It reports false if the disk has no room.
func (j *journal) snapshot() (written bool, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	_, err = j.writing.writer.WriteSnapshot(j.log.liveState())
	if isOutOfRoom(err) {
		return false, nil
	}
	if err == nil {
		j.published.Store(j.writing.writer.State())
	}
	return err == nil, err
}

// holdSnapshots keeps snapshots from being written until the log is opened again.
func (j *journal) holdSnapshots() {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.writing.held = true
}

// liveState is what the log knows better than its manifest.
func (l *Log) liveState() manifest.LogState {
	return manifest.LogState{
		NextSeq:       l.durable.Load() + 1,
		DedupWindowNs: int64(l.opts.Dedup.Window), DedupMaxIDs: uint64(l.opts.Dedup.IDsMax),
	}
}

// close ends the manifest: with the mark of a clean close, or, for a log that
// failed, as a crash would.
func (j *journal) close(clean bool, at closeMark) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	writer := j.writing.writer
	j.writing.writer = nil
	switch {
	case writer == nil:
		return nil
	case clean:
		return writer.CloseLog(at.segment, at.offset)
	default:
		return writer.Close()
	}
}

// closeMark is where a log that was closed cleanly ends; zero if its last
// segment is sealed.
type closeMark struct {
	segment uint64
	offset  uint64
}

// markBehind is the mark that ends at an offset.
func markBehind(id uint64, end int64) closeMark {
	return closeMark{segment: id, offset: uint64(end - segment.MarkBytes)}
}

// recordedClose is what the last recorded close proves of a segment, nothing if its
// mark stands in another one. That the mark was durable holds for good; that it is
// the end only as long as nothing was recorded behind it, as a new owner announces
// itself before it appends.
func recordedClose(state *manifest.State, id uint64) segment.Known {
	log := state.Log()
	if log.ClosedSegmentID != id || log.ClosedMarkOffset > segment.SegmentBytesMax {
		return segment.Known{}
	}
	return segment.Known{CloseMark: int64(log.ClosedMarkOffset), Closed: log.Closed}
}

// ownerRecords announces the epoch of this owner, once.
func (j *journal) ownerRecords(epoch uint64) []manifest.Record {
	if j.state().Log().Epoch >= epoch {
		return nil
	}
	return []manifest.Record{{Payload: &manifest.OwnerChanged{Epoch: epoch, Owner: j.log.engine.root.NodeID}}}
}

func openedRecord(h segment.Header) manifest.Record {
	return manifest.Record{
		SegmentID: h.ID, TimestampNs: h.Created,
		Payload: &manifest.SegmentOpened{BaseSeq: h.BaseSeq, Epoch: h.Epoch, Salt: h.Salt},
	}
}

func sealedRecord(f *segment.Footer) manifest.Record {
	return manifest.Record{
		SegmentID: f.ID, LogicalOffset: f.IndexOffset,
		Payload: &manifest.SealSegment{
			DurableBytes: f.DurableBytes, SegmentCRC64: f.SegmentCRC64, FirstSeq: f.FirstSeq, LastSeq: f.LastSeq,
			FirstNs: f.FirstTimestamp, MaxNs: f.MaxTimestamp, RecordCount: f.Count, LastExtID: f.LastExtID,
			WatermarkAtEnd: f.ManifestOrdinal, FlushFailure: f.Flags&segment.FooterFlushFailure != 0,
		},
	}
}
