package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// This file is the sequences of operations that everybody needs and that are
// easily done in an order that a power cut breaks.

// TemporarySuffix ends the name of a file that is being made. A file that has
// it when a program starts is a leftover.
const TemporarySuffix = ".tmp"

// ErrTooLarge is returned by ReadFile for a file longer than the caller accepts.
var ErrTooLarge = errors.New("vfs: file is larger than allowed")

// MkdirAllSync makes a directory and its missing parents, and syncs the parent
// of each one that it makes. It also syncs the parent of the deepest directory
// that exists already: an earlier process may have made that one and died
// before the sync.
func MkdirAllSync(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	missing, deepest, err := missingDirectories(fsys, dir)
	if err != nil {
		return err
	}
	if parent := filepath.Dir(deepest); parent != deepest {
		// Who may not even read the parent did not make this directory.
		if err := fsys.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("sync parent of existing directory: %w", err)
		}
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := fsys.MkdirAll(missing[i]); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
		if err := fsys.SyncDir(filepath.Dir(missing[i])); err != nil {
			return fmt.Errorf("sync parent of new directory: %w", err)
		}
	}
	return nil
}

// missingDirectories lists what must be made, deepest first, and the deepest
// directory that exists.
func missingDirectories(fsys FS, dir string) (missing []string, deepest string, err error) {
	for {
		info, err := fsys.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return nil, "", fmt.Errorf("make directory: %w", pathError("mkdir", dir, fs.ErrExist))
		case err == nil:
			return missing, dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, "", fmt.Errorf("look for directory: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, "", fmt.Errorf("look for directory: %w", err)
		}
		missing = append(missing, dir)
		dir = parent
	}
}

// WriteFileAtomic makes name hold data, durably when it returns nil: after a
// crash at any point the file is either as before or complete. It writes
// name.tmp first, over a leftover of an earlier crash. One caller at a time per
// name.
func WriteFileAtomic(fsys FS, name string, data []byte) error {
	temporary := name + TemporarySuffix
	if err := fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sweep leftover file: %w", err)
	}
	if err := writeNewFile(fsys, temporary, data); err != nil {
		_ = fsys.Remove(temporary) // else the next call or the next start sweeps it
		return err
	}
	if err := fsys.Rename(temporary, name); err != nil {
		_ = fsys.Remove(temporary)
		return fmt.Errorf("put file in place: %w", err)
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory of new file: %w", err)
	}
	return nil
}

func writeNewFile(fsys FS, name string, data []byte) (err error) {
	file, err := fsys.Create(name)
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	defer func() {
		if closeErr := file.Close(); closeErr != nil && err == nil {
			err = fmt.Errorf("close new file: %w", closeErr)
		}
	}()
	if _, err := file.WriteAt(data, 0); err != nil {
		return fmt.Errorf("write new file: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync new file: %w", err)
	}
	return nil
}

// ReadFile returns the whole file, or an error that matches ErrTooLarge if it
// is longer than bytesMax. The caller owns the returned memory.
func ReadFile(fsys FS, name string, bytesMax int64) (data []byte, err error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	defer func() {
		if closeErr := file.Close(); closeErr != nil && err == nil {
			data, err = nil, fmt.Errorf("close file: %w", closeErr)
		}
	}()
	size, err := file.Size()
	if err != nil {
		return nil, fmt.Errorf("read size of file: %w", err)
	}
	if size > bytesMax {
		return nil, fmt.Errorf("read file of %d bytes, at most %d: %w", size, bytesMax, pathError("read", name, ErrTooLarge))
	}
	data = make([]byte, size)
	if _, err := file.ReadAt(data, 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // it became shorter meanwhile
		}
		return nil, fmt.Errorf("read file: %w", err)
	}
	return data, nil
}
