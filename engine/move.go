package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/minio/crc64nvme"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file is what the moves between tiers share.

// move carries out an action of the planner.
func (l *Log) move(action planner.Action, attempt int) error {
	switch action.Kind {
	case planner.Compress:
		return l.compress(l.moving, action.Segment, attempt)
	case planner.Upload:
		return l.upload(l.moving, action.Segment, attempt)
	case planner.EvictHot:
		return l.evictHot(l.moving, action.Segment)
	case planner.EvictWarm:
		return l.evictWarm(l.moving, action.Segment)
	case moveVerify:
		return l.verify(l.moving, action.Segment)
	}
	return fmt.Errorf("%w: move %s", ErrUnsupported, action.Kind)
}

// holdForMove keeps the log open until moves.Done is called. It reports false if
// the log is closing or has failed.
func (l *Log) holdForMove() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closing || l.mu.failure != nil || l.engine.readOnly {
		return false
	}
	l.moves.Add(1)
	return true
}

// noteMove records steps of a move. A manifest that cannot be written ends the
// log's life as a writer; a step that contradicts it is not made.
func (l *Log) noteMove(records ...manifest.Record) error {
	err := l.journal.record(records...)
	var contradiction *manifest.ContradictionError
	if err != nil && !errors.As(err, &contradiction) && !errors.Is(err, ErrClosed) {
		l.poison(fmt.Errorf("record a move: %w", err))
	}
	if err == nil {
		if snapshotErr := l.journal.snapshotIfDue(); snapshotErr != nil {
			l.poison(fmt.Errorf("write snapshot of the manifest: %w", snapshotErr))
		}
	}
	return err
}

// segmentByID is the segment with an id, nil if the log has none.
func (l *Log) segmentByID(id uint64) *segmentFile {
	list := *l.segments.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].id() >= id })
	if i == len(list) || list[i].id() != id {
		return nil
	}
	return list[i]
}

// holdWarm counts the warm file of a segment as so many bytes, 0 when it has
// none.
func (l *Log) holdWarm(s *segmentFile, bytes int64) {
	l.engine.warm.Add(bytes - s.warmBytes.Swap(bytes))
}

// copyError is a move that failed because of the copy that it reads.
type copyError struct {
	tier manifest.Tier
	err  error
}

func (e *copyError) Error() string { return fmt.Sprintf("%s copy: %v", e.tier, e.err) }
func (e *copyError) Unwrap() error { return e.err }

// sourceError says of which copy an error is that reading it met, if it is one
// of the copy.
func sourceError(t manifest.Tier, err error) error {
	if !isBadCopy(err) {
		return err
	}
	return &copyError{tier: t, err: err}
}

// noteBadSource notes that the copy that a move reads is bad, if that is why it
// failed.
func (l *Log) noteBadSource(s *segmentFile, err error) {
	var bad *copyError
	if errors.As(err, &bad) {
		l.noteBadCopy(s, bad.tier, bad.err)
	}
}

// copyAndSum copies a file of that length and returns its CRC-64.
func copyAndSum(ctx context.Context, w io.Writer, file vfs.File, bytes int64) (uint64, error) {
	sum := crc64nvme.New()
	buffer := make([]byte, warmWriteBytes)
	for at := int64(0); at < bytes; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		part := buffer[:min(int64(len(buffer)), bytes-at)]
		if n, err := file.ReadAt(part, at); n < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		_, _ = sum.Write(part) // never fails
		if _, err := w.Write(part); err != nil {
			return 0, err
		}
		at += int64(len(part))
	}
	return sum.Sum64(), nil
}

// attemptCount is a number of attempts as the manifest records it.
func attemptCount(attempt int) uint16 { return uint16(min(attempt, 1<<16-1)) }
