package engine

import (
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/manifest"
)

// CheckReport is what Check found. Nothing in it changes afterwards.
type CheckReport struct {
	// Place is the directory or the bucket's URL; Bucket the URL of the bucket
	// that a root was checked with, "" if it has none.
	Place, Bucket string
	Deep          bool
	// Damage is what is wrong with the root itself.
	Damage []Finding
	Logs   []LogCheck
	// Unchecked is what could not be looked at, and says nothing about it.
	Unchecked []Unchecked
}

// LogCheck is what Check found in one log.
type LogCheck struct {
	// Name is what OpenLog takes: in a bucket without a root NAME.ID, where several
	// logs have one name.
	Name string
	ID   uint64
	// FirstSeq and LastSeq are the sequences that the log has to hold, as far as
	// something proves them; LastSeq is FirstSeq - 1 if there are none.
	FirstSeq, LastSeq uint64
	// Segments counts the segments, Copies those of their copies that were
	// looked at, by tier, and CopyBytes what these take. Of ColdUnread objects only
	// the ends, or not even those, were read.
	Segments   int
	Copies     [3]int
	CopyBytes  [3]int64
	ColdUnread int
	// Records counts the records that verify in at least one copy; of cold
	// objects that were not read, their number is what their seal says. DataBytes
	// is subjects, headers and payloads of the records that were read.
	Records   uint64
	DataBytes int64
	// EpochFirst and EpochLast are the epochs claimed in the bucket, 0: none.
	EpochFirst, EpochLast uint64
	// Damage is what is wrong.
	Damage []Finding
	// Notes is what is remarkable and not wrong: a torn tail, files that a move
	// left behind, objects that the manifest does not know, quarantined bytes.
	Notes []Finding
}

// FindingKind says what a Finding is about.
type FindingKind string

// The kinds of findings. Those of Damage come first.
const (
	// FoundDamaged: bytes do not verify.
	FoundDamaged FindingKind = "damaged"
	// FoundMissing: something that is counted on is not there.
	FoundMissing FindingKind = "missing"
	// FoundContradiction: two things that verify do not fit together.
	FoundContradiction FindingKind = "contradiction"

	// FoundTorn: bytes at the end that nothing proves durable. The next open for
	// writing judges them; while somebody writes, they may be what is being
	// written.
	FoundTorn FindingKind = "torn"
	// FoundPending: the rest of a step that was cut off. The next open for
	// writing ends it.
	FoundPending FindingKind = "pending"
	// FoundUnknown: a file or an object that nothing knows. It is left alone.
	FoundUnknown FindingKind = "unknown"
	// FoundQuarantined: bytes that recovery put aside.
	FoundQuarantined FindingKind = "quarantined"
	// FoundChanged: an object that is good and not the one that was confirmed.
	FoundChanged FindingKind = "changed"
)

// FindingPart says what a Finding is in: a tier, by its name, or one of these.
type FindingPart string

// The parts that are no tier.
const (
	PartRoot       FindingPart = "root"
	PartLog        FindingPart = "log"
	PartManifest   FindingPart = "manifest"
	PartBucket     FindingPart = "bucket"
	PartQuarantine FindingPart = "quarantine"
)

// FindingCost says what damage costs.
type FindingCost string

// The costs.
const (
	// CostNone: every record can be read.
	CostNone FindingCost = "none"
	// CostRepairable: another copy holds the records.
	CostRepairable FindingCost = "repairable"
	// CostLost: no copy holds the records.
	CostLost FindingCost = "lost"
)

// Finding is one thing that Check found.
type Finding struct {
	Kind FindingKind
	Part FindingPart
	// Segment is the segment's id, 0 if it is none's.
	Segment uint64
	// Path is the file, or the key in the bucket with its folder.
	Path string
	// Offset and Bytes are the range in it; Bytes 0: all of it, or a place.
	Offset, Bytes int64
	// FirstSeq and LastSeq are the sequences that cannot be read here; LastSeq is
	// less than FirstSeq if there are none.
	FirstSeq, LastSeq uint64
	Reason            string
	// Cost is of damage only. RepairFrom is the tier that serves the records;
	// RepairUnread says that its copy is believed to be good and was not read.
	Cost         FindingCost
	RepairFrom   string
	RepairUnread bool
}

// String says all of it in one line.
func (f Finding) String() string {
	text := fmt.Sprintf("%s %s", f.Part, f.Kind)
	if f.Segment > 0 {
		text += fmt.Sprintf(", segment %d", f.Segment)
	}
	if f.Bytes > 0 {
		text += fmt.Sprintf(", offset %d, %d bytes", f.Offset, f.Bytes)
	}
	if f.LastSeq >= f.FirstSeq && f.FirstSeq > 0 {
		text += fmt.Sprintf(", sequences %d to %d", f.FirstSeq, f.LastSeq)
	}
	if f.Cost != "" {
		text += ", cost " + string(f.Cost)
	}
	return text + ": " + f.Reason + ": " + f.Path
}

// costsRecords reports whether sequences cannot be read where the finding is.
func (f *Finding) costsRecords() bool { return f.FirstSeq > 0 && f.LastSeq >= f.FirstSeq }

// Unchecked is something that could not be looked at.
type Unchecked struct {
	Log  string // "" for more than one log's
	What string
	Err  error
}

// FindingCount is how many things are wrong.
func (r *CheckReport) FindingCount() int {
	count := len(r.Damage)
	for i := range r.Logs {
		count += len(r.Logs[i].Damage)
	}
	return count
}

// OK reports whether everything was looked at and nothing is wrong.
func (r *CheckReport) OK() bool { return r.FindingCount() == 0 && len(r.Unchecked) == 0 }

// Err is nil if OK. It matches ErrDamaged if something is wrong, and the errors
// of Unchecked.
func (r *CheckReport) Err() error {
	var failures []error
	if count := r.FindingCount(); count > 0 {
		failures = append(failures, fmt.Errorf("%w: %d findings", ErrDamaged, count))
	}
	for _, part := range r.Unchecked {
		what := part.What
		if part.Log != "" {
			what = "log " + part.Log + ": " + what
		}
		failures = append(failures, fmt.Errorf("not checked: %s: %w", what, part.Err))
	}
	return errors.Join(failures...)
}

// partOf is the part of a tier's copy.
func partOf(t manifest.Tier) FindingPart { return FindingPart(t.String()) }
