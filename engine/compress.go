package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// warmWriteBytes is how much of a warm file is written at a time.
const warmWriteBytes = 256 << 10

// compress makes the warm copy of a sealed segment: CompressionStarted; the
// object is written beside the others, synced, read back whole and named;
// CompressionDone. Until the last step nothing counts on it.
func (l *Log) compress(ctx context.Context, id uint64, attempt int) error {
	entry := l.journal.state().Segment(id)
	if err := l.noteMove(manifest.Record{SegmentID: id, Payload: &manifest.CompressionStarted{JobID: l.engine.opts.random()}}); err != nil {
		return err
	}
	info, err := l.writeWarm(ctx, entry)
	if err != nil {
		return l.compressionFailed(id, attempt, err)
	}
	done := &manifest.CompressionDone{
		ObjectBytes: uint64(info.Bytes), TailBytes: uint32(info.TailBytes), WarmCRC64: info.CRC64, Subjects: summarize(info.Index),
	}
	if err := l.noteMove(manifest.Record{SegmentID: id, Payload: done}); err != nil {
		return err
	}
	l.engine.disk.settleCompression(moveKey{l.id, id})
	s := l.segmentByID(id)
	l.holdWarm(s, info.Bytes)
	s.doubt.trust(manifest.TierWarm)
	l.emit(Event{
		Kind: EventSegmentWarmed, Segment: id, FirstSeq: entry.FirstSeq, LastSeq: entry.LastSeq, Bytes: info.Bytes,
	})
	return nil
}

func (l *Log) compressionFailed(id uint64, attempt int, cause error) error {
	if errors.Is(cause, context.Canceled) {
		return cause // begun again when the log is opened
	}
	reason := reasonOf(cause)
	failed := manifest.Record{SegmentID: id, Payload: &manifest.CompressionFailed{Reason: reason, Attempt: attemptCount(attempt)}}
	if err := l.noteMove(failed); err != nil {
		return errors.Join(cause, err)
	}
	s := l.segmentByID(id)
	if isNoSpace(cause) {
		l.engine.disk.noteCompression(moveKey{l.id, id}, s.bytes.Load())
	}
	l.noteBadSource(s, cause)
	l.emit(Event{Kind: EventSegmentWarmFailed, Segment: id, Reason: reason, Err: cause})
	return fmt.Errorf("compress segment %d: %w", id, cause)
}

// writeWarm makes the warm file of a segment.
func (l *Log) writeWarm(ctx context.Context, entry *manifest.Segment) (info tier.ObjectInfo, err error) {
	fsys, path := l.engine.opts.FS, l.paths.warmFile(entry)
	temporary := path + temporarySuffix
	if err := vfs.MkdirAllSync(fsys, l.paths.warm); err != nil {
		return info, err
	}
	if err := fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return info, err
	}
	if info, err = l.compressInto(ctx, temporary, entry); err == nil {
		err = l.verifyWarm(ctx, temporary, entry, info)
	}
	if err != nil {
		if removeErr := fsys.Remove(temporary); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
		return info, err
	}
	if err := fsys.Rename(temporary, path); err != nil {
		return info, fmt.Errorf("name warm file: %w", err)
	}
	if err := l.patient().SyncDir(l.paths.warm); err != nil {
		return info, fmt.Errorf("sync warm directory: %w", err)
	}
	return info, nil
}

// compressInto writes and syncs the object.
func (l *Log) compressInto(ctx context.Context, path string, entry *manifest.Segment) (info tier.ObjectInfo, err error) {
	source, err := l.engine.opts.FS.Open(l.paths.hotFile(entry))
	if err != nil {
		return info, sourceError(manifest.TierHot, fmt.Errorf("open segment: %w", err))
	}
	defer func() { err = joinClose(err, source.Close()) }()
	size, err := source.Size()
	if err != nil {
		return info, err
	}
	file, err := l.engine.opts.FS.Create(path)
	if err != nil {
		return info, fmt.Errorf("create warm file: %w", err)
	}
	defer func() { err = joinClose(err, file.Close()) }()
	buffered := bufio.NewWriterSize(&sequentialWriter{file: file}, warmWriteBytes)
	info, err = tier.Compress(ctx, buffered, source, size, l.identity(entry), 0)
	if err != nil {
		return info, sourceError(manifest.TierHot, err)
	}
	if err = buffered.Flush(); err == nil {
		err = file.Sync()
	}
	return info, err
}

// identity is what every copy of a segment must say that it is.
func (l *Log) identity(entry *manifest.Segment) tier.Identity {
	return tier.Identity{LogID: l.id, SegmentID: entry.ID, Salt: entry.Salt}
}

// verifyWarm reads a new object back: a copy that was never read does not count.
func (l *Log) verifyWarm(ctx context.Context, path string, entry *manifest.Segment, info tier.ObjectInfo) error {
	object, err := tier.OpenObject(ctx, &warmSource{fs: l.engine.opts.FS, path: path}, info.Bytes, info.TailBytes, l.identity(entry))
	if err == nil {
		err = object.WriteSegment(ctx, io.Discard)
	}
	if err != nil {
		return fmt.Errorf("verify warm file: %w", err)
	}
	return nil
}

// sequentialWriter writes a file from its start on.
type sequentialWriter struct {
	file   vfs.File
	offset int64
}

// Write implements io.Writer.
func (w *sequentialWriter) Write(b []byte) (int, error) {
	n, err := w.file.WriteAt(b, w.offset)
	w.offset += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// summarize tells which subjects a segment has, as far as its index knows.
func summarize(index *segment.Index) manifest.SubjectSummary {
	subjects, exact := index.Subjects()
	if !exact {
		return manifest.SubjectSummary{}
	}
	var names []string
	for subject := range subjects {
		names = append(names, subject.Name)
	}
	return manifest.NewSubjectSummary(names)
}
