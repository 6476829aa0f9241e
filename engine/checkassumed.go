package engine

import (
	"fmt"

	"github.com/aof-nats/aof-nats/manifest"
)

// This file lets a check find what a damaged manifest lost as every open does: a
// copy that nobody counts on now is no lost one.

// assumeLost looks for what the manifest lost, and notes what was found.
func (l *logChecker) assumeLost() (err error) {
	e, err := openReadOnly(l.dir, Options{
		FS: l.fs, Bucket: l.report.Bucket, BucketFS: l.opts.BucketFS, bucketRetry: l.opts.bucketRetry, wrapBucket: l.opts.wrapBucket,
	})
	if err != nil {
		return nil // engine.json is reported by itself
	}
	defer func() { err = joinClose(err, e.Close()) }()
	log, err := e.OpenLog(l.name, LogOptions{})
	if err != nil {
		return nil // what keeps a log from being opened is found file by file
	}
	l.leaveOut(log.State().Recovery.Contradicting)
	assumed := log.journal.assumed.Load()
	if assumed == nil || len(assumed.records) == 0 {
		return nil
	}
	l.assumed = assumed
	if l.logFiles != nil {
		l.state = l.withAssumed(l.state)
	}
	if count := assumed.report.AdoptedWarm + assumed.report.AdoptedCold; count > 0 {
		l.note(Finding{
			Kind: FoundPending, Part: PartManifest, Path: l.paths.manifest,
			Reason: fmt.Sprintf("%d copies that the manifest lost were found by their footers; the next open for writing records them", count),
		})
	}
	return nil
}

// leaveOut reports segment files that are no part of the log.
func (l *logChecker) leaveOut(files []QuarantineReport) {
	l.leftOut = make(map[string]bool, len(files))
	for _, file := range files {
		l.leftOut[file.Path] = true
		l.damaged(Finding{
			Kind: FoundContradiction, Part: partOf(manifest.TierHot), Segment: file.Segment, Path: file.Path,
			Reason: file.Reason + ": it is no part of the log, and the next open for writing puts it aside",
		})
	}
}

// withAssumed is a state of the manifest with what was found in its place.
func (l *logChecker) withAssumed(state *manifest.State) *manifest.State {
	if l.assumed == nil {
		return state
	}
	return l.assumed.addTo(state)
}

// checkNowhere reports a sealed segment of which no copy is known.
func (s *segmentCheck) checkNowhere() {
	entry := s.entry
	if s.copies != [3]int{} || len(s.damage) > 0 || !entry.Sealed || entry.Resident != 0 || entry.RecordCount == 0 {
		return
	}
	s.add(manifest.TierHot, Finding{
		Kind: FoundMissing, Path: s.log.paths.dir, FirstSeq: entry.FirstSeq, LastSeq: entry.LastSeq,
		Reason: "the manifest has the segment and no copy of it",
	})
}
