package manifest

// This file is the manifest directory: which files are in it, and reading them.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

const (
	preparedChunkName = "next" + vfs.TemporarySuffix
	catalogDirectory  = "catalog"
)

// listing is the names in a manifest directory.
type listing struct {
	chunks    []uint64 // indexes, ascending
	snapshots []uint64 // ids, ascending
	temporary []string
	unknown   []string
}

func list(fsys vfs.FS, dir string) (listing, error) {
	var l listing
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return l, fmt.Errorf("list manifest: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if index, ok := ParseChunkName(name); ok && !entry.IsDir() {
			l.chunks = append(l.chunks, index)
		} else if id, ok := ParseSnapshotName(name); ok && !entry.IsDir() {
			l.snapshots = append(l.snapshots, id)
		} else if strings.HasSuffix(name, vfs.TemporarySuffix) && !entry.IsDir() {
			l.temporary = append(l.temporary, name)
		} else if name != catalogDirectory {
			l.unknown = append(l.unknown, name)
		}
	}
	slices.Sort(l.chunks)
	slices.Sort(l.snapshots)
	return l, nil
}

// chunkIndexMax is the highest index that was ever used, as far as names and a
// snapshot tell.
func (l *listing) chunkIndexMax(s *Snapshot) uint64 {
	index := uint64(0)
	if n := len(l.chunks); n > 0 {
		index = l.chunks[n-1]
	}
	if s != nil {
		index = max(index, s.ChunkIndex)
	}
	return index
}

func chunkPath(dir string, index uint64) string { return filepath.Join(dir, ChunkName(index)) }

func snapshotPath(dir string, id uint64) string { return filepath.Join(dir, SnapshotName(id)) }

// readChunk reads a chunk file, at most as much of it as a chunk can have.
func readChunk(fsys vfs.FS, path string) (image []byte, err error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open chunk: %w", err)
	}
	defer func() { err = firstError(err, file.Close()) }()
	size, err := file.Size()
	if err != nil {
		return nil, fmt.Errorf("read size of chunk: %w", err)
	}
	image = make([]byte, min(size, ChunkBytesMax))
	n, err := file.ReadAt(image, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read chunk: %w", err)
	}
	return image[:n], nil
}

// newestSnapshot returns the newest snapshot that can be read, nil if none can,
// and what is wrong with those after it.
func newestSnapshot(fsys vfs.FS, dir string, logID uint64, ids []uint64) (*Snapshot, []*DamageError, error) {
	var damage []*DamageError
	for _, id := range slices.Backward(ids) {
		snapshot, err := readSnapshot(fsys, snapshotPath(dir, id), id)
		switch {
		case err == nil && logID != 0 && snapshot.LogID != logID:
			return nil, nil, fmt.Errorf("%s: log id %016x, not %016x: %w", snapshotPath(dir, id), snapshot.LogID, logID, ErrWrongLog)
		case err == nil:
			return snapshot, damage, nil
		case !isDamage(err) && !isUnreadable(err):
			return nil, nil, err
		}
		damage = append(damage, &DamageError{Path: snapshotPath(dir, id), FirstOrdinal: 1, Cause: err})
	}
	return nil, damage, nil
}

func readSnapshot(fsys vfs.FS, path string, id uint64) (*Snapshot, error) {
	b, err := vfs.ReadFile(fsys, path, snapshotBytesMax)
	if err != nil {
		if errors.Is(err, vfs.ErrTooLarge) {
			err = fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	snapshot, err := DecodeSnapshot(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if snapshot.SnapshotID != id {
		return nil, fmt.Errorf("%s: carries id %d: %w", path, snapshot.SnapshotID, ErrInvalid)
	}
	return snapshot, nil
}

// isDamage tells bytes that are wrong from reasons not to go on: a newer version
// or a disk that cannot be read.
func isDamage(err error) bool {
	for _, damage := range []error{ErrNotOurs, ErrTruncated, ErrCorrupt, ErrInvalid, ErrTooLarge} {
		if errors.Is(err, damage) {
			return !errors.Is(err, ErrNewerVersion)
		}
	}
	return false
}

// isUnreadable tells a disk that does not give a file's bytes. They may be good, and
// may be read the next time.
func isUnreadable(err error) bool { return errors.Is(err, syscall.EIO) }

// removeAll deletes files and makes that durable, if there are any.
func removeAll(fsys vfs.FS, dir string, names []string) error {
	for _, name := range names {
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove file: %w", err)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("sync directory after removing files: %w", err)
	}
	return nil
}
