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
		return c.readTorn(fmt.Sprintf("the file has %d bytes, the manifest says %d", size, c.objectBytes))
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
		if err := c.readTorn(fmt.Sprintf("the object has %d bytes, the manifest says %d", found.Bytes, c.objectBytes)); err != nil {
			return s.loseCold(err)
		}
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

// readTorn verifies what can be read of an object of the wrong length.
func (c *objectCheck) readTorn(reason string) error {
	object, err := c.salvage(Finding{
		Kind: FoundDamaged, Path: c.path, Bytes: c.objectBytes, FirstSeq: c.entry.FirstSeq, LastSeq: c.entry.LastSeq, Reason: reason,
	})
	if object == nil || err != nil {
		return err
	}
	return c.readFrames(object)
}

// salvage opens an object whose tail is damaged, and reports that: as the loss of
// all its records if none can be read. The error is not about its bytes.
func (c *objectCheck) salvage(f Finding) (*tier.Object, error) {
	known := segment.Footer{LogID: c.log.id, ID: c.id, BaseSeq: c.base, FirstSeq: c.base, LastSeq: c.last, Flags: segment.FooterSealed}
	if c.entry != nil {
		known = *entryFooter(c.log.id, c.entry)
	}
	object, err := tier.SalvageObject(c.log.ctx, c.source, c.objectBytes, known)
	if err != nil && !isBadCopy(err) {
		return nil, err
	}
	if object != nil {
		f.FirstSeq, f.LastSeq = 0, 0 // its frames say what is lost
	}
	c.add(c.tier, f)
	return object, nil
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

// open opens the object; damage is reported, and the object nil if nothing of it
// can be read.
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
	if tier.Salvageable(err) {
		return c.salvage(f)
	}
	c.add(c.tier, f)
	return nil, nil
}

// isGone reports whether an error means that a copy is not there.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || isColdMissing(err) }
