package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// CheckOptions say how much Check reads. The zero value is usable.
type CheckOptions struct {
	// Deep reads every object of the bucket whole. Without it an object has to be
	// there, with the length and the ETag that the manifest has; one with another
	// ETag is read all the same.
	Deep bool
	// Bucket is the URL of the cold tier, instead of the one that the root was
	// used with last.
	Bucket string
	// OnProgress, if not nil, is told what is looked at next, by the goroutine
	// that called Check.
	OnProgress func(log, path string)
	// FS and BucketFS are as in Options.
	FS, BucketFS vfs.FS

	bucketRetry bucket.Retry
	wrapBucket  bucket.Wrapper
}

// Check reads everything that there is of all logs and verifies it: identity
// files, manifests, each copy of each segment by itself, and that all of them
// agree. place is the directory of a root, which may be in use, or the URL of a
// bucket. Nothing is written and no lock is taken.
//
// What is wrong is in the report; the error says why there is none: it matches
// ErrNotFound if place is no root, ErrNewerFormat if a newer version wrote it,
// and the context's error if that ended. What cannot be reached, such as a
// bucket that does not answer, is in CheckReport.Unchecked, and everything else
// is checked.
//
// Of a segment that is not sealed only what is proved durable is judged. Check
// holds one segment file in memory at a time, and of compressed objects a few
// frames.
func Check(ctx context.Context, place string, opts CheckOptions) (*CheckReport, error) {
	if opts.FS == nil {
		opts.FS = vfs.OS()
	}
	if opts.OnProgress == nil {
		opts.OnProgress = func(string, string) {}
	}
	c := &checker{ctx: ctx, fs: opts.FS, dir: place, opts: opts, report: &CheckReport{Place: place, Deep: opts.Deep}}
	run := c.checkRoot
	if strings.Contains(place, "://") {
		run = c.checkBucketOnly
	}
	err := run()
	if c.bucket != nil {
		err = errors.Join(err, c.bucket.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", place, err)
	}
	return c.report, nil
}

// checker is one run of Check.
type checker struct {
	ctx    context.Context
	fs     vfs.FS
	dir    string
	opts   CheckOptions
	report *CheckReport
	// bucket is nil if there is none, or if it does not answer; bucketGone says
	// that this was reported.
	bucket     *bucket.Bucket
	bucketGone bool
	// buffer is the segment file that is looked at.
	buffer []byte
}

func (c *checker) checkRoot() error {
	root, err := readRoot(c.fs, c.dir)
	switch {
	case isUnmarked(c.fs, c.dir, err):
		c.report.Damage = append(c.report.Damage, Finding{
			Kind: FoundMissing, Part: PartRoot, Path: filepath.Join(c.dir, engineFileName), Cost: CostNone,
			Reason: "the root has logs and no " + engineFileName + ": put it back from a copy, or start serve with --bucket, which makes it anew",
		})
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is no root (it has no %s)", ErrNotFound, c.dir, engineFileName)
	case errors.Is(err, ErrDamaged):
		c.report.Damage = append(c.report.Damage, Finding{
			Kind: FoundDamaged, Part: PartRoot, Path: filepath.Join(c.dir, engineFileName), Reason: err.Error(), Cost: CostNone,
		})
	case err != nil:
		return err
	}
	if c.report.Bucket = c.opts.Bucket; c.report.Bucket == "" {
		c.report.Bucket = root.Bucket
	}
	c.openBucket()
	names, err := c.engine().Logs()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.checkLog(name); err != nil {
			return fmt.Errorf("log %s: %w", name, err)
		}
	}
	return nil
}

// engine is the root as an engine that is not open: enough to ask for its names.
func (c *checker) engine() *Engine { return &Engine{dir: c.dir, opts: Options{FS: c.fs}} }

// openBucket opens the bucket if there is one. It asks it something: a bucket
// that does not answer is reported once, and not for each object.
func (c *checker) openBucket() {
	if c.report.Bucket == "" {
		return
	}
	opened, err := bucket.Open(c.ctx, bucket.Options{
		URL: c.report.Bucket, FS: c.opts.BucketFS, ReadOnly: true, Retry: c.opts.bucketRetry, Wrap: c.opts.wrapBucket,
	})
	if err == nil {
		c.bucket = opened
		for _, listErr := range opened.Logs(c.ctx) {
			err = listErr
			break
		}
	}
	if err != nil {
		c.loseBucket(err)
	}
}

// loseBucket notes that the bucket does not answer.
func (c *checker) loseBucket(err error) {
	if c.bucketGone {
		return
	}
	c.bucketGone = true
	where := "the objects in " + c.report.Bucket
	if c.report.Bucket == "" {
		where = "the objects of the log"
	}
	c.report.Unchecked = append(c.report.Unchecked, Unchecked{What: where + " (all local files were checked)", Err: err})
}

// checkLog checks one log of a root.
func (c *checker) checkLog(name string) error {
	paths := newLogLayout(c.dir, name)
	c.report.Logs = append(c.report.Logs, LogCheck{Name: name, FirstSeq: 1})
	l := &logChecker{checker: c, name: name, paths: paths, found: &c.report.Logs[len(c.report.Logs)-1]}
	if err := l.readIdentity(); err != nil {
		return err
	}
	if !l.identified {
		return nil // without its id nothing of the log can be verified
	}
	for _, step := range []func() error{
		l.checkManifest, l.assumeLost, l.listFiles, l.checkSegments, l.checkSequences, l.checkFolder, l.listQuarantine,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// logChecker is the check of one log.
type logChecker struct {
	*checker
	name       string
	id         uint64
	identified bool
	paths      logLayout
	folder     *bucket.Folder // nil: there is no bucket that answers
	found      *LogCheck
	*logFiles
	assumed  *assumption // nil: nothing
	leftOut  map[string]bool
	segments []*segmentCheck
}

func (l *logChecker) damaged(f Finding) {
	if f.Cost == "" {
		f.Cost = CostNone
	}
	l.found.Damage = append(l.found.Damage, f)
}

func (l *logChecker) note(f Finding) { l.found.Notes = append(l.found.Notes, f) }

// readIdentity reads log.json.
func (l *logChecker) readIdentity() error {
	path := l.paths.logFile()
	l.opts.OnProgress(l.name, path)
	finding := Finding{Kind: FoundDamaged, Part: PartLog, Path: path}
	var identity logFile
	err := readJSON(l.fs, path, &identity)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l.withoutIdentity(finding)
	case errors.Is(err, ErrDamaged):
		finding.Reason = err.Error()
		l.lostIdentity(finding)
		return nil
	case err != nil:
		return err
	case identity.FormatVersion > rootFormatVersion:
		return fmt.Errorf("%w: %s", ErrNewerFormat, path)
	}
	id, ok := parseLogID(identity.LogID)
	if !ok {
		finding.Reason = fmt.Sprintf("log id %q is not 16 hexadecimal digits", identity.LogID)
		l.lostIdentity(finding)
		return nil
	}
	l.id, l.identified, l.found.ID = id, true, id
	switch {
	case identity.Name == "" || identity.Name == l.name:
	case !logNamePattern.MatchString(identity.Name):
		finding.Reason = fmt.Sprintf("%.200q is no name of a log", identity.Name)
		l.lostIdentity(finding)
		return nil
	default:
		l.checkRenamed(finding, &identity)
	}
	folder := identity.bucketFolder()
	_, folderID, ok := bucket.ParseFolder(folder)
	if !ok || folderID != id {
		finding.Kind, finding.Reason = FoundContradiction, fmt.Sprintf("%q is not the bucket folder of log %016x", folder, id)
		l.damaged(finding)
		return nil
	}
	if l.bucket != nil && !l.bucketGone {
		l.folder, err = l.bucket.Log(folder)
	}
	return err
}

// checkRenamed tells a log whose directory was renamed, which is nothing bad, from
// a copy that lies beside the log that it was made of.
func (l *logChecker) checkRenamed(finding Finding, identity *logFile) {
	twin, err := l.engine().twinOf(l.name, identity.LogID)
	switch {
	case err != nil: // the other log's check reports it
	case twin != "":
		finding.Kind, finding.Reason = FoundContradiction, fmt.Sprintf("it is of the log %q and has the id of %s", identity.Name, twin)
		l.damaged(finding)
	default:
		finding.Kind, finding.Reason = FoundPending, fmt.Sprintf("the log was called %q; the next start takes the new name over", identity.Name)
		l.note(finding)
	}
}

func parseLogID(text string) (id uint64, ok bool) {
	id, err := strconv.ParseUint(text, 16, 64)
	return id, err == nil && len(text) == 16
}

// withoutIdentity is for a log without log.json: it is being created, unless it
// has files.
func (l *logChecker) withoutIdentity(finding Finding) error {
	used, err := usedFolder(l.fs, l.paths)
	if err != nil {
		return err
	}
	if used != "" {
		finding.Kind, finding.Reason = FoundMissing, "the log has files and no "+logFileName
		l.lostIdentity(finding)
		return nil
	}
	finding.Kind, finding.Reason = FoundPending, "the log was not created to the end"
	l.note(finding)
	return nil
}

// lostIdentity reports log.json: without the id in it nothing of the log is
// opened, but nothing else is wrong with its records.
func (l *logChecker) lostIdentity(finding Finding) {
	finding.Reason += "; " + logFileRemedy
	l.damaged(finding)
}
