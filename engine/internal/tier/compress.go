package tier

import (
	"context"
	"errors"
	"fmt"
	"io"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// ObjectInfo describes an object that was written.
type ObjectInfo struct {
	Bytes     int64  // length of the object
	TailBytes int64  // its last part: index frame and seek table; see OpenObject
	CRC64     uint64 // CRC-64/NVME of the object
	Frames    int    // record frames
	Footer    segment.Footer
	Index     *segment.Index
}

// Compress writes the sealed segment file src, which is segmentBytes long, to
// dst as an object. level is that of zstd, 0 for DefaultLevel.
//
// Index and footer are checked before the first byte is written, the CRC-64 of
// the records before the tail is: of a damaged segment there is at most the
// beginning of an object, which does not open. The error is then a
// CorruptError with an offset in the segment; an IdentityError if the segment
// is not want; it matches segment.ErrVersion if another version wrote it; else
// it is that of src, dst or ctx. Whether dst keeps the bytes is the caller's
// business: Compress writes and does not sync.
//
// It holds one frame, plain and compressed, and the index, whatever the length
// of the segment. Any number of calls may run at once.
func Compress(ctx context.Context, dst io.Writer, src io.ReaderAt, segmentBytes int64, want Identity, level int) (ObjectInfo, error) {
	c := compressor{src: src, out: objectWriter{dst: dst}}
	if err := c.readTail(segmentBytes, want); err != nil {
		return ObjectInfo{}, err
	}
	encoder, release, err := takeEncoder(level)
	if err != nil {
		return ObjectInfo{}, err
	}
	defer release()
	c.encoder = encoder
	if c.writer, err = seekable.NewWriter(&c.out, encoder); err != nil {
		return ObjectInfo{}, fmt.Errorf("make seekable writer: %w", err)
	}
	if err := c.writeFrames(ctx); err != nil {
		return ObjectInfo{}, err
	}
	return c.writeTail()
}

// compressor is one run of Compress.
type compressor struct {
	src     io.ReaderAt
	tail    []byte // index block and footer
	footer  segment.Footer
	index   *segment.Index
	frames  frames
	encoder *frameEncoder
	writer  *seekable.Writer
	out     objectWriter
}

// readTail reads and checks footer and index.
func (c *compressor) readTail(segmentBytes int64, want Identity) error {
	at := segmentBytes - segment.FooterBytes
	if at < segment.HeaderBytes || segmentBytes > segmentBytesMax {
		return segmentCorrupt("segment", 0, fmt.Errorf("segment of %d bytes: %w", segmentBytes, segment.ErrCorrupt))
	}
	var b [segment.FooterBytes]byte
	if err := c.read(b[:], at); err != nil {
		return err
	}
	var err error
	if c.footer, err = segment.DecodeFooter(b[:]); err != nil {
		return segmentCorrupt("footer", at, err)
	}
	if err := want.check(&c.footer); err != nil {
		return err
	}
	start := int64(c.footer.IndexOffset)
	if start+int64(c.footer.IndexBytes) != at || segmentBytes-start > indexFrameBytesMax(start) {
		return segmentCorrupt("footer", at, fmt.Errorf("index of %d bytes at %d: %w", c.footer.IndexBytes, start, segment.ErrCorrupt))
	}
	c.tail = make([]byte, segmentBytes-start)
	if err := c.read(c.tail, start); err != nil {
		return err
	}
	if c.index, err = c.footer.Index(c.tail[:c.footer.IndexBytes:c.footer.IndexBytes]); err != nil {
		return segmentCorrupt("index", start, err)
	}
	if c.frames, err = newFrames(c.index, &c.footer); err != nil {
		return segmentCorrupt("index", start, err)
	}
	return nil
}

// segmentCorrupt makes the error of a damaged segment file, unless another
// version wrote it.
func segmentCorrupt(where string, offset int64, err error) error {
	if errors.Is(err, segment.ErrVersion) {
		return fmt.Errorf("compress segment: %w", err)
	}
	return &CorruptError{Where: where, Offset: offset, Frame: noFrame, Err: err}
}

// read fills b from an offset of the segment.
func (c *compressor) read(b []byte, offset int64) error {
	n, err := c.src.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return segmentCorrupt("segment", offset+int64(n), fmt.Errorf("file ends: %w", segment.ErrShort))
	}
	return fmt.Errorf("read segment at %d: %w", offset+int64(n), err)
}

// writeFrames writes the record frames, then checks what they held.
func (c *compressor) writeFrames(ctx context.Context) error {
	var crc uint64
	for i := range c.frames.count() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("compress segment: %w", err)
		}
		start, end := c.frames.bounds(i)
		plain := c.encoder.buffer(end - start)
		if err := c.read(plain, start); err != nil {
			return err
		}
		crc = segment.UpdateCRC64(crc, plain)
		if _, err := c.writer.Write(plain); err != nil {
			return fmt.Errorf("write frame %d: %w", i, err)
		}
	}
	if crc != c.footer.SegmentCRC64 {
		return c.locateDamage()
	}
	return nil
}

// writeTail writes index frame and seek table.
func (c *compressor) writeTail() (ObjectInfo, error) {
	recordBytes := c.out.bytes
	if _, err := c.writer.Write(c.tail); err != nil {
		return ObjectInfo{}, fmt.Errorf("write index frame: %w", err)
	}
	if err := c.writer.Close(); err != nil {
		return ObjectInfo{}, fmt.Errorf("write seek table: %w", err)
	}
	return ObjectInfo{
		Bytes: c.out.bytes, TailBytes: c.out.bytes - recordBytes, CRC64: c.out.crc64,
		Frames: c.frames.count(), Footer: c.footer, Index: c.index,
	}, nil
}

// locateDamage looks for the first record that does not verify, to say more
// than that the whole has another checksum. What it reads may be good by now.
func (c *compressor) locateDamage() error {
	for i := range c.frames.count() {
		start, end := c.frames.bounds(i)
		plain := c.encoder.buffer(end - start)
		if err := c.read(plain, start); err != nil {
			return err
		}
		if i == 0 {
			if _, err := segment.DecodeHeader(plain); err != nil {
				return &CorruptError{Where: "segment", Offset: 0, Frame: 0, Err: err}
			}
			plain, start = plain[segment.HeaderBytes:], segment.HeaderBytes
		}
		if i < len(c.frames.entries) && c.frames.entries[i].Damaged {
			continue // records there do not verify: recovery knew
		}
		if offset, seq, err := firstBadRecord(plain, c.footer.Salt); err != nil {
			corrupt := c.frames.corrupt(i, start+offset, err)
			if corrupt.FirstSeq = max(corrupt.FirstSeq, seq); corrupt.FirstSeq > corrupt.LastSeq {
				corrupt.FirstSeq, corrupt.LastSeq = 0, 0 // a mark
			}
			return corrupt
		}
	}
	return &CorruptError{
		Where: "segment", Offset: 0, Frame: noFrame, FirstSeq: c.footer.FirstSeq, LastSeq: c.footer.LastSeq,
		Err: fmt.Errorf("CRC-64 of header and records: %w", segment.ErrCorrupt),
	}
}

// firstBadRecord returns where the first record of b lies that does not verify,
// and the sequence after the last that does, 0 if there is none.
func firstBadRecord(b []byte, salt uint64) (offset int64, seq uint64, err error) {
	for offset < int64(len(b)) {
		var r segment.Record
		n, err := segment.DecodeRecord(b[offset:], salt, &r)
		if n == 0 {
			return offset, seq, err
		}
		offset += int64(n)
		seq = r.Seq + 1
	}
	return offset, seq, nil
}

// objectWriter counts and sums what is written.
type objectWriter struct {
	dst   io.Writer
	bytes int64
	crc64 uint64
}

func (w *objectWriter) Write(b []byte) (int, error) {
	n, err := w.dst.Write(b)
	w.bytes += int64(n)
	w.crc64 = segment.UpdateCRC64(w.crc64, b[:n])
	return n, err
}
