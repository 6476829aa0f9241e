package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file checks a bucket without a root: a listing names the objects, and
// their footers say what is in them.

func (c *checker) checkBucketOnly() error {
	c.report.Bucket = c.dir
	opened, err := bucket.Open(c.ctx, bucket.Options{
		URL: c.dir, FS: c.opts.BucketFS, ReadOnly: true, Retry: c.opts.bucketRetry, Wrap: c.opts.wrapBucket,
	})
	if errors.Is(err, bucket.ErrURL) {
		return fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	if err != nil {
		return err
	}
	c.bucket = opened
	folders, err := bucketFolders(c.ctx, opened)
	if err != nil {
		return err
	}
	names := bucketLogNames(folders)
	for i, folder := range folders {
		if err := c.checkBareFolder(folder, names[i]); err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
	}
	return nil
}

// checkBareFolder checks a log that is opened by the given name.
func (c *checker) checkBareFolder(folder, openedAs string) (err error) {
	name, id, _ := bucket.ParseFolder(folder)
	c.report.Logs = append(c.report.Logs, LogCheck{Name: openedAs, ID: id, FirstSeq: 1})
	l := &logChecker{checker: c, name: name, id: id, found: &c.report.Logs[len(c.report.Logs)-1]}
	l.logFiles = &logFiles{state: manifest.NewState()}
	if l.folder, err = c.bucket.Log(folder); err != nil {
		return err
	}
	objects, err := l.listFolder()
	if err != nil || c.bucketGone {
		return err
	}
	if objects, err = l.noteSuperseded(objects); err != nil {
		return l.loseFolder(err)
	}
	for len(objects) > 0 {
		count := 1
		for count < len(objects) && objects[count].ID == objects[0].ID {
			count++
		}
		if err := l.checkGenerations(objects[:count]); err != nil {
			return err
		}
		objects = objects[count:]
	}
	l.checkBareSequences()
	return nil
}

// listFolder lists the objects of segments.
func (l *logChecker) listFolder() (objects []listedObject, err error) {
	l.opts.OnProgress(l.name, l.folder.Name())
	epochs, identity := epochRange{}, false
	for object, err := range l.folder.List(l.ctx, "") {
		if err != nil {
			return nil, l.loseFolder(err)
		}
		epoch, isEpoch := bucket.ParseEpochKey(object.Key)
		key, isSegment := bucket.ParseSegmentKey(object.Key)
		switch {
		case isEpoch:
			epochs.add(epoch)
		case object.Key == bucket.LogKey:
			identity = true
		case isSegment && !key.Dictionary:
			objects = append(objects, listedObject{SegmentKey: key, bytes: object.Bytes})
		default:
			l.note(Finding{
				Kind: FoundUnknown, Part: PartBucket, Path: l.folder.Name() + "/" + object.Key, Bytes: object.Bytes, Reason: "this program does not look into such objects",
			})
		}
	}
	l.checkEpochs(&epochs)
	if err := l.checkClaims(&epochs); err != nil || l.bucketGone {
		return nil, err
	}
	if identity {
		err = l.checkStoredIdentity()
	}
	return objects, err
}

// noteSuperseded leaves out what an owner put that had been overtaken, and sorts
// the rest by id, for each segment the object that counts first.
func (l *logChecker) noteSuperseded(objects []listedObject) ([]listedObject, error) {
	superseded, err := rankObjects(l.ctx, l.folder, l.id, objects)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(objects, func(listed listedObject) bool {
		by, is := superseded[listed.String()]
		if is {
			l.note(Finding{
				Kind: FoundUnknown, Part: PartBucket, Segment: listed.ID, Path: l.folder.Name() + "/" + listed.String(), Bytes: listed.bytes, Reason: by.String(),
			})
		}
		return is
	}), nil
}

// checkGenerations checks the objects of one segment. The first that verifies
// counts.
func (l *logChecker) checkGenerations(objects []listedObject) error {
	s := &segmentCheck{log: l, id: objects[0].ID}
	s.base, s.last = objects[0].First, objects[0].Last
	s.part = true
	good := false
	for i := range objects {
		sound, err := s.checkListed(&objects[i], !good)
		if l.bucketGone || err != nil {
			return err
		}
		good = good || sound
	}
	for i := range s.damage {
		f := &s.damage[i]
		switch {
		case f.Cost != "":
		case !f.costsRecords():
			f.Cost = CostNone
		case good:
			f.Cost, f.RepairFrom, f.RepairUnread = CostRepairable, manifest.TierCold.String(), !l.opts.Deep
		default:
			f.Cost = CostLost
		}
	}
	s.proven = s.last
	l.segments = append(l.segments, s)
	l.found.Segments++
	l.count(s)
	l.found.Damage = append(l.found.Damage, s.damage...)
	l.found.Notes = append(l.found.Notes, s.notes...)
	return nil
}

// checkListed checks one object: its footer, or with Deep all of it. decides says
// that no newer generation is good.
func (s *segmentCheck) checkListed(listed *listedObject, decides bool) (sound bool, err error) {
	key := listed.String()
	c := &objectCheck{
		segmentCheck: s, tier: manifest.TierCold, path: s.log.folder.Name() + "/" + key,
		source: &coldSource{folder: s.log.folder, key: key}, objectBytes: listed.bytes,
	}
	s.sawCopy(manifest.TierCold, listed.bytes)
	if !s.log.opts.Deep {
		s.unread = s.unread.With(manifest.TierCold)
	}
	s.log.opts.OnProgress(s.log.name, c.path)
	before := len(s.damage)
	object, err := c.open(tier.Identity{LogID: s.log.id, SegmentID: listed.ID})
	if object == nil || err != nil {
		return false, s.loseListed(err)
	}
	footer := object.Footer()
	if footer.FirstSeq != listed.First || footer.LastSeq != listed.Last {
		s.contradicts(manifest.TierCold, c.path, fmt.Sprintf("it holds the sequences %d to %d", footer.FirstSeq, footer.LastSeq))
	}
	if !decides {
		s.note(FoundUnknown, manifest.TierCold, c.path, "a newer generation holds the segment")
	}
	if decides {
		s.records, s.dataBytes = 0, 0 // a newer generation, if any, is damaged
	}
	if s.log.opts.Deep || object.Salvaged() {
		s.counted = !decides
		err = c.readFrames(object)
	} else if decides {
		s.records = footer.Count
	}
	if err != nil {
		return false, s.loseListed(err)
	}
	if decides {
		s.base, s.last = footer.FirstSeq, footer.LastSeq
	}
	return len(s.damage) == before, nil
}

func (s *segmentCheck) loseListed(err error) error {
	if err == nil || errors.Is(err, ErrNewerFormat) {
		return err
	}
	return s.log.loseFolder(err)
}

// checkBareSequences verifies that the objects hold every sequence from the first
// to the last. What is missing in front counts as removed by retention.
func (l *logChecker) checkBareSequences() {
	if len(l.segments) == 0 {
		return
	}
	l.paths.segments = l.folder.Name() + "/" + bucket.SegmentsPrefix
	next := l.segments[0].base
	l.found.FirstSeq = next
	for _, s := range l.segments {
		switch {
		case s.base > next:
			l.gap(next, s.base-1, s.id)
		case s.base < next:
			l.damaged(Finding{
				Kind: FoundContradiction, Part: PartLog, Segment: s.id, Path: l.paths.segments,
				Reason: fmt.Sprintf("it begins with sequence %d, the segment before ends with %d", s.base, next-1),
			})
		}
		next = max(next, s.last+1)
	}
	l.found.LastSeq = next - 1
}
