package tier

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is matched by CorruptError: the bytes are not what was
	// written.
	ErrCorrupt = errors.New("tier: corrupt")

	// ErrIdentity is matched by IdentityError: the bytes are good, and those
	// of another segment.
	ErrIdentity = errors.New("tier: another segment")
)

// noFrame stands in CorruptError.Frame for damage outside of a record frame.
const noFrame = -1

// CorruptError reports bytes that are not what was written: of an object, or of
// a segment file that was to become one. It matches ErrCorrupt. The place is
// repaired from another copy; trying again helps only if the read went wrong.
type CorruptError struct {
	// Where names the structure: segment, seek table, frame, index frame,
	// footer, index, object.
	Where string
	// Offset is where it begins: in the segment file when one is compressed,
	// else in the object.
	Offset int64
	// Frame is the number of the record frame, -1 if it is none.
	Frame int
	// FirstSeq and LastSeq are the sequences that cannot be read for it, 0 and
	// 0 if they are not known.
	FirstSeq, LastSeq uint64
	// Err is what does not hold.
	Err error
}

func (e *CorruptError) Error() string {
	text := fmt.Sprintf("tier: corrupt %s at offset %d", e.Where, e.Offset)
	if e.Frame != noFrame {
		text += fmt.Sprintf(", frame %d", e.Frame)
	}
	if e.FirstSeq != 0 {
		text += fmt.Sprintf(", sequences %d to %d", e.FirstSeq, e.LastSeq)
	}
	return fmt.Sprintf("%s: %v; restore it from another tier or a copy", text, e.Err)
}

// Is makes the error match ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns what does not hold.
func (e *CorruptError) Unwrap() error { return e.Err }

// IdentityError reports a segment that is not the one expected, although its
// checksums hold: a file under a wrong name, or two logs in one place. It
// matches ErrIdentity.
type IdentityError struct {
	Want, Got Identity
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("tier: %v, expected %v: the file or key does not belong here", e.Got, e.Want)
}

// Is makes the error match ErrIdentity.
func (e *IdentityError) Is(target error) bool { return target == ErrIdentity }
