package segment

import (
	"errors"
	"fmt"
)

// Decoders tell their failures apart: not ours, another version, too short,
// damaged. Match with errors.Is; the text is for people.
var (
	// ErrNotSegment means that the bytes do not begin with the magic of a
	// segment header.
	ErrNotSegment = errors.New("segment: not a segment header")

	// ErrNotFooter means that the bytes do not begin with the magic of a
	// footer.
	ErrNotFooter = errors.New("segment: not a footer")

	// ErrVersion is matched by VersionError and FlagsError: the bytes may be
	// good, but this code must not interpret them.
	ErrVersion = errors.New("segment: unsupported version")

	// ErrShort means that a structure ends behind the last byte given.
	ErrShort = errors.New("segment: short")

	// ErrCorrupt means that a checksum or a meaning does not hold.
	ErrCorrupt = errors.New("segment: corrupt")

	// ErrSize means that a record cannot be encoded: see CheckSizes.
	ErrSize = errors.New("segment: record size out of bounds")
)

// The failures of DecodeRecord are values made once: it lies on the hot path.
var (
	errRecordShort     = fmt.Errorf("decode record: %w", ErrShort)
	errRecordHeader    = fmt.Errorf("decode record: header checksum: %w", ErrCorrupt)
	errRecordChecksum  = fmt.Errorf("decode record: checksum: %w", ErrCorrupt)
	errRecordStructure = fmt.Errorf("decode record: lengths contradict each other: %w", ErrCorrupt)
)

// VersionError reports a structure of another format version. It matches
// ErrVersion.
type VersionError struct {
	// What names the structure: header, footer, index.
	What string
	// Version is the version that the bytes claim.
	Version uint16
	// Verified tells whether the checksum, at its place in version 3, holds.
	// If not, the version may be a flipped bit instead of a newer writer's.
	Verified bool
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("segment: %s of version %d, this code reads version %d", e.What, e.Version, versionOf(e.What))
}

// Is makes the error match ErrVersion.
func (e *VersionError) Is(target error) bool { return target == ErrVersion }

func versionOf(what string) int {
	if what == whatIndex {
		return IndexVersion
	}
	return Version
}

// FlagsError reports flags of the incompatible half that this code does not
// know, in a structure whose checksum holds. It matches ErrVersion.
type FlagsError struct {
	// What names the structure: header, record, footer, index.
	What string
	// Unknown holds the unknown bits.
	Unknown uint32
}

func (e *FlagsError) Error() string {
	return fmt.Sprintf("segment: %s with unknown flags %#x", e.What, e.Unknown)
}

// Is makes the error match ErrVersion.
func (e *FlagsError) Is(target error) bool { return target == ErrVersion }

const (
	whatHeader = "header"
	whatRecord = "record"
	whatFooter = "footer"
	whatIndex  = "index"
)
