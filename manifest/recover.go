package manifest

// This file is what an open changes on disk. Replay has decided everything
// before the first of these writes.

import (
	"bytes"
	"fmt"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// recoverEnd puts the last chunk into a state that later crashes cannot change,
// and leaves the Writer behind it: either the chunk is continued, or it is sealed
// where its good records end.
func (w *Writer) recoverEnd(r *replay) error {
	w.lastIndex = r.listing.chunkIndexMax(r.snapshot)
	if r.snapshot != nil {
		w.lastEnd, w.lastCRC64 = int64(r.snapshot.ChunkOffset), r.snapshot.ChainCRC64
	}
	if r.last == nil || r.last.index != w.lastIndex {
		return nil
	}
	file, err := w.fsys.OpenReadWrite(r.last.path)
	if err != nil {
		return fmt.Errorf("open last chunk: %w", err)
	}
	chunk := newChunkFile(file, r.last)
	if r.last.clean && r.last.headerErr == nil {
		err = w.continueChunk(chunk, r.last)
	} else {
		err = w.endChunk(chunk, r)
	}
	if w.current == nil {
		err = firstError(err, file.Close())
	}
	return err
}

// newChunkFile is a chunk file as it was scanned.
func newChunkFile(file vfs.File, s *scannedChunk) *chunkFile {
	end := aligned(s.end)
	return &chunkFile{
		file: file, header: s.header, next: s.next,
		written: int64(end), durable: int64(end),
		crc64: chainValue(padded(s.image, end), end),
	}
}

func padded(image []byte, end int) []byte {
	if end <= len(image) {
		return image
	}
	return append(bytes.Clone(image), make([]byte, end-len(image))...)
}

// continueChunk goes on behind a clean close. The close marks themselves may be
// in the page cache only.
func (w *Writer) continueChunk(chunk *chunkFile, s *scannedChunk) error {
	if err := w.rewrite(chunk, s); err != nil {
		return err
	}
	w.recovery.Continued = true
	w.current = chunk
	return nil
}

// endChunk seals the last chunk: at its end, at the cut, or behind damage.
func (w *Writer) endChunk(chunk *chunkFile, r *replay) error {
	s := r.last
	if s.headerErr == nil && s.header.Sealed() {
		// Its records were synced before the header said so; the header itself
		// may be in the page cache only.
		w.recovery.SealedEnd = true
		chunk.written = max(chunk.written, int64(chunkHeaderBytes+s.header.RecordBytes))
		chunk.crc64 = s.header.RecordsCRC64
		return w.finishSeal(chunk)
	}
	if err := w.quarantineEnd(s); err != nil {
		return err
	}
	if err := w.rewrite(chunk, s); err != nil {
		return err
	}
	if s.headerErr != nil {
		chunk.header = w.rebuiltHeader(s)
	}
	return w.seal(chunk)
}

// rewrite writes again, from the copy that was verified, what is not proven
// durable, and syncs. After a failed sync the page cache shows bytes that are not
// on disk and calls them clean.
func (w *Writer) rewrite(chunk *chunkFile, s *scannedChunk) error {
	if from, end := s.durableTo, min(s.end, len(s.image)); from < end {
		if err := writeAll(chunk.file, s.image[from:end], int64(from)); err != nil {
			return fmt.Errorf("write recovered records: %w", err)
		}
		w.recovery.RewrittenBytes = int64(end - from)
	}
	if err := chunk.file.Sync(); err != nil {
		return fmt.Errorf("sync recovered records: %w", err)
	}
	return nil
}

// rebuiltHeader replaces a header that does not verify. The name gives the index,
// the records give the rest.
func (w *Writer) rebuiltHeader(s *scannedChunk) ChunkHeader {
	h := ChunkHeader{LogID: w.options.LogID, ChunkIndex: s.index, BaseRecord: s.first, Epoch: w.epoch(), AllocatedBytes: uint64(len(s.image))}
	whole := scanTask{image: s.image, start: chunkHeaderBytes}
	for _, item := range whole.run().items { // replay may have begun later in the chunk
		if item.cause == nil {
			h.BaseRecord = min(h.BaseRecord, item.ordinal)
			break
		}
	}
	if before, err := readChunk(w.fsys, chunkPath(w.dir, s.index-1)); err == nil {
		if header, err := DecodeChunkHeader(before); err == nil && header.Sealed() {
			h.PreviousCRC64 = header.RecordsCRC64
		}
	}
	return h
}

// quarantineEnd saves the bytes that sealing will hide: the torn tail, and a
// header that does not verify.
func (w *Writer) quarantineEnd(s *scannedChunk) error {
	if s.headerErr != nil {
		header := s.image[:min(len(s.image), chunkHeaderBytes)]
		if _, err := w.quarantine(s, 0, header, "chunk header does not verify: "+s.headerErr.Error()); err != nil {
			return err
		}
	}
	if s.cutEnd == 0 {
		return nil
	}
	path, err := w.quarantine(s, int64(s.end), s.image[s.end:s.cutEnd], "torn tail behind the last good record")
	if err != nil {
		return err
	}
	w.recovery.Cut = &Cut{Chunk: s.index, Offset: int64(s.end), LengthBytes: int64(s.cutEnd - s.end), FirstOrdinal: s.next, QuarantinePath: path}
	return nil
}
