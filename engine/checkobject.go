package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// checkSpanBytes is about how much of an object is read at once.
const checkSpanBytes = 4 << 20

// checkWarm verifies a warm file: its frames, and the checksum of the whole.
func (s *segmentCheck) checkWarm(path string) error {
	entry := s.entry
	c := &objectCheck{
		segmentCheck: s, tier: manifest.TierWarm, path: path, source: &warmSource{fs: s.log.fs, path: path},
		objectBytes: int64(entry.Warm.ObjectBytes), tailBytes: int64(entry.Warm.TailBytes),
	}
	file, err := s.log.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.missing(manifest.TierWarm, path)
		return nil
	}
	if err != nil {
		return err
	}
	size, err := file.Size()
	var sum uint64
	if err == nil && size == c.objectBytes {
		sum, err = copyAndSum(s.log.ctx, io.Discard, file, size)
	}
	if err = joinClose(err, file.Close()); err != nil && !isUnreadable(err) {
		return err
	}
	s.usable = s.usable.With(manifest.TierWarm)
	if err != nil {
		c.brokenWhole(fmt.Sprintf("the file cannot be read: %v", err))
		return nil
	}
	if size != c.objectBytes {
		c.brokenWhole(fmt.Sprintf("the file has %d bytes, the manifest says %d", size, c.objectBytes))
		return nil
	}
	before := len(s.damage)
	if err := c.read(); err != nil {
		return err
	}
	if entry.Warm.CRC64 != 0 && sum != entry.Warm.CRC64 && len(s.damage) == before {
		c.broken(0, size, 0, 0, "the CRC-64 of the file is not the one that the manifest has")
	}
	return nil
}

// lookCold looks at the object that the manifest counts on.
func (s *segmentCheck) lookCold() error {
	entry := s.entry
	if entry == nil || !entry.Sealed || !entry.Resident.Has(manifest.TierCold) {
		return nil
	}
	if s.log.folder == nil && s.log.report.Bucket == "" {
		s.log.loseBucket(errors.New("the manifest counts on objects and the root names no bucket: check their bucket by its URL, or open the root with it once"))
	}
	if s.log.folder == nil || s.log.bucketGone {
		s.believeCold()
		return nil
	}
	key := entry.Cold.Key
	c := &objectCheck{
		segmentCheck: s, tier: manifest.TierCold, path: s.log.folder.Name() + "/" + key, source: &coldSource{folder: s.log.folder, key: key},
		objectBytes: int64(entry.Cold.ObjectBytes), tailBytes: int64(entry.Cold.TailBytes),
	}
	s.log.opts.OnProgress(s.log.name, c.path)
	found, err := s.log.folder.Attributes(s.log.ctx, key)
	switch {
	case errors.Is(err, bucket.ErrMissing):
		s.missing(manifest.TierCold, c.path)
		return nil
	case err != nil:
		return s.loseCold(err)
	case found.Bytes != c.objectBytes:
		s.sawCopy(manifest.TierCold, found.Bytes)
		s.usable = s.usable.With(manifest.TierCold)
		c.brokenWhole(fmt.Sprintf("the object has %d bytes, the manifest says %d", found.Bytes, c.objectBytes))
		return nil
	}
	s.sawCopy(manifest.TierCold, found.Bytes)
	s.usable = s.usable.With(manifest.TierCold)
	changed := entry.Cold.ETag != "" && found.ETag != entry.Cold.ETag
	if !changed && !s.log.opts.Deep {
		s.unread = s.unread.With(manifest.TierCold)
		return nil
	}
	before := len(s.damage)
	if err := c.read(); err != nil {
		return s.loseCold(err)
	}
	if changed && len(s.damage) == before {
		s.note(FoundChanged, manifest.TierCold, c.path,
			fmt.Sprintf("its ETag is %s, it was %s when the upload was confirmed; all of it was read and verifies", found.ETag, entry.Cold.ETag))
	}
	return nil
}

// believeCold takes the object for good without looking.
func (s *segmentCheck) believeCold() {
	if s.entry.GoodCopies().Has(manifest.TierCold) {
		s.usable, s.unread = s.usable.With(manifest.TierCold), s.unread.With(manifest.TierCold)
	}
}

// loseCold notes that the bucket does not answer any more.
func (s *segmentCheck) loseCold(err error) error {
	if ctxErr := s.log.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if errors.Is(err, ErrNewerFormat) {
		return err
	}
	s.log.loseBucket(err)
	s.believeCold()
	return nil
}

// objectCheck is the check of one warm or cold object.
type objectCheck struct {
	*segmentCheck
	tier                   manifest.Tier
	path                   string
	source                 tier.RangeReader
	objectBytes, tailBytes int64
}

func (c *objectCheck) broken(offset, length int64, first, last uint64, reason string) {
	c.add(c.tier, Finding{Kind: FoundDamaged, Path: c.path, Offset: offset, Bytes: length, FirstSeq: first, LastSeq: last, Reason: reason})
}

func (c *objectCheck) brokenWhole(reason string) {
	c.broken(0, c.objectBytes, c.entry.FirstSeq, c.entry.LastSeq, reason)
}

// read opens the object and verifies every frame. The error is not about its
// bytes.
func (c *objectCheck) read() error {
	entry := c.entry
	object, err := c.open(tier.Identity{LogID: c.log.id, SegmentID: entry.ID, Salt: entry.Salt})
	if object == nil || err != nil {
		return err
	}
	footer := object.Footer()
	if differs := footerDiffers(&footer, entry); len(differs) > 0 {
		c.contradicts(c.tier, c.path, strings.Join(differs, ", ")+" in the footer, not as the manifest recorded the seal")
	}
	return c.readFrames(object)
}

// open opens the object; it returns nil if that is damaged, and reports it.
func (c *objectCheck) open(want tier.Identity) (*tier.Object, error) {
	object, err := tier.OpenObject(c.log.ctx, c.source, c.objectBytes, c.tailBytes, want)
	switch {
	case err == nil:
		return object, nil
	case isGone(err) && c.entry != nil:
		c.missing(c.tier, c.path)
		return nil, nil
	case isNewer(err):
		return nil, fmt.Errorf("%w: %s: %w", ErrNewerFormat, c.path, err)
	case !isBadCopy(err) && !errors.Is(err, segment.ErrVersion) && !isUnreadable(err):
		return nil, err
	}
	f := Finding{Kind: FoundDamaged, Path: c.path, FirstSeq: c.base, LastSeq: c.last, Reason: err.Error()}
	if c.entry != nil {
		f.FirstSeq, f.LastSeq = c.entry.FirstSeq, c.entry.LastSeq
	}
	if errors.Is(err, tier.ErrIdentity) {
		f.Kind = FoundContradiction
	}
	var corrupt *tier.CorruptError
	if errors.As(err, &corrupt) {
		f.Offset, f.Bytes = corrupt.Offset, max(c.objectBytes-corrupt.Offset, 0)
	}
	c.add(c.tier, f)
	return nil, nil
}

// readFrames verifies all frames, also those behind one that does not.
func (c *objectCheck) readFrames(object *tier.Object) error {
	w := &frameWalk{objectCheck: c, object: object, footer: object.Footer(), counting: !c.counted}
	w.want = w.footer.BaseSeq
	var frames []tier.Frame
	for first := 0; first < object.Frames(); {
		read, err := object.ReadFrames(c.log.ctx, first, spanOf(object, first), frames)
		for _, frame := range read {
			w.frame(frame)
		}
		first += len(read)
		if len(read) > 0 {
			frames = read
		}
		if err == nil {
			continue
		}
		if isGone(err) && c.entry != nil { // evicted meanwhile, or lost
			c.missing(c.tier, c.path)
			return nil
		}
		if !errors.Is(err, tier.ErrCorrupt) {
			return err
		}
		w.badFrame(first, err)
		first++
	}
	w.finish()
	return nil
}

// isGone reports whether an error means that a copy is not there.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || isColdMissing(err) }

// spanOf is how many frames from first on are read at once.
func spanOf(object *tier.Object, first int) int {
	count, bytes := 0, int64(0)
	for i := first; i < object.Frames(); i++ {
		_, length, _ := object.FrameRange(i)
		if bytes += length; count > 0 && bytes > checkSpanBytes {
			break
		}
		count++
	}
	return count
}

// frameWalk goes through the records of an object.
type frameWalk struct {
	*objectCheck
	object   *tier.Object
	footer   segment.Footer
	want     uint64 // the sequence that comes next
	crc      uint64
	holes    bool // a frame is missing
	counting bool // no other copy counted the records
}

func (w *frameWalk) frame(frame tier.Frame) {
	w.crc = segment.UpdateCRC64(w.crc, frame.Bytes)
	at := 0
	if frame.Start == 0 {
		at = min(segment.HeaderBytes, len(frame.Bytes))
		if _, err := segment.DecodeHeader(frame.Bytes[:at]); err != nil {
			w.broken(0, 0, 0, 0, "the segment header in it does not verify: "+err.Error())
		}
	}
	var record segment.Record
	for at < len(frame.Bytes) {
		n, _ := segment.DecodeRecord(frame.Bytes[at:], w.footer.Salt, &record)
		if n == 0 {
			at = w.sealedIn(frame, at)
			continue
		}
		at += n
		if record.Flags&segment.FlagControl != 0 {
			continue
		}
		if record.Seq != w.want {
			w.contradicts(w.tier, w.path, fmt.Sprintf("sequence %d stands where %d is expected", record.Seq, w.want))
		}
		w.want = record.Seq + 1
		if w.counting {
			w.records++
			w.dataBytes += int64(len(record.Subject) + len(record.Headers) + len(record.Payload))
		}
	}
}

// sealedIn reports damage that was there when the segment was sealed, and returns
// where it ends in the frame.
func (w *frameWalk) sealedIn(frame tier.Frame, at int) int {
	shift, image := frame.Start-segment.HeaderBytes, frame.Bytes
	if frame.Start > 0 { // offsets of a scan begin with a segment's header
		image = append(make([]byte, segment.HeaderBytes, segment.HeaderBytes+len(frame.Bytes)), frame.Bytes...)
	} else {
		shift = 0
	}
	_, last := w.object.FrameSeqs(frame.Number)
	known := segment.Known{RecordsEnd: int64(len(image)), LastSeq: last, Complete: true}
	offset := frame.Start + int64(at) - shift
	extent := segment.DamageAt(image, offset, w.footer.Header(0), w.want, known)
	f := Finding{
		Kind: FoundDamaged, Path: w.path, FirstSeq: extent.FirstSeq, LastSeq: extent.LastSeq,
		Reason: fmt.Sprintf("records at offset %d of the segment did not verify when it was sealed", extent.Offset+shift),
	}
	if f.costsRecords() {
		f.Cost = CostLost
	}
	w.add(w.tier, f)
	w.want = max(w.want, extent.LastSeq+1)
	return max(at+8, int(extent.End+shift-frame.Start))
}

func (w *frameWalk) badFrame(number int, err error) {
	w.holes = true
	offset, length, _ := w.object.FrameRange(number)
	first, last := w.object.FrameSeqs(number)
	w.broken(offset, length, first, last, fmt.Sprintf("frame %d does not verify: %v", number, err))
	w.want = last + 1
}

func (w *frameWalk) finish() {
	w.counted = true
	if !w.holes && w.crc != w.footer.SegmentCRC64 {
		w.broken(0, w.objectBytes, w.footer.FirstSeq, w.footer.LastSeq, "the CRC-64 of header and records is not the footer's")
	}
}
