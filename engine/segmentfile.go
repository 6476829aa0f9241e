package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// segmentFile is one segment of a log: where it lies, how far it is written and
// synced, and its map while somebody reads it.
type segmentFile struct {
	fs     vfs.FS
	path   string
	header segment.Header
	// epoch is the number of the last owner that wrote into the segment, if it
	// is not the one in the header.
	epoch uint64
	// unproven counts the records behind the last one of a read-only log that
	// nothing proves durable. It is set before anybody sees the segment.
	unproven uint64
	// lost says why nothing of the segment can be read; "" if it can.
	lost string

	// tail is where the next record goes; only the appender touches it, under
	// Log.mu, while this is the log's last segment.
	tail tail

	// file is open for writing from activation until the seal; only the
	// committer, then the maintainer, use it.
	file vfs.File
	// bytes is the file's length.
	bytes atomic.Int64
	// writtenEnd and durableEnd are the offsets up to which readers may look.
	writtenEnd atomic.Int64
	durableEnd atomic.Int64
	// lastSeq is the last written sequence; base-1 when there is none.
	lastSeq atomic.Uint64
	// seal is what the footer says, nil while the segment is unsealed.
	seal atomic.Pointer[segment.Footer]

	// doubt is about the copies that readers found damaged or missing.
	doubt suspicion
	// warmBytes is what the warm file counts for in the warm budget.
	warmBytes atomic.Int64
	// lastRead is when a reader last entered the segment, nanoseconds.
	lastRead atomic.Int64
	// sketch tells which subjects a sealed segment lacks, nil while nobody asked.
	sketch atomic.Pointer[subjectSketch]
	// sketchDropped says that there was no room for it.
	sketchDropped atomic.Bool

	mapped struct {
		sync.Mutex
		evicted bool // there is no hot file, or it is about to go
		pins    int
		mapping vfs.Mapping
		index   *segment.Index
	}
}

// The reasons for which a segment is lost.
const (
	lostFile = "the segment file is missing"
	lostSalt = "neither header nor footer verifies"
	// lostRange is of sequences between two segments.
	lostRange = "sequences are missing: no segment file holds them"
	// lostObject: without a root nothing else says what is in it.
	lostObject = "the object in the bucket does not verify"
	// lostFront is what a read-only log says of them.
	lostFront = "no segment that is known holds them, and the manifest does not say that retention removed them"
	// cutOffFile is of what is missing at the end of a file; the rest can be read.
	cutOffFile = "the file is shorter than it was prepared: something cut it off"
	// lostUnread is of what is in front of the segments that are known.
	lostUnread = "the manifest lost what it had of these sequences, and the bucket that may hold them does not answer"
)

// tail is the appending end of a segment.
type tail struct {
	capacity     int64 // bytes that the file has, or will have when it is activated
	end          int64 // offset behind the last record encoded
	lastSeq      uint64
	records      uint64
	maxTimestamp int64
	frames       []segment.Frame // sparse index of what is encoded so far
}

// fits reports whether a record of this many bytes leaves room for what must
// follow the last record.
func (t *tail) fits(bytes int64) bool {
	end := t.end + bytes
	return end+segment.ReserveBytes(end) <= t.capacity
}

// note accounts for a data record of this many bytes that was encoded at end.
func (t *tail) note(seq uint64, timestamp, bytes int64) {
	if n := len(t.frames); n == 0 || t.end-t.frames[n-1].Offset >= segment.FrameBytes {
		t.frames = append(t.frames, segment.Frame{FirstSeq: seq, MaxTimestamp: t.maxTimestamp, Offset: t.end})
	}
	if t.records == 0 || timestamp > t.maxTimestamp {
		t.maxTimestamp = timestamp
	}
	t.records++
	t.lastSeq = seq
	t.end += bytes
}

func (s *segmentFile) id() uint64      { return s.header.ID }
func (s *segmentFile) baseSeq() uint64 { return s.header.BaseSeq }

// readableEnd is the offset behind the last byte that a reader of the level may
// look at.
func (s *segmentFile) readableEnd(level Level) int64 {
	if level == Written {
		return s.writtenEnd.Load()
	}
	return s.durableEnd.Load()
}

// pin maps the segment if it is not mapped and holds the map until unpin. The
// error matches errNotHot if there is no hot file.
func (s *segmentFile) pin() ([]byte, error) {
	s.mapped.Lock()
	defer s.mapped.Unlock()
	if s.mapped.evicted {
		return nil, errNotHot
	}
	if s.mapped.mapping == nil {
		mapping, err := s.openMap()
		if err != nil {
			return nil, fmt.Errorf("map segment %d: %w", s.id(), err)
		}
		s.mapped.mapping = mapping
	}
	s.mapped.pins++
	return s.mapped.mapping.Bytes(), nil
}

func (s *segmentFile) openMap() (vfs.Mapping, error) {
	file, err := s.fs.Open(s.path)
	if err != nil {
		return nil, err
	}
	mapping, err := file.Map(s.bytes.Load())
	if closeErr := file.Close(); err == nil && closeErr != nil {
		return nil, errors.Join(closeErr, mapping.Close())
	}
	return mapping, err
}

// unpin gives a pin back; the last one unmaps.
func (s *segmentFile) unpin() error {
	s.mapped.Lock()
	defer s.mapped.Unlock()
	s.mapped.pins--
	if s.mapped.pins > 0 {
		return nil
	}
	mapping := s.mapped.mapping
	s.mapped.mapping, s.mapped.index = nil, nil
	return mapping.Close()
}

// index decodes the index block of a sealed segment, once for as long as the
// segment is pinned. An index that does not verify is built anew from the
// records.
func (s *segmentFile) index(bytes []byte) (*segment.Index, error) {
	s.mapped.Lock()
	index := s.mapped.index
	s.mapped.Unlock()
	if index != nil {
		return index, nil
	}
	var err error
	fault := vfs.Guard(func() { index, err = s.decodeIndex(bytes) })
	if err = errors.Join(fault, err); err != nil {
		return nil, fmt.Errorf("read index of segment %d: %w", s.id(), err)
	}
	s.mapped.Lock()
	s.mapped.index = index
	s.mapped.Unlock()
	return index, nil
}

func (s *segmentFile) decodeIndex(bytes []byte) (*segment.Index, error) {
	if block, verifies := s.indexBlock(bytes); verifies {
		// The decoded index may be used after the map is gone.
		return segment.DecodeIndex(append([]byte(nil), block...))
	}
	records := bytes[:min(s.seal.Load().IndexOffset, uint64(len(bytes)))]
	scan := segment.Scan(records, s.header, s.known())
	block, _ := segment.BuildIndex(records, s.header, scan.Extents)
	return segment.DecodeIndex(block)
}

// indexBlock is the index block of a sealed segment's file, and whether it is
// as it was written.
func (s *segmentFile) indexBlock(bytes []byte) (block []byte, verifies bool) {
	footer, size := s.seal.Load(), uint64(len(bytes))
	if footer.IndexOffset > size || footer.IndexBytes == 0 || footer.IndexBytes > size-footer.IndexOffset {
		return nil, false
	}
	block = bytes[footer.IndexOffset : footer.IndexOffset+footer.IndexBytes]
	return block, segment.CRC64(block) == footer.IndexCRC64
}

// known is what a seal proves about the segment's records.
func (s *segmentFile) known() segment.Known {
	footer := s.seal.Load()
	if footer == nil {
		return segment.Known{}
	}
	return segment.Known{RecordsEnd: int64(footer.IndexOffset), LastSeq: footer.LastSeq, Complete: true}
}

// noteSealed takes over what a durable footer says.
func (s *segmentFile) noteSealed(footer *segment.Footer) {
	s.lastSeq.Store(footer.LastSeq)
	s.writtenEnd.Store(int64(footer.IndexOffset))
	s.durableEnd.Store(int64(footer.IndexOffset))
	s.seal.Store(footer)
}

// ended reports whether nothing more will be written to the file.
func (s *segmentFile) ended() bool { return s.lost != "" || s.seal.Load() != nil }

// closeFile closes the descriptor, if it is open.
func (s *segmentFile) closeFile() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Close()
}
