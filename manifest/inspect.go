package manifest

// This file is inspection: every structure of a file with its place, its bytes
// and what is wrong with it.

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// EntryKind says what an Entry is.
type EntryKind uint8

// The kinds of entries.
const (
	EntryChunkHeader EntryKind = iota + 1
	EntryRecord
	// EntryDamage is a range that does not verify.
	EntryDamage
	// EntryTornTail is what recovery would cut.
	EntryTornTail
	EntrySnapshotHeader
	EntrySnapshotItem
)

var entryNames = [...]string{"", "chunk header", "record", "damage", "torn tail", "snapshot header", "snapshot item"}

// String is the kind in words.
func (k EntryKind) String() string { return entryNames[k] }

// Entry is one structure of a manifest file.
type Entry struct {
	Kind EntryKind
	Path string
	// Offset and Raw are its place in the file and its bytes, which are valid
	// until the function that got the Entry returns.
	Offset int64
	Raw    []byte
	// Chunk is the header of a chunk, Record a record, Snapshot the header of a
	// snapshot; by kind.
	Chunk    *ChunkHeader
	Record   *Record
	Snapshot *SnapshotHeader
	// Section says which section an item is from; Fields are the item's. Those of
	// a record are given by DescribePayload.
	Section SectionKind
	Fields  []Field
	// Err is what is wrong, nil if nothing is. For damage it is a *DamageError.
	Err error
}

// Inspect calls visit with everything in a chunk, in a snapshot, or in all files
// of a manifest directory, in order. It changes nothing and needs no lock. An
// error of visit ends it and is returned; damage does not, it is an Entry. A
// file that is neither a chunk nor a snapshot gives ErrNotOurs. fsys nil is the
// operating system.
func Inspect(fsys vfs.FS, path string, visit func(Entry) error) error {
	if fsys == nil {
		fsys = vfs.OS()
	}
	info, err := fsys.Stat(path)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	if !info.IsDir() {
		return inspectFile(fsys, path, visit)
	}
	found, err := list(fsys, path)
	if err != nil {
		return err
	}
	for _, id := range found.snapshots {
		if err := inspectFile(fsys, snapshotPath(path, id), visit); err != nil {
			return err
		}
	}
	for _, index := range found.chunks {
		if err := inspectFile(fsys, chunkPath(path, index), visit); err != nil {
			return err
		}
	}
	return nil
}

// inspectFile goes by the name or, where that says nothing, by the magic.
func inspectFile(fsys vfs.FS, path string, visit func(Entry) error) error {
	name := filepath.Base(path)
	if _, ok := ParseSnapshotName(name); ok {
		return inspectSnapshot(fsys, path, visit)
	}
	if _, ok := ParseChunkName(name); ok {
		return inspectChunk(fsys, path, visit)
	}
	image, err := readChunk(fsys, path)
	if err != nil {
		return err
	}
	switch {
	case len(image) >= 8 && string(image[:8]) == snapshotMagic:
		return inspectSnapshot(fsys, path, visit)
	case len(image) >= 8 && string(image[:8]) == chunkMagic:
		return inspectChunk(fsys, path, visit)
	}
	return fmt.Errorf("%s: %w", path, ErrNotOurs)
}

// scanFile scans one chunk by itself; a chunk that follows in the same directory
// says where it ends.
func scanFile(fsys vfs.FS, path string) (*scannedChunk, error) {
	r := &replay{fsys: fsys, dir: filepath.Dir(path), recovery: &Recovery{}, next: 1}
	image, err := readChunk(fsys, path)
	if err != nil {
		return nil, err
	}
	s := &scannedChunk{loadedChunk: loadedChunk{path: path, image: image}, isEnd: true}
	s.header, s.headerErr = DecodeChunkHeader(image)
	var next *loadedChunk
	if index, ok := ParseChunkName(filepath.Base(path)); ok {
		s.index = index
		if s.headerErr == nil && s.header.ChunkIndex != index {
			s.headerErr = fmt.Errorf("chunk header: index %d: %w", s.header.ChunkIndex, ErrInvalid)
		}
		found, err := list(fsys, r.dir)
		if err != nil {
			return nil, err
		}
		if behind := found.chunks[lowerBound(found.chunks, index+1):]; len(behind) > 0 {
			s.isEnd = false
			if behind[0] == index+1 {
				next, err = r.load(behind[0])
				if err != nil && !errors.Is(err, ErrNewerVersion) {
					return nil, err
				}
			}
		}
	}
	task := r.task(s, next)
	s.first, s.chunkScan = task.first, task.run()
	return s, nil
}

func inspectChunk(fsys vfs.FS, path string, visit func(Entry) error) error {
	s, err := scanFile(fsys, path)
	if err != nil {
		return err
	}
	header := Entry{Kind: EntryChunkHeader, Path: path, Raw: s.image[:min(len(s.image), chunkHeaderBytes)], Chunk: &s.header, Err: s.headerErr}
	if err := visit(header); err != nil {
		return err
	}
	for _, item := range s.items {
		if err := visit(s.entry(item)); err != nil {
			return err
		}
	}
	if s.cutEnd > 0 {
		return visit(Entry{Kind: EntryTornTail, Path: path, Offset: int64(s.end), Raw: s.image[s.end:s.cutEnd], Err: causeAt(s.image, s.end)})
	}
	return nil
}

func (s *scannedChunk) entry(item scanItem) Entry {
	e := Entry{Kind: EntryRecord, Path: s.path, Offset: int64(item.offset), Raw: s.image[item.offset:max(item.offset, item.end)]}
	if item.cause != nil {
		e.Kind, e.Err = EntryDamage, s.damage(item)
		return e
	}
	record, err := interpretRecord(e.Raw)
	e.Record, e.Err = &record, err
	return e
}

// damage is the error for an item that is none.
func (s *scannedChunk) damage(item scanItem) *DamageError {
	first := max(item.ordinal, 1)
	return &DamageError{Path: s.path, Chunk: s.index, Offset: int64(item.offset), LengthBytes: int64(item.end - item.offset),
		FirstOrdinal: first, LastOrdinal: first + item.lost - 1, Cause: item.cause}
}

func inspectSnapshot(fsys vfs.FS, path string, visit func(Entry) error) error {
	b, err := vfs.ReadFile(fsys, path, snapshotBytesMax)
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	snapshot, err := DecodeSnapshot(b)
	entry := Entry{Kind: EntrySnapshotHeader, Path: path, Raw: b[:min(len(b), snapshotHeaderBytes)], Err: err}
	if err == nil {
		entry.Snapshot = &snapshot.SnapshotHeader
	}
	if visitErr := visit(entry); visitErr != nil || err != nil {
		return visitErr
	}
	for at := snapshotHeaderBytes; at < len(b)-snapshotChecksumBytes; {
		s, length, err := decodeSection(b[at : len(b)-snapshotChecksumBytes])
		if err != nil {
			return err
		}
		offset := at + sectionHeaderBytes
		err = s.each(func(item []byte) error {
			e := Entry{Kind: EntrySnapshotItem, Path: path, Offset: int64(offset + 4), Raw: item, Section: s.kind}
			offset += 4 + len(item)
			if into := newSectionItem(s.kind); into != nil {
				e.Err = decodeStructure(item, into)
				e.Fields = describeStructure(into)
			}
			return visit(e)
		})
		if err != nil {
			return err
		}
		at += length
	}
	return nil
}

// newSectionItem is an empty item of a section; nil for one that is not known.
func newSectionItem(kind SectionKind) structure {
	switch kind {
	case SectionLog:
		return &LogState{}
	case SectionSegments:
		return &Segment{}
	case SectionUploads:
		return &Upload{}
	case SectionDeletes:
		return &Delete{}
	case SectionDictionaries:
		return &Dictionary{}
	default:
		return nil
	}
}
