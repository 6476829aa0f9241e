package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// logFiles is what a log has at one moment: the manifest's state, and after it
// the names of the files.
type logFiles struct {
	state *manifest.State
	hot   map[uint64][]segmentName
	warm  map[uint64][]string
}

// listFiles lists the log's files and makes the list of its segments.
func (l *logChecker) listFiles() error {
	if l.logFiles == nil {
		l.logFiles = &logFiles{state: l.withAssumed(manifest.NewState())}
	}
	if err := l.list(true); err != nil {
		return err
	}
	_, err := l.fs.Stat(l.paths.manifest)
	if errors.Is(err, fs.ErrNotExist) && len(l.hot)+len(l.warm) > 0 {
		l.damaged(Finding{
			Kind: FoundMissing, Part: PartManifest, Path: l.paths.manifest,
			Reason: "the log has segments and no manifest; the next open for writing adopts what files and bucket hold",
		})
	}
	if _, err := l.fs.Stat(filepath.Join(l.paths.dir, incompleteFileName)); err == nil {
		l.note(Finding{
			Kind: FoundPending, Part: PartManifest, Path: filepath.Join(l.paths.dir, incompleteFileName),
			Reason: "the manifest was found to lack records, and not all files and objects were looked at: the next open for writing does",
		})
	}
	l.segments = nil
	for _, id := range l.segmentIDs() {
		l.segments = append(l.segments, &segmentCheck{log: l, id: id})
	}
	return nil
}

// list reads the log's folders; withNotes, it notes what is no file of the log.
func (l *logChecker) list(withNotes bool) error {
	l.hot, l.warm = make(map[uint64][]segmentName), make(map[uint64][]string)
	err := l.eachFile(l.paths.segments, withNotes, func(name string) bool {
		parsed, ok := parseSegmentName(name)
		if ok && !l.leftOut[l.paths.segment(parsed)] {
			l.hot[parsed.id] = append(l.hot[parsed.id], parsed)
		}
		return ok
	})
	if err != nil {
		return err
	}
	return l.eachFile(l.paths.warm, withNotes, func(name string) bool {
		parsed, ok := tier.ParseWarmName(name)
		if ok {
			l.warm[parsed.SegmentID] = append(l.warm[parsed.SegmentID], name)
		}
		return ok
	})
}

func (l *logChecker) eachFile(dir string, withNotes bool, take func(name string) bool) error {
	entries, err := l.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, entry := range entries {
		known := take(entry.Name()) || strings.HasSuffix(entry.Name(), temporarySuffix)
		if !known && withNotes {
			l.note(Finding{Kind: FoundUnknown, Part: PartLog, Path: filepath.Join(dir, entry.Name()), Reason: "no file of the log has such a name"})
		}
	}
	return nil
}

// segmentIDs are the ids of the segments that are part of the log, in order.
func (f *logFiles) segmentIDs() []uint64 {
	ids := make(map[uint64]bool)
	for entry := range f.state.Segments() {
		if entry.Opened || entry.Sealed {
			ids[entry.ID] = true
		}
	}
	for id := range f.hot {
		ids[id] = true
	}
	for id := range f.warm {
		ids[id] = true
	}
	sorted := make([]uint64, 0, len(ids))
	for id := range ids {
		sorted = append(sorted, id)
	}
	slices.Sort(sorted)
	return sorted
}

// isTrimmed reports whether the manifest says that retention removed a file's
// segment.
func (f *logFiles) isTrimmed(name segmentName) bool {
	log := f.state.Log()
	return f.state.Segment(name.id) == nil && name.id < log.NextSegmentID && name.baseSeq <= log.TrimmedTo
}

// baseBehind is the base sequence of the segment that follows, 0 if none does.
func (f *logFiles) baseBehind(id uint64) uint64 {
	next, base := uint64(0), uint64(0)
	take := func(other, otherBase uint64) {
		if other > id && (next == 0 || other < next) {
			next, base = other, otherBase
		}
	}
	for entry := range f.state.Segments() {
		if entry.Opened || entry.Sealed {
			take(entry.ID, entry.BaseSeq)
		}
	}
	for _, names := range f.hot {
		for _, name := range names {
			if !f.isTrimmed(name) {
				take(name.id, name.baseSeq)
			}
		}
	}
	return base
}

// readFile reads a segment file into the one buffer that there is.
func (c *checker) readFile(path string) (contents []byte, err error) {
	file, err := c.fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, file.Close()) }()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > segment.FileBytesMax {
		return nil, fmt.Errorf("%d bytes: %w", size, vfs.ErrTooLarge)
	}
	if int64(cap(c.buffer)) < size {
		c.buffer = make([]byte, size)
	}
	contents = c.buffer[:size]
	n, err := file.ReadAt(contents, 0)
	if int64(n) == size {
		return contents, nil
	}
	return contents[:n], err
}

// listQuarantine notes what recovery put aside.
func (l *logChecker) listQuarantine() error {
	const reasonSuffix = ".reason.json"
	entries, err := l.fs.ReadDir(l.paths.quarantine)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list quarantine: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, reasonSuffix) || strings.HasSuffix(name, temporarySuffix) {
			continue
		}
		path := filepath.Join(l.paths.quarantine, name)
		info, err := l.fs.Stat(path)
		if err != nil {
			return fmt.Errorf("list quarantine: %w", err)
		}
		finding := Finding{Kind: FoundQuarantined, Part: PartQuarantine, Path: path, Bytes: info.Size(), Reason: "nothing says why"}
		var reason quarantineReason
		stem := strings.TrimSuffix(path, ".bytes") // of a cut; the others keep their whole name
		if data, err := vfs.ReadFile(l.fs, stem+reasonSuffix, jsonBytesMax); err == nil && json.Unmarshal(data, &reason) == nil {
			finding.Segment, finding.Offset, finding.Reason = reason.Segment, reason.Offset, reason.Reason
		}
		l.note(finding)
	}
	return nil
}
