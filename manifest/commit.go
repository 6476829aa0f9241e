package manifest

// This file is the commit: from the buffer into chunks, synced.

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/minio/crc64nvme"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// chunkFile is the chunk that is written.
type chunkFile struct {
	file    vfs.File
	header  ChunkHeader
	next    uint64 // ordinal that follows its last record
	written int64  // offsets in the file
	durable int64
	crc64   uint64 // of what is written behind the header
}

func (c *chunkFile) room() int64 { return int64(c.header.AllocatedBytes) - c.written }

func (c *chunkFile) isEmpty() bool { return c.written == chunkHeaderBytes }

// Commit writes what was appended and syncs it, once if it fits in the chunk.
// After nil it is durable and in State. If the disk has no room for a new chunk
// the error matches ENOSPC or EDQUOT, if its file cannot be opened EMFILE or ENFILE,
// and nothing is lost: free some space, or close files, and call Commit again. Any other error poisons the Writer: some of what was appended may be
// there after the next open, or none.
func (w *Writer) Commit() error {
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.writeBuffer(); err != nil {
		return fmt.Errorf("commit manifest: %w", err)
	}
	w.published.Store(w.edit.publish())
	return nil
}

func (w *Writer) writeBuffer() error {
	if len(w.lengths) == 0 {
		return nil
	}
	for len(w.lengths) > 0 {
		if err := w.makeRoom(w.lengths[0]); err != nil {
			return err
		}
		if err := w.writeFitting(); err != nil {
			return err
		}
	}
	w.buffer, w.lengths = w.buffer[:0], w.lengths[:0]
	// Not having the next chunk ready is no failure: the next commit tries again,
	// and only a commit that needs it fails.
	_ = w.prepare(0)
	return nil
}

// makeRoom makes sure that the current chunk has room for a record of that
// length.
func (w *Writer) makeRoom(length int) error {
	if w.current != nil && int64(length) <= w.current.room() {
		return nil
	}
	if err := w.prepare(length); err != nil {
		return err
	}
	return w.activate()
}

// writeFitting writes and syncs as many buffered records as the chunk has room
// for.
func (w *Writer) writeFitting() error {
	c := w.current
	count, end := 0, 0
	for _, length := range w.lengths {
		if int64(end+length) > c.room() {
			break
		}
		unsynced := c.written + int64(end) - c.durable
		finishRecord(w.buffer[end:end+length], uint32(unsynced))
		end += length
		count++
	}
	if err := w.writeRecords(w.buffer[:end], count); err != nil {
		return err
	}
	w.buffer, w.lengths = w.buffer[end:], w.lengths[count:]
	return nil
}

// writeRecords puts finished records at the end of the current chunk and syncs.
func (w *Writer) writeRecords(b []byte, count int) error {
	c := w.current
	if err := writeAll(c.file, b, c.written); err != nil {
		return w.poison("write records", err)
	}
	c.written += int64(len(b))
	if err := c.file.SyncData(); err != nil {
		return w.poison("sync records", err)
	}
	c.durable = c.written
	c.next += uint64(count)
	c.crc64 = crc64nvme.Update(c.crc64, b)
	return nil
}

// prepare makes the file of the next chunk, long enough for a record of that
// length: its blocks exist before they are needed.
func (w *Writer) prepare(length int) error {
	want := int64(w.options.ChunkBytes)
	if need := int64(chunkHeaderBytes + length); need > want {
		want = (need + chunkStepBytes - 1) / chunkStepBytes * chunkStepBytes
	}
	if w.prepared != nil {
		size, err := w.prepared.Size()
		if err == nil && size >= want {
			return nil
		}
	}
	err := w.allocatePrepared(want)
	if err != nil {
		_ = w.dropPrepared() // begun anew by the next try
		return fmt.Errorf("prepare next chunk: %w", err)
	}
	return nil
}

func (w *Writer) allocatePrepared(size int64) error {
	if w.prepared == nil {
		path := filepath.Join(w.dir, preparedChunkName)
		file, err := w.fsys.Create(path)
		if errors.Is(err, fs.ErrExist) { // left by a try that could not remove it
			if err = w.fsys.Remove(path); err == nil {
				file, err = w.fsys.Create(path)
			}
		}
		if err != nil {
			return err
		}
		w.prepared = file
	}
	return w.prepared.Allocate(size, vfs.Reserved)
}

func (w *Writer) dropPrepared() error {
	if w.prepared == nil {
		return nil
	}
	file := w.prepared
	w.prepared = nil
	return errors.Join(file.Close(), w.fsys.Remove(file.Name()))
}
