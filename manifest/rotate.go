package manifest

// This file is the change from one chunk to the next. The order matters:
//
//  1. the last record of the old chunk is synced,
//  2. the header of the new chunk is written to the prepared file and synced,
//  3. the file gets its name, the directory is synced,
//  4. the header of the old chunk says sealed, and is synced; then its file is cut
//     to its length. Only then the new chunk gets records.
//
// So a chunk that has a successor was durable to its last byte, one whose successor
// has records is sealed, and one that is sealed has a successor or lost it: a crash
// never looks like a chunk that is gone. A file that is cut short without being
// sealed was damaged.

import (
	"fmt"
)

// ChunkInfo is a chunk file in the directory.
type ChunkInfo struct {
	Index uint64
	Path  string
	// Sealed says that the file will not change any more.
	Sealed bool
}

// Rotate commits, begins a new chunk and seals the one that was written, so that it
// can be uploaded. Without records in it nothing happens. Errors are those of
// Commit.
func (w *Writer) Rotate() error {
	if err := w.Commit(); err != nil {
		return err
	}
	if w.current == nil || w.current.isEmpty() {
		return nil
	}
	return w.begin()
}

// Follow makes sure that there is a chunk to write to, behind what was found when
// the manifest was opened. Errors are those of Commit.
func (w *Writer) Follow() error {
	if err := w.usable(); err != nil || w.current != nil {
		return err
	}
	return w.begin()
}

// begin begins a new chunk.
func (w *Writer) begin() error {
	err := w.prepare(0)
	if err == nil {
		err = w.activate()
	}
	if err != nil {
		return fmt.Errorf("begin chunk of manifest: %w", err)
	}
	return nil
}

// Chunks lists the chunk files of the directory by index. Every chunk but the one
// that is being written is sealed.
func (w *Writer) Chunks() ([]ChunkInfo, error) {
	if err := w.usable(); err != nil {
		return nil, err
	}
	found, err := list(w.fsys, w.dir)
	if err != nil {
		return nil, err
	}
	chunks := make([]ChunkInfo, 0, len(found.chunks))
	for _, index := range found.chunks {
		isCurrent := w.current != nil && w.current.header.ChunkIndex == index
		chunks = append(chunks, ChunkInfo{Index: index, Path: chunkPath(w.dir, index), Sealed: !isCurrent})
	}
	return chunks, nil
}

// end makes c the chunk that is sealed as soon as another one follows it.
func (w *Writer) end(c *chunkFile) {
	w.current, w.ended = nil, c
	w.lastIndex, w.lastEnd, w.lastCRC64 = c.header.ChunkIndex, c.written, c.crc64
}

// sealEnded seals the chunk that has been followed, if one was.
func (w *Writer) sealEnded() error {
	c := w.ended
	if c == nil {
		return nil
	}
	w.ended = nil
	return firstError(w.seal(c), c.file.Close())
}

// seal writes the final header of a chunk whose records are durable.
func (w *Writer) seal(c *chunkFile) error {
	c.header.Flags |= chunkFlagSealed
	c.header.RecordCount = c.next - c.header.BaseRecord
	c.header.RecordBytes = uint64(c.written - chunkHeaderBytes)
	c.header.RecordsCRC64 = c.crc64
	return w.finishSeal(c)
}

// finishSeal makes a sealed header durable. The file is cut only afterwards, and
// not synced for it: the header alone says where the records end.
func (w *Writer) finishSeal(c *chunkFile) error {
	if err := writeAll(c.file, encodeChunkHeader(&c.header), 0); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("sync header: %w", err)
	}
	if err := c.file.Truncate(c.written); err != nil {
		return fmt.Errorf("cut sealed chunk: %w", err)
	}
	return nil
}

// activate puts the prepared file to use for the record that is next in the
// buffer, and seals the chunk before it.
func (w *Writer) activate() error {
	if w.current != nil {
		w.end(w.current)
	}
	size, err := w.prepared.Size()
	if err != nil {
		return w.poison("read size of next chunk", err)
	}
	next := w.edit.nextOrdinal - uint64(len(w.lengths))
	c := &chunkFile{file: w.prepared, next: next, written: chunkHeaderBytes, durable: chunkHeaderBytes, header: ChunkHeader{
		LogID: w.options.LogID, ChunkIndex: w.lastIndex + 1, BaseRecord: next, Epoch: w.epoch(),
		PreviousCRC64: w.lastCRC64, AllocatedBytes: uint64(size),
	}}
	if err := writeAll(c.file, encodeChunkHeader(&c.header), 0); err != nil {
		return w.poison("write header of next chunk", err)
	}
	if err := c.file.Sync(); err != nil {
		return w.poison("sync next chunk", err)
	}
	if err := w.fsys.Rename(c.file.Name(), chunkPath(w.dir, c.header.ChunkIndex)); err != nil {
		return w.poison("name next chunk", err)
	}
	w.prepared, w.current = nil, c
	if err := w.fsys.SyncDir(w.dir); err != nil {
		return w.poison("sync directory of next chunk", err)
	}
	if err := w.sealEnded(); err != nil {
		return w.poison("seal chunk", err)
	}
	return nil
}
