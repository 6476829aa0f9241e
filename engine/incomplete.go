package engine

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/aof-nats/aof-nats/manifest"
)

// This file is how a log remembers that its manifest lost records, until every
// copy that there may be was looked at.

const incompleteFileName = "incomplete.json"

// incompleteFile says that the manifest was found to lack records, and that since
// then no open has looked at every copy that there may be.
type incompleteFile struct {
	FormatVersion int       `json:"format_version"`
	Since         time.Time `json:"since"`
	Reason        string    `json:"reason"`
}

func (l *Log) incompletePath() string { return filepath.Join(l.paths.dir, incompleteFileName) }

// readIncomplete reads the file if there is one. One that is damaged still says
// that it is there, and Reason is never empty then.
func (l *Log) readIncomplete() (known incompleteFile, marked bool, err error) {
	err = readJSON(l.engine.opts.FS, l.incompletePath(), &known)
	if errors.Is(err, fs.ErrNotExist) {
		return known, false, nil
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return known, false, err
	}
	if err != nil || known.Reason == "" {
		known.Reason = "an earlier open found the manifest incomplete"
	}
	return known, true, nil
}

// whatIsMissing says why a manifest may lack records, "" if nothing speaks for it.
// used says that the log has, or may have, segments.
func whatIsMissing(found *manifest.Recovery, used bool) string {
	switch {
	case len(found.Damage)+len(found.Contradictions) > 0:
		return "the manifest is damaged"
	case found.SealedEnd:
		return "the last chunk of the manifest is one that another one follows, and that is not there"
	case found.Chunks == 0 && found.SnapshotID == 0 && used:
		return "the manifest is gone"
	}
	return ""
}

// ownClaims reads what this root claimed in the bucket, and whether it may have
// claimed anything.
func (l *Log) ownClaims() (claims claimFile, claimed bool, err error) {
	claims, err = l.readClaims()
	if errors.Is(err, ErrDamaged) {
		return claimFile{}, true, nil
	}
	return claims, claims != (claimFile{}), err
}

// judgeManifest finds out whether the manifest may lack records, and remembers it
// before anything is recorded: a new chunk would hide that one is missing.
func (r *recovery) judgeManifest(names []segmentName) error {
	l, found := r.log, r.report.Manifest
	known, marked, err := l.readIncomplete()
	if err != nil {
		return err
	}
	if r.claims, r.claimed, err = l.ownClaims(); err != nil {
		return err
	}
	r.incomplete = known.Reason
	if !marked {
		r.incomplete = whatIsMissing(found, len(names) > 0 || len(r.warm) > 0 || r.claimed)
	}
	if r.incomplete == "" || marked {
		return nil
	}
	mark := incompleteFile{FormatVersion: rootFormatVersion, Since: l.engine.opts.Now().UTC(), Reason: r.incomplete}
	err = writeJSON(l.engine.opts.FS, l.incompletePath(), mark)
	if isNoSpace(err) {
		if err := l.engine.reserve.release(); err != nil {
			return err
		}
		err = writeJSON(l.engine.opts.FS, l.incompletePath(), mark)
	}
	return err
}

// followSealedEnd lets a chunk follow the last one of a manifest that has lost what
// followed it, now that this is remembered: it would hide that a chunk is missing.
func (r *recovery) followSealedEnd() error {
	if !r.report.Manifest.SealedEnd {
		return nil
	}
	err := r.log.journal.follow()
	if isNoSpace(err) {
		return nil // it comes with the next record
	}
	return err
}

// completed notes that every copy was looked at: a snapshot makes what the
// manifest lost of no account to later opens.
func (r *recovery) completed() error {
	l := r.log
	if r.incomplete == "" {
		return nil
	}
	if !r.report.lookedEverywhere() {
		l.journal.holdSnapshots()
		return nil
	}
	if written, err := l.journal.snapshot(); err != nil || !written {
		return err
	}
	return l.unlink(l.incompletePath(), l.paths.dir)
}
