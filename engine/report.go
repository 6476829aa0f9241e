package engine

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// RecoveryReport says what opening a log found and did.
type RecoveryReport struct {
	// Cut lists the tails of which nothing proves that they were acknowledged, and
	// which were cut.
	Cut []CutReport
	// Damaged lists the ranges of acknowledged bytes that do not verify.
	Damaged []*DamageError
	// RewrittenBytes counts verified bytes that were written and synced again
	// because nothing proved that they were on the disk.
	RewrittenBytes int64
	// SealedSegments counts segments that recovery ended.
	SealedSegments int
	// Adopted counts segment files that the manifest did not know.
	Adopted int
	// AdoptedWarm and AdoptedCold count warm files and objects that a manifest
	// which lost records did not know.
	AdoptedWarm, AdoptedCold int
	// Quarantined lists segment files that contradict the manifest.
	Quarantined []QuarantineReport
	// NotAdopted lists objects that the manifest does not know and that do not fit
	// or do not open. They stay where they are.
	NotAdopted []QuarantineReport
	// BucketUnread is why the bucket was not looked at although records of the
	// manifest are missing; nil otherwise. The next open looks again, and so does a
	// later refresh of a read-only log.
	BucketUnread error
	// Incomplete is why the manifest of a read-only log may lack records, "" if
	// nothing speaks for it. What they said was looked for in warm files and, unless
	// BucketUnread says why not, in the bucket.
	Incomplete string
	// Contradicting lists segment files that a read-only log leaves out: they
	// contradict their name or the manifest. They stay where they are.
	Contradicting []QuarantineReport
	// Manifest is what opening the manifest found and did; nil in a read-only
	// log.
	Manifest *manifest.Recovery
}

// CutReport is one tail that recovery cut.
type CutReport struct {
	Segment        uint64
	Offset         int64
	Bytes          int64
	AtomicBatch    bool   // an incomplete atomic batch was cut
	QuarantinePath string // where the bytes are kept
}

// QuarantineReport is a segment file that recovery moved out of the log.
type QuarantineReport struct {
	Segment uint64
	Path    string // where it lies now
	Reason  string
}

// Eventful reports whether recovery had to do more than open files.
func (r *RecoveryReport) Eventful() bool {
	return len(r.Cut) > 0 || len(r.Damaged) > 0 || r.SealedSegments > 0 || len(r.Quarantined) > 0 ||
		r.AdoptedWarm > 0 || r.AdoptedCold > 0 || len(r.NotAdopted) > 0 || r.BucketUnread != nil ||
		r.Manifest != nil && r.Manifest.Err() != nil
}

// lookedEverywhere reports whether no copy may be left that a manifest which lost
// records does not know.
func (r *RecoveryReport) lookedEverywhere() bool { return r.BucketUnread == nil }

// quarantineReason is the .reason.json beside quarantined bytes.
type quarantineReason struct {
	Reason      string    `json:"reason"`
	Segment     uint64    `json:"segment"`
	Offset      int64     `json:"offset"`
	Bytes       int64     `json:"bytes"`
	AtomicBatch bool      `json:"atomic_batch"`
	Time        time.Time `json:"time"`
}

// quarantineCut keeps the bytes behind a cut and then makes them zeros on the
// disk: the seal mark that is written there next must not mix with what is left
// of a torn record, or a crash in the middle of it would look like damage.
func (r *recovery) quarantineCut(s *segmentFile, contents []byte, scan segment.ScanResult, known segment.Known) error {
	if scan.Cut == nil {
		return nil
	}
	l := r.log
	end := min(scan.Cut.End, int64(len(contents)))
	stem := filepath.Join(l.paths.quarantine, fmt.Sprintf("%020d_%020d_%020d", s.id(), scan.Cut.Offset, l.now()))
	if err := vfs.WriteFileAtomic(s.fs, stem+".bytes", contents[scan.Cut.Offset:end]); err != nil {
		return fmt.Errorf("quarantine cut bytes: %w", err)
	}
	reason := quarantineReason{
		Reason: whyCut(scan.Cut, known, int64(len(contents))), Segment: s.id(),
		Offset: scan.Cut.Offset, Bytes: end - scan.Cut.Offset, AtomicBatch: scan.Cut.Batch, Time: l.engine.opts.Now().UTC(),
	}
	if err := writeJSON(s.fs, stem+".reason.json", reason); err != nil {
		return fmt.Errorf("quarantine cut bytes: %w", err)
	}
	r.report.Cut = append(r.report.Cut, CutReport{
		Segment: s.id(), Offset: reason.Offset, Bytes: reason.Bytes, AtomicBatch: reason.AtomicBatch, QuarantinePath: stem + ".bytes",
	})
	torn := contents[scan.Cut.Offset:end]
	clear(torn)
	if _, err := s.file.WriteAt(torn, scan.Cut.Offset); err != nil {
		return fmt.Errorf("clear cut bytes: %w", err)
	}
	if err := s.file.SyncData(); err != nil {
		return fmt.Errorf("sync cleared bytes: %w", err)
	}
	return nil
}

// whyCut says what is known of bytes that are cut: a write that never ended and
// damage in the last batch may look alike.
func whyCut(cut *segment.Cut, known segment.Known, fileBytes int64) string {
	const unproven = "nothing that is left proves that they were acknowledged"
	switch {
	case known.Complete:
		return fmt.Sprintf("these bytes lie behind sequence %d, with which the segment ends: they were never part of the log", known.LastSeq)
	case cut.Offset+segment.SealBytesMax(cut.Offset) > fileBytes:
		return "torn tail, or what is left of records: the file is shorter than it was made, and " + unproven
	case cut.Batch:
		return "the rest of the atomic batch of these records is missing: " + unproven
	}
	return "torn tail: a part of these bytes is zero, as a write leaves it that did not end, and " + unproven
}
