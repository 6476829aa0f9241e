package manifest

// This file is the quarantine: where bytes go that recovery hides.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// quarantineReason stands beside the bytes, as JSON.
type quarantineReason struct {
	File         string `json:"file"`
	LogID        string `json:"log_id"`
	Chunk        uint64 `json:"chunk"`
	Offset       int64  `json:"offset"`
	Bytes        int    `json:"bytes"`
	FirstOrdinal uint64 `json:"first_ordinal"`
	Reason       string `json:"reason"`
	Time         string `json:"time"`
}

// quarantineNamesMax bounds the search for a free name: each crash in the middle
// of a recovery may leave one file behind.
const quarantineNamesMax = 1 << 20

// quarantine saves bytes of a chunk, durably, and returns the path.
func (w *Writer) quarantine(s *scannedChunk, offset int64, content []byte, reason string) (string, error) {
	dir := w.options.QuarantineDir
	if err := vfs.MkdirAllSync(w.fsys, dir); err != nil {
		return "", fmt.Errorf("make quarantine: %w", err)
	}
	file, path, err := w.createQuarantineFile(dir, s.index, offset)
	if err != nil {
		return "", err
	}
	if err := writeSyncClose(file, content); err != nil {
		return "", fmt.Errorf("write quarantined bytes: %w", err)
	}
	text, err := json.MarshalIndent(quarantineReason{
		File: ChunkName(s.index), LogID: fmt.Sprintf("%016x", w.options.LogID), Chunk: s.index, Offset: offset, Bytes: len(content),
		FirstOrdinal: s.next, Reason: reason, Time: w.options.Now().UTC().Format(time.RFC3339Nano),
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode reason: %w", err)
	}
	if err := vfs.WriteFileAtomic(w.fsys, path+".reason.json", append(text, '\n')); err != nil { // syncs the directory
		return "", fmt.Errorf("write reason: %w", err)
	}
	return path, nil
}

func (w *Writer) createQuarantineFile(dir string, index uint64, offset int64) (vfs.File, string, error) {
	for n := 1; n < quarantineNamesMax; n++ {
		path := filepath.Join(dir, fmt.Sprintf("manifest_%0*d_%010d_%d.bin", nameDigits, index, offset, n))
		file, err := w.fsys.Create(path)
		if err == nil {
			return file, path, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, "", fmt.Errorf("create quarantine file: %w", err)
		}
	}
	return nil, "", fmt.Errorf("create quarantine file for chunk %d: %w", index, fs.ErrExist)
}

func writeSyncClose(file vfs.File, content []byte) (err error) {
	defer func() { err = firstError(err, file.Close()) }()
	if err := writeAll(file, content, 0); err != nil {
		return err
	}
	return file.Sync()
}
