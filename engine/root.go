package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/aof-nats/aof-nats/internal/exactjson"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// rootFormatVersion is the version of the layout of a root. A root of a newer
// version is refused.
const rootFormatVersion = 1

const jsonBytesMax = 1 << 20

// rootFile is engine.json.
type rootFile struct {
	FormatVersion int    `json:"format_version"`
	NodeID        string `json:"node_id"`
	CreatedNS     int64  `json:"created_ns"`
	// Bucket is the URL of the bucket that the root was used with last, without
	// secrets.
	Bucket string `json:"bucket,omitempty"`
}

// openRoot reads engine.json, or makes the root if the directory has none.
func openRoot(fsys vfs.FS, dir string, nowNS int64) (rootFile, error) {
	if err := settleNames(fsys, dir, filepath.Join(dir, logsDirName)); err != nil {
		return rootFile{}, err
	}
	root, err := readRoot(fsys, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return root, err
	}
	root = rootFile{FormatVersion: rootFormatVersion, NodeID: fmt.Sprintf("%016x", randomID()), CreatedNS: nowNS}
	if err := vfs.MkdirAllSync(fsys, filepath.Join(dir, logsDirName)); err != nil {
		return root, fmt.Errorf("create root: %w", err)
	}
	return root, writeJSON(fsys, filepath.Join(dir, engineFileName), root)
}

// checkRoot refuses a directory that cannot be the root, without changing
// anything.
func checkRoot(fsys vfs.FS, dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := fsys.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("create root %s: %s is not a directory: %w", dir, at, syscall.ENOTDIR)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look for root: %w", err)
		case err == nil || at == filepath.Dir(at):
			_, err := readRoot(fsys, dir)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // it is made
			}
			return err
		}
	}
}

// settleNames makes the names in directories durable before anything is
// concluded from them: the last process may have died, or failed, between a
// rename and its sync. A directory that does not exist is left out.
func settleNames(fsys vfs.FS, dirs ...string) error {
	for _, dir := range dirs {
		if err := fsys.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync directory %s: %w", dir, err)
		}
	}
	return nil
}

func readRoot(fsys vfs.FS, dir string) (rootFile, error) {
	var root rootFile
	err := readJSON(fsys, filepath.Join(dir, engineFileName), &root)
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w; put it back from a copy, or move it away: serve makes it anew", err)
	}
	if err != nil {
		return root, err
	}
	if root.FormatVersion > rootFormatVersion {
		return root, fmt.Errorf("%w: root %s has format version %d, this program reads up to %d; use a newer program",
			ErrNewerFormat, dir, root.FormatVersion, rootFormatVersion)
	}
	return root, nil
}

// isUnmarked reports whether a directory has logs and no engine.json: a root that
// lost it. The next open for writing makes it anew.
func isUnmarked(fsys vfs.FS, dir string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	info, err := fsys.Stat(filepath.Join(dir, logsDirName))
	return err == nil && info.IsDir()
}

func writeJSON(fsys vfs.FS, path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := vfs.WriteFileAtomic(fsys, path, append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func readJSON(fsys vfs.FS, path string, value any) error {
	data, err := vfs.ReadFile(fsys, path, jsonBytesMax)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := exactjson.Unmarshal(data, value); err != nil {
		return fmt.Errorf("%w: decode %s: %w", ErrDamaged, path, err)
	}
	return nil
}
