package engine

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file reads what segment files say of themselves, changing nothing:
// recovery, read-only opens and checks start from it.

// segmentNames lists the log's segment files in order of id.
func (l *Log) segmentNames() ([]segmentName, error) {
	entries, err := l.engine.opts.FS.ReadDir(l.paths.segments)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var names []segmentName
	for _, entry := range entries {
		if name, ok := parseSegmentName(entry.Name()); ok {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b segmentName) int { return int(int64(a.id) - int64(b.id)) })
	for i := 1; i < len(names); i++ {
		if names[i].id == names[i-1].id || names[i].baseSeq < names[i-1].baseSeq {
			return nil, fmt.Errorf("%w: segment files %s and %s contradict each other; move one of them out of the directory",
				ErrDamaged, names[i-1], names[i])
		}
	}
	return names, nil
}

// examine reads header and footer of a segment. The file's name says which
// segment it is; a header that does not verify is rebuilt from the footer.
func (l *Log) examine(name segmentName) (*foundSegment, error) {
	s := &segmentFile{fs: l.engine.opts.FS, path: l.paths.segment(name)}
	found := &foundSegment{name: name, file: s}
	file, err := s.fs.Open(s.path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.readEnds(file, found), file.Close()); err != nil {
		return nil, err
	}
	s.lastSeq.Store(s.baseSeq() - 1)
	s.writtenEnd.Store(segment.HeaderBytes)
	s.durableEnd.Store(segment.HeaderBytes)
	return found, nil
}

func (l *Log) readEnds(file vfs.File, found *foundSegment) error {
	size, err := file.Size()
	if err != nil {
		return err
	}
	found.file.bytes.Store(size)
	if err := l.readFooter(file, size, found); err != nil {
		return err
	}
	return l.readHeader(file, size, found)
}

// readFooter looks for a footer at the end of the file and, if there is none,
// in the whole of it: a truncation may have been lost.
func (l *Log) readFooter(file vfs.File, size int64, found *foundSegment) error {
	tail := make([]byte, min(size, segment.FooterBytes))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read footer: %w", err)
	}
	footer, err := segment.DecodeFooter(tail)
	if isNewer(err) {
		return fmt.Errorf("%w: %w", ErrNewerFormat, err)
	}
	if err == nil && l.ownFooter(&footer, found.name) && int64(footer.IndexOffset+footer.IndexBytes) == size-segment.FooterBytes {
		found.footer, found.footerAt = &footer, size-segment.FooterBytes
		return nil
	}
	contents, err := l.readWhole(found.file)
	if err != nil {
		return err
	}
	if footer, at, ok := segment.FindFooter(contents, l.id, found.name.id); ok && l.ownFooter(&footer, found.name) {
		found.footer, found.footerAt = &footer, at
	}
	return nil
}

// isNewer reports whether bytes that verify are of a version, or have flags,
// that this program does not know.
func isNewer(err error) bool {
	var version *segment.VersionError
	var flags *segment.FlagsError
	return errors.As(err, &version) && version.Verified || errors.As(err, &flags)
}

func (l *Log) ownFooter(footer *segment.Footer, name segmentName) bool {
	return footer.LogID == l.id && footer.ID == name.id && footer.BaseSeq == name.baseSeq
}

func (l *Log) readHeader(file vfs.File, size int64, found *foundSegment) error {
	head := make([]byte, min(size, segment.HeaderBytes))
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read header: %w", err)
	}
	header, err := segment.DecodeHeader(head)
	if isNewer(err) {
		return fmt.Errorf("%w: %w", ErrNewerFormat, err)
	}
	if err == nil && header.LogID == l.id && header.ID == found.name.id && header.BaseSeq == found.name.baseSeq {
		found.file.header = header
		return nil
	}
	found.file.header = segment.Header{LogID: l.id, ID: found.name.id, BaseSeq: found.name.baseSeq, Created: found.name.created}
	found.file.unreadable = found.footer == nil
	if found.footer != nil {
		found.file.header.Epoch, found.file.header.Salt = found.footer.Epoch, found.footer.Salt
	}
	return nil
}

// readWhole reads a segment by the descriptor, never through a map.
func (l *Log) readWhole(s *segmentFile) ([]byte, error) {
	return vfs.ReadFile(s.fs, s.path, segment.SegmentBytesMax)
}
