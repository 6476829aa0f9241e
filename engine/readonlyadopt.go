package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/aof-nats/aof-nats/manifest"
)

// This file lets a read-only log find what its manifest lost as an open for
// writing does, in the footers of files and objects (adopt.go, adoptobjects.go).
// What it finds it keeps in memory: nothing is written, put or claimed.

// askAgainAfter is how long a bucket is left alone that did not answer.
const askAgainAfter = 30 * time.Second

// assumption is what a read-only log takes from footers in the place of records
// that its manifest lost.
type assumption struct {
	// beside is the manifest that lost them. Beside another one it does not hold.
	beside  manifestMark
	records []manifest.Record
	// report says what was adopted, and why the bucket was not looked at.
	report     RecoveryReport
	unreadable []listedObject
	claimed    bool      // the bucket may hold something
	askAgain   time.Time // if the bucket was not looked at
}

// manifestMark tells one state of a manifest on disk from another.
type manifestMark struct {
	next  uint64
	wrong int
}

func markOf(found *manifest.Recovery) manifestMark {
	return manifestMark{next: found.NextOrdinal, wrong: len(found.Damage) + len(found.Contradictions)}
}

// addTo is a state of the manifest with what is assumed.
func (a *assumption) addTo(state *manifest.State) *manifest.State {
	for _, record := range a.records {
		state, _ = state.Apply(record) // what contradicts changes nothing
	}
	return state
}

// foundNothing reports whether every copy was looked at and none was lost.
func (a *assumption) foundNothing() bool {
	return a.report.BucketUnread == nil && a.report.AdoptedWarm+a.report.AdoptedCold+len(a.report.NotAdopted) == 0
}

// assume makes records count that the manifest lost, all of them or, where they
// contradict what is known, none.
func (j *journal) assume(a *assumption, records ...manifest.Record) error {
	state := j.state()
	for _, record := range records {
		next, err := state.Apply(record)
		if err != nil {
			return err
		}
		state = next
	}
	a.records = append(a.records, records...)
	j.published.Store(state)
	return nil
}

// lookElsewhere looks into the copies that the manifest does not count on, unless
// that was done beside the same manifest before.
func (v *survey) lookElsewhere(l *Log) error {
	before, now := l.journal.assumed.Load(), l.engine.opts.Now()
	v.looked = &assumption{beside: markOf(v.found), askAgain: now.Add(askAgainAfter)}
	if before != nil && before.beside == v.looked.beside {
		if before.report.BucketUnread == nil || now.Before(before.askAgain) {
			v.looked = before
			return nil
		}
		v.looked.records = slices.Clone(before.records) // they are counted on already
	}
	if err := v.look(l); err != nil {
		return err
	}
	l.journal.assumed.Store(v.looked)
	return nil
}

// look adopts copies in the order of trust: segment files, warm files, objects.
func (v *survey) look(l *Log) (err error) {
	r := &recovery{log: l, report: &v.looked.report, refused: make(map[string]string), incomplete: v.incomplete}
	r.record = func(records ...manifest.Record) error { return l.journal.assume(v.looked, records...) }
	if r.claims, r.claimed, err = l.ownClaims(); err != nil {
		return err
	}
	entries, err := l.engine.opts.FS.ReadDir(l.paths.warm)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list warm files: %w", err)
	}
	if r.warm, err = r.warmLengths(entries); err != nil {
		return err
	}
	for _, name := range slices.Clone(v.names) {
		if err := v.assumeFile(r, name); err != nil {
			return err
		}
	}
	if err := r.adoptCopies(); err != nil {
		return err
	}
	v.looked.unreadable, v.looked.claimed = r.unreadable, r.claimed
	return r.countHot()
}

// assumeFile takes a segment file for one of the log, or leaves it out where it
// contradicts what is known.
func (v *survey) assumeFile(r *recovery, name segmentName) error {
	found, err := r.log.examine(name, r.log.journal.state().Segment(name.id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its owner evicted it since the list
	}
	if err != nil {
		return err
	}
	if found.file.lost == "" && (found.entry == nil || !found.entry.Opened) {
		err = r.record(recordsOfFile(found)...)
		var contradiction *manifest.ContradictionError
		if errors.As(err, &contradiction) {
			v.contradicting = append(v.contradicting, QuarantineReport{Segment: name.id, Path: r.log.paths.segment(name), Reason: contradiction.Error()})
			v.names = slices.DeleteFunc(v.names, func(other segmentName) bool { return other == name })
			return nil
		}
		if err != nil {
			return err
		}
		r.unrecorded = r.unrecorded || found.footer != nil
	}
	r.found = append(r.found, found)
	return nil
}

// notAsked says, behind a reason, that the bucket may hold what is lost; "" if it
// was looked at.
func (v *survey) notAsked() string {
	if v.looked == nil || v.looked.report.BucketUnread == nil {
		return ""
	}
	return fmt.Sprintf("; the bucket, which may hold them, could not be asked: %v", v.looked.report.BucketUnread)
}

// endUnknown is why the log may go on behind its last segment, nil if it does not:
// as in appendStop, only sealed segments are uploaded.
func (v *survey) endUnknown(l *Log, list []*segmentFile) error {
	if v.incomplete == "" || v.notAsked() == "" || !v.looked.claimed {
		return nil
	}
	if n := len(list); n > 0 && list[n-1].lost == "" && !list[n-1].ended() {
		return nil
	}
	return fmt.Errorf("%w: log %s: %s, and the bucket, which may hold later records, could not be asked: %w",
		ErrNextSeqUnknown, l.name, v.incomplete, v.looked.report.BucketUnread)
}
