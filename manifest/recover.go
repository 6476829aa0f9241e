package manifest

// This file is what an open changes on disk. Replay has decided everything
// before the first of these writes.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
)

// recoverEnd puts the last chunk into a state that later crashes cannot change,
// and leaves the Writer behind it: either the chunk is continued, or another one
// follows it and it is sealed where its good records end.
func (w *Writer) recoverEnd(r *replay) error {
	w.lastIndex = r.listing.chunkIndexMax(r.snapshot)
	if r.snapshot != nil {
		w.lastEnd, w.lastCRC64 = int64(r.snapshot.ChunkOffset), r.snapshot.ChainCRC64
	}
	if r.last == nil || r.last.index != w.lastIndex {
		return nil
	}
	if before := r.previous; r.last.isEmpty() && before != nil && before.index+1 == r.last.index && !before.isSealed() {
		if err := w.endChunk(before); err != nil { // a crash came when it had just been followed
			return err
		}
		if err := w.sealEnded(); err != nil {
			return fmt.Errorf("seal chunk: %w", err)
		}
	}
	switch {
	case r.last.headerErr == nil && (r.last.clean || r.last.isEmpty()):
		return w.continueChunk(r.last)
	case r.last.isSealed():
		return w.sealAgain(r.last)
	}
	if err := w.endChunk(r.last); err != nil {
		return err
	}
	err := w.begin()
	if errors.Is(err, syscall.ENOSPC) && w.failure == nil {
		return w.awaitRoom(r.last)
	}
	return err
}

// awaitRoom leaves the last chunk unsealed, because the disk has no room for one to
// follow it: the next commit that finds some does the rest. Its torn tail is in
// quarantine and becomes zeros, so that no reader takes it for one. A chunk with
// damage is sealed, as zeros might change what is proven of it: it is known to lack
// records, whether it looks as if one had followed it or not.
func (w *Writer) awaitRoom(s *scannedChunk) error {
	damaged := slices.ContainsFunc(s.items, func(item scanItem) bool { return item.cause != nil })
	if s.headerErr != nil || damaged {
		return w.sealEnded()
	}
	if s.cutEnd == 0 {
		return nil
	}
	c := w.ended
	if err := writeAll(c.file, make([]byte, int64(s.cutEnd)-c.written), c.written); err != nil {
		return fmt.Errorf("clear torn tail: %w", err)
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("sync cleared tail: %w", err)
	}
	return nil
}

// isSealed reports whether a header that verifies says that the chunk is sealed.
func (s *scannedChunk) isSealed() bool { return s.headerErr == nil && s.header.Sealed() }

// isEmpty reports whether there is nothing behind the header, and never was.
func (s *scannedChunk) isEmpty() bool {
	return s.headerErr == nil && !s.header.Sealed() && len(s.items) == 0 && s.cutEnd == 0 && s.end == chunkHeaderBytes
}

// openChunk is a chunk file as it was scanned.
func (w *Writer) openChunk(s *scannedChunk) (*chunkFile, error) {
	file, err := w.fsys.OpenReadWrite(s.path)
	if err != nil {
		return nil, fmt.Errorf("open chunk: %w", err)
	}
	end := aligned(s.end)
	return &chunkFile{
		file: file, header: s.header, next: s.next,
		written: int64(end), durable: int64(end),
		crc64: chainValue(padded(s.image, end), end),
	}, nil
}

func padded(image []byte, end int) []byte {
	if end <= len(image) {
		return image
	}
	return append(bytes.Clone(image), make([]byte, end-len(image))...)
}

// continueChunk goes on behind a clean close, or in a chunk without a record. The
// close marks themselves may be in the page cache only.
func (w *Writer) continueChunk(s *scannedChunk) error {
	chunk, err := w.openChunk(s)
	if err != nil {
		return err
	}
	w.recovery.Continued = true
	w.current = chunk // and closed with it
	return w.rewrite(chunk, s)
}

// sealAgain leaves a last chunk that is sealed, whose successor is lost, as it is.
// Its records were synced before the header said so; the header itself may be in
// the page cache only.
func (w *Writer) sealAgain(s *scannedChunk) error {
	chunk, err := w.openChunk(s)
	if err != nil {
		return err
	}
	w.recovery.SealedEnd = true
	chunk.written = max(chunk.written, int64(chunkHeaderBytes+s.header.RecordBytes))
	chunk.crc64 = s.header.RecordsCRC64
	w.lastIndex, w.lastEnd, w.lastCRC64 = s.index, chunk.written, chunk.crc64
	return firstError(w.finishSeal(chunk), chunk.file.Close())
}

// endChunk ends a chunk: at its end, at the cut, or behind damage.
func (w *Writer) endChunk(s *scannedChunk) error {
	if err := w.quarantineEnd(s); err != nil {
		return err
	}
	chunk, err := w.openChunk(s)
	if err != nil {
		return err
	}
	if s.headerErr != nil {
		if chunk.header, err = w.rebuiltHeader(s); err != nil {
			return firstError(err, chunk.file.Close())
		}
	}
	w.end(chunk) // and closed with it
	return w.rewrite(chunk, s)
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
// the records and the chunk before give the rest. One that is there and cannot be read
// now is an error: the chain would end here for good.
func (w *Writer) rebuiltHeader(s *scannedChunk) (ChunkHeader, error) {
	h := ChunkHeader{LogID: w.options.LogID, ChunkIndex: s.index, BaseRecord: s.first, Epoch: w.epoch(), AllocatedBytes: uint64(len(s.image))}
	whole := scanTask{image: s.image, start: chunkHeaderBytes}
	for _, item := range whole.run().items { // replay may have begun later in the chunk
		if item.cause == nil {
			h.BaseRecord = min(h.BaseRecord, item.ordinal)
			break
		}
	}
	before, err := readChunk(w.fsys, chunkPath(w.dir, s.index-1))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return h, err
	}
	if header, err := DecodeChunkHeader(before); err == nil && header.Sealed() {
		h.PreviousCRC64 = header.RecordsCRC64
	}
	return h, nil
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
