package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file is about who a log is: log.json.

// logFile is log.json: what is fixed when a log is created.
type logFile struct {
	FormatVersion int    `json:"format_version"`
	Name          string `json:"name"`
	LogID         string `json:"log_id"` // 16 hexadecimal digits
	CreatedNS     int64  `json:"created_ns"`
	// BucketFolder is where the log lies in a bucket, whatever it is called later.
	BucketFolder string `json:"bucket_folder"`
}

// bucketFolder is the log's folder; logs of earlier versions do not name it.
func (f *logFile) bucketFolder() string {
	if f.BucketFolder != "" {
		return f.BucketFolder
	}
	return f.Name + "." + f.LogID
}

// openIdentity reads the log's fixed facts, or creates the log.
func (e *Engine) openIdentity(name string) (identity logFile, created bool, err error) {
	if e.bucketOnly {
		identity, err = e.bucketIdentity(context.Background(), name)
		return identity, false, err
	}
	paths := newLogLayout(e.dir, name)
	if !e.readOnly {
		if err := settleNames(e.opts.FS, paths.dir); err != nil {
			return identity, false, err
		}
	}
	err = readJSON(e.opts.FS, paths.logFile(), &identity)
	switch {
	case err == nil && identity.FormatVersion > rootFormatVersion:
		return identity, false, fmt.Errorf("%w: %s", ErrNewerFormat, paths.logFile())
	case err == nil && identity.Name != "" && ValidateLogName(identity.Name) != nil:
		return identity, false, fmt.Errorf("%w: %s says %.200q, which is no name of a log; %s", ErrDamaged, paths.logFile(), identity.Name, logFileRemedy)
	case err == nil && identity.Name != "" && identity.Name != name:
		err = e.renamed(name, &identity)
		return identity, false, err
	case errors.Is(err, ErrDamaged):
		return identity, false, fmt.Errorf("%w; %s", err, logFileRemedy)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return identity, false, err
	}
	if err := e.checkNew(paths); err != nil {
		return identity, false, err
	}
	if e.readOnly {
		return identity, false, fmt.Errorf("%w: no log of this name in %s", ErrNotFound, e.dir)
	}
	identity, err = e.createIdentity(name, paths)
	return identity, err == nil, err
}

// renamed takes over a log whose directory has another name than it was created
// with. Its folder in the bucket stays. A copy beside the log that it was made of
// is refused: two logs of one id would share that folder.
func (e *Engine) renamed(name string, identity *logFile) error {
	twin, err := e.twinOf(name, identity.LogID)
	if err != nil {
		return err
	}
	path := newLogLayout(e.dir, name).logFile()
	if twin != "" {
		return fmt.Errorf("%w: %s is of the log %s and has the id of %s: two logs of one id would share a folder in the bucket; "+
			"move one of the two directories to another root", ErrDamaged, path, identity.Name, twin)
	}
	if e.readOnly {
		return nil
	}
	e.opts.Logger.Info("log_renamed", "log", name, "from", identity.Name)
	identity.BucketFolder = identity.bucketFolder()
	identity.Name = name
	return writeJSON(e.opts.FS, path, identity)
}

// twinOf is the name of another log of this id in the root, if there is one.
func (e *Engine) twinOf(name, logID string) (string, error) {
	names, err := e.Logs()
	if err != nil {
		return "", err
	}
	for _, other := range names {
		if other == name {
			continue
		}
		var identity logFile
		err := readJSON(e.opts.FS, newLogLayout(e.dir, other).logFile(), &identity)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look whether %s is a copy of another log: %w; %s", name, err, logFileRemedy)
		}
		if err == nil && identity.LogID == logID {
			return other, nil
		}
	}
	return "", nil
}

// logFileRemedy is what to do about a log.json that is lost.
const logFileRemedy = "put it back from a copy: in a bucket it lies in the folder of the log; the log id is in the header of every segment too"

// checkNew refuses to take a log for a new one that has files already.
func (e *Engine) checkNew(paths logLayout) error {
	dir, err := usedFolder(e.opts.FS, paths)
	if err != nil || dir == "" {
		return err
	}
	return fmt.Errorf("%w: %s is missing and %s holds files of the log; %s", ErrDamaged, paths.logFile(), dir, logFileRemedy)
}

// usedFolder is a folder of a log that holds what a log has only once it was
// created, "" if none does.
func usedFolder(fsys vfs.FS, paths logLayout) (string, error) {
	for _, folder := range []struct {
		dir     string
		isOfLog func(name string) bool
	}{
		{paths.segments, func(name string) bool { _, ok := parseSegmentName(name); return ok }},
		{paths.warm, func(name string) bool { _, ok := tier.ParseWarmName(name); return ok }},
		{paths.manifest, isManifestFile},
	} {
		entries, err := fsys.ReadDir(folder.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("list %s: %w", folder.dir, err)
		}
		if slices.ContainsFunc(entries, func(entry fs.DirEntry) bool { return folder.isOfLog(entry.Name()) }) {
			return folder.dir, nil
		}
	}
	return "", nil
}

func isManifestFile(name string) bool {
	_, chunk := manifest.ParseChunkName(name)
	_, snapshot := manifest.ParseSnapshotName(name)
	return chunk || snapshot
}

// createIdentity makes the directories and the identity of a new log.
func (e *Engine) createIdentity(name string, paths logLayout) (identity logFile, err error) {
	for _, dir := range []string{paths.segments, paths.quarantine} {
		if err := vfs.MkdirAllSync(e.opts.FS, dir); err != nil {
			return identity, fmt.Errorf("create log: %w", err)
		}
	}
	identity = logFile{
		FormatVersion: rootFormatVersion, Name: name,
		LogID: fmt.Sprintf("%016x", e.opts.random()), CreatedNS: e.opts.Now().UnixNano(),
	}
	identity.BucketFolder = identity.bucketFolder()
	return identity, writeJSON(e.opts.FS, paths.logFile(), identity)
}
