package manifest

// This file is the report of an open: what was read, cut, mended and found
// damaged.

import "errors"

// Recovery is what an open did and found. It is not changed afterwards.
type Recovery struct {
	// SnapshotID is the snapshot that replay began with; 0: none.
	SnapshotID uint64
	// Chunks and Records were replayed behind it.
	Chunks  int
	Records uint64
	// Skipped counts records of types that this version does not know.
	Skipped map[RecordType]uint64
	// Damage is what does not verify and is not a torn tail. Everything before and
	// behind it was replayed. While it lasts, every open reports it; a new
	// snapshot makes the records that were lost irrelevant to the next open.
	Damage []*DamageError
	// Contradictions are records that did not fit the state and were left out.
	Contradictions []*ContradictionError
	// Cut is the torn tail that was cut; nil: none.
	Cut *Cut
	// RewrittenBytes were read behind what was proven durable, and written and
	// synced again.
	RewrittenBytes int64
	// Continued says that the last chunk ends with a clean close, or has no record
	// yet, and is written on.
	Continued bool
	// SealedEnd says that the last chunk is sealed: the one that followed is lost.
	// (An older version followed it only with the next record: then it may never
	// have been there. To a read-only load it may also be a Writer of one at work.)
	// None follows it before Follow or the next commit.
	SealedEnd bool
	// NextOrdinal follows the last record that verifies, also where a read-only
	// load left that out because nothing proves it durable.
	NextOrdinal uint64
	// Swept are temporary files that were removed.
	Swept []string
	// UnknownFiles have names that this package does not give; they were left
	// alone.
	UnknownFiles []string
}

// Cut is a torn tail: the end of a write whose success nobody was told.
type Cut struct {
	Chunk       uint64
	Offset      int64
	LengthBytes int64
	// FirstOrdinal is that of the first record that is not there.
	FirstOrdinal uint64
	// QuarantinePath is the file that has the bytes; "" in a read-only load.
	QuarantinePath string
}

// Err joins the damage and the contradictions; nil if there is neither.
func (r *Recovery) Err() error {
	var all []error
	for _, damage := range r.Damage {
		all = append(all, damage)
	}
	for _, contradiction := range r.Contradictions {
		all = append(all, contradiction)
	}
	return errors.Join(all...)
}
