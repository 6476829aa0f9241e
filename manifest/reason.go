package manifest

// This file is the one table of reason codes. docs/manifest-format.md has the
// same table and a test compares them. To add a code: append a row here and run
// the tests with -update.

// Reason says why a step failed. Codes are never given a new meaning; a code
// from a newer version is kept and printed as a number.
type Reason uint32

// The reason codes.
const (
	ReasonTransient      Reason = 0
	ReasonCodec          Reason = 1
	ReasonAuthentication Reason = 2
	ReasonUnavailable    Reason = 3
	ReasonObjectMissing  Reason = 4
	ReasonChecksum       Reason = 5
	ReasonNoSpace        Reason = 6
	ReasonFenced         Reason = 7
	ReasonCancelled      Reason = 8
)

// ReasonInfo is one row of the table.
type ReasonInfo struct {
	Code    Reason
	Name    string
	Meaning string
}

var reasons = [...]ReasonInfo{
	{ReasonTransient, "transient", "retried by itself"},
	{ReasonCodec, "codec", "permanent codec error: the segment is corrupt"},
	{ReasonAuthentication, "authentication", "authentication or authorization: needs an operator"},
	{ReasonUnavailable, "unavailable", "bucket or network unavailable"},
	{ReasonObjectMissing, "object_missing", "the object is missing: repair starts"},
	{ReasonChecksum, "checksum", "checksum mismatch"},
	{ReasonNoSpace, "no_space", "no space left"},
	{ReasonFenced, "fenced", "fenced by a newer epoch"},
	{ReasonCancelled, "cancelled", "cancelled"},
}

// Reasons returns the table, in the order of the codes.
func Reasons() []ReasonInfo { return append([]ReasonInfo(nil), reasons[:]...) }

// String is the code's name, "reason_<n>" for one of a newer version.
func (r Reason) String() string {
	if int64(r) < int64(len(reasons)) {
		return reasons[r].Name
	}
	return numbered("reason", uint64(r))
}
