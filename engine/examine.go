package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file reads what segment files say of themselves, changing nothing:
// recovery, read-only opens and checks start from it.

// segmentFiles lists what has the name of a segment file, in order of id.
func (l *Log) segmentFiles() ([]segmentName, error) {
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
	slices.SortFunc(names, func(a, b segmentName) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.created, b.created)) })
	return names, nil
}

// examine reads header and footer of a segment. The file's name says which
// segment it is; a header that does not verify is rebuilt from the manifest's
// entry, nil if there is none, or from the footer.
func (l *Log) examine(name segmentName, entry *manifest.Segment) (*foundSegment, error) {
	s := &segmentFile{fs: l.engine.opts.FS, path: l.paths.segment(name)}
	found := &foundSegment{name: name, file: s, entry: entry}
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
	ends, err := readFileEnds(file)
	if err != nil && !(isUnreadable(err) && found.sealedBefore()) {
		return err // else the manifest says what they would
	}
	found.file.bytes.Store(ends.bytes)
	if err := l.findFooter(ends, found); err != nil {
		return err
	}
	return l.takeHeader(ends, found)
}

// findFooter looks for a footer at the end of the file and, if there is none,
// in the whole of it: a truncation may have been lost. Of a segment that the
// manifest knows to be sealed, the manifest says what a footer would.
func (l *Log) findFooter(ends fileEnds, found *foundSegment) error {
	footer, err := segment.DecodeFooter(ends.tail)
	if isNewer(err) {
		return fmt.Errorf("%w: %w", ErrNewerFormat, err)
	}
	if err == nil && l.ownFooter(&footer, ends.head, found) && int64(footer.IndexOffset+footer.IndexBytes) == ends.bytes-segment.FooterBytes {
		found.footer, found.footerAt = &footer, ends.bytes-segment.FooterBytes
		return nil
	}
	if found.sealedBefore() { // the index is built anew when it is needed
		found.footer = entryFooter(l.id, found.entry)
		return nil
	}
	contents, err := l.readWhole(found.file)
	if err != nil {
		return err
	}
	if footer, at, ok := segment.FindFooter(contents, l.id, found.name.id); ok && l.ownFooter(&footer, ends.head, found) {
		found.footer, found.footerAt = &footer, at
	}
	return nil
}

// fileEnds is what stands where a segment file has its header and its footer, nil
// where that cannot be read.
type fileEnds struct {
	bytes int64 // length of the file
	head  []byte
	tail  []byte
}

func readFileEnds(file vfs.File) (ends fileEnds, err error) {
	if ends.bytes, err = file.Size(); err != nil {
		return ends, err
	}
	head := make([]byte, min(ends.bytes, segment.HeaderBytes))
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return ends, fmt.Errorf("read header: %w", err)
	}
	tail := make([]byte, min(ends.bytes, segment.FooterBytes))
	if _, err := file.ReadAt(tail, ends.bytes-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return ends, fmt.Errorf("read footer: %w", err)
	}
	ends.head, ends.tail = head, tail
	return ends, nil
}

// refuseNewer looks at both ends of every segment file, before anything is
// changed: a log of which a newer version wrote a part is left as it is.
func (l *Log) refuseNewer(names []segmentName) error {
	for _, name := range names {
		newer, err := l.whatIsNewer(name)
		if err != nil {
			return fmt.Errorf("examine segment %d: %w", name.id, err)
		}
		if newer != nil {
			return fmt.Errorf("%w: segment %d: %w", ErrNewerFormat, name.id, newer)
		}
	}
	return nil
}

func (l *Log) whatIsNewer(name segmentName) (newer, err error) {
	file, err := l.engine.opts.FS.Open(l.paths.segment(name))
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, file.Close()) }()
	ends, err := readFileEnds(file)
	if isUnreadable(err) {
		return nil, nil // whether that matters is judged with the manifest
	}
	if err != nil {
		return nil, err
	}
	if _, newer = segment.DecodeHeader(ends.head); isNewer(newer) {
		return newer, nil
	}
	if _, newer = segment.DecodeFooter(ends.tail); isNewer(newer) {
		return newer, nil
	}
	return nil, nil
}

// isNewer reports whether bytes that verify are of a version, or have flags,
// that this program does not know.
func isNewer(err error) bool {
	var version *segment.VersionError
	var flags *segment.FlagsError
	return errors.As(err, &version) && version.Verified || errors.As(err, &flags)
}

// ownFooter reports whether a footer is that of the segment and, if the manifest
// knows the segment to be sealed, says the same. head is the file's header.
func (l *Log) ownFooter(footer *segment.Footer, head []byte, found *foundSegment) bool {
	own := footer.LogID == l.id && footer.ID == found.name.id && footer.BaseSeq == found.name.baseSeq
	return own && saltFits(footer, head, found.entry) && (!found.sealedBefore() || footer.SegmentCRC64 == found.entry.SegmentCRC64)
}

// saltFits reports whether a footer has the salt of its segment, as the header of
// the file or else the manifest has it. Whoever may publish can make a payload that
// is a footer in everything else.
func saltFits(footer *segment.Footer, head []byte, entry *manifest.Segment) bool {
	header, err := segment.DecodeHeader(head)
	if err == nil && header.LogID == footer.LogID && header.ID == footer.ID {
		return header.Salt == footer.Salt
	}
	return entry == nil || !entry.Opened || entry.Salt == footer.Salt
}

// takeHeader takes the header, or what the manifest or the footer has of it.
func (l *Log) takeHeader(ends fileEnds, found *foundSegment) error {
	header, err := segment.DecodeHeader(ends.head)
	if isNewer(err) {
		return fmt.Errorf("%w: %w", ErrNewerFormat, err)
	}
	if err == nil && header.LogID == l.id && header.ID == found.name.id && header.BaseSeq == found.name.baseSeq {
		found.file.header = header
		return nil
	}
	found.file.header = segment.Header{LogID: l.id, ID: found.name.id, BaseSeq: found.name.baseSeq, Created: found.name.created}
	switch {
	case found.entry != nil && found.entry.Opened:
		found.file.header, found.headerLost = entryHeader(l.id, found.entry), true
	case found.footer != nil:
		found.file.header.Epoch, found.file.header.Salt = found.footer.Epoch, found.footer.Salt
	default:
		found.file.lost = lostSalt
	}
	return nil
}

// readWhole reads a segment by the descriptor, never through a map.
func (l *Log) readWhole(s *segmentFile) ([]byte, error) {
	return vfs.ReadFile(s.fs, s.path, segment.FileBytesMax)
}
