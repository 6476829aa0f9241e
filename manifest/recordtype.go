package manifest

// This file is the one table of record types. The documentation's table, the
// inspection of records, the goldens and the fuzz corpus are made from it. To
// add a type: the next id, a payload in its family's file, a row here, its
// transition in state_*.go; then run the tests with -update.

// RecordType is what a record says.
type RecordType uint16

// The record types. Ids are never given a new meaning.
const (
	TypeSegmentOpened      RecordType = 0
	TypeSealSegment        RecordType = 1
	TypeCompressionStarted RecordType = 2
	TypeCompressionDone    RecordType = 3
	TypeCompressionFailed  RecordType = 4
	TypeUploadStarted      RecordType = 5
	TypeUploadDone         RecordType = 6
	TypeUploadFailed       RecordType = 7
	TypeTier2DeleteQueued  RecordType = 8
	TypeTier2Deleted       RecordType = 9
	TypeHydrationStarted   RecordType = 10
	TypeHydrationDone      RecordType = 11
	TypeHydrationFailed    RecordType = 12
	TypeLocalEvicted       RecordType = 13
	TypeSnapshotMarker     RecordType = 14
	TypeCustomEvent        RecordType = 15
	TypeTier2Throttle      RecordType = 16
	TypeSegmentVerified    RecordType = 17
	TypeSegmentQuarantined RecordType = 18
	TypeLogTrimmed         RecordType = 19
	TypeOwnerChanged       RecordType = 20
	TypeChunkUploaded      RecordType = 21
	TypeLogClosed          RecordType = 22
	TypeDictionaryAdded    RecordType = 23

	// TypeUserFirst is the first id that is left to users; see [Raw].
	TypeUserFirst RecordType = 1024
)

// Scope says whether records of a type concern one segment.
type Scope uint8

// The scopes.
const (
	// ScopeLog: the record's segment id is 0.
	ScopeLog Scope = iota
	// ScopeSegment: the record names the segment that it is about.
	ScopeSegment
	// ScopeObject: as ScopeSegment, or 0 for an object that is no segment's.
	ScopeObject
)

var scopeNames = [...]string{"log", "segment", "segment or 0"}

// String is the scope as the documentation's table has it.
func (s Scope) String() string { return scopeNames[s] }

type recordKind struct {
	name  string
	scope Scope
	make  func() Payload
}

var recordKinds = [...]recordKind{
	TypeSegmentOpened:      {"SegmentOpened", ScopeSegment, func() Payload { return &SegmentOpened{} }},
	TypeSealSegment:        {"SealSegment", ScopeSegment, func() Payload { return &SealSegment{} }},
	TypeCompressionStarted: {"CompressionStarted", ScopeSegment, func() Payload { return &CompressionStarted{} }},
	TypeCompressionDone:    {"CompressionDone", ScopeSegment, func() Payload { return &CompressionDone{} }},
	TypeCompressionFailed:  {"CompressionFailed", ScopeSegment, func() Payload { return &CompressionFailed{} }},
	TypeUploadStarted:      {"UploadStarted", ScopeObject, func() Payload { return &UploadStarted{} }},
	TypeUploadDone:         {"UploadDone", ScopeObject, func() Payload { return &UploadDone{} }},
	TypeUploadFailed:       {"UploadFailed", ScopeObject, func() Payload { return &UploadFailed{} }},
	TypeTier2DeleteQueued:  {"Tier2DeleteQueued", ScopeObject, func() Payload { return &Tier2DeleteQueued{} }},
	TypeTier2Deleted:       {"Tier2Deleted", ScopeObject, func() Payload { return &Tier2Deleted{} }},
	TypeHydrationStarted:   {"HydrationStarted", ScopeSegment, func() Payload { return &HydrationStarted{} }},
	TypeHydrationDone:      {"HydrationDone", ScopeSegment, func() Payload { return &HydrationDone{} }},
	TypeHydrationFailed:    {"HydrationFailed", ScopeSegment, func() Payload { return &HydrationFailed{} }},
	TypeLocalEvicted:       {"LocalEvicted", ScopeSegment, func() Payload { return &LocalEvicted{} }},
	TypeSnapshotMarker:     {"SnapshotMarker", ScopeLog, func() Payload { return &SnapshotMarker{} }},
	TypeCustomEvent:        {"CustomEvent", ScopeObject, func() Payload { return &CustomEvent{} }},
	TypeTier2Throttle:      {"Tier2Throttle", ScopeObject, func() Payload { return &Tier2Throttle{} }},
	TypeSegmentVerified:    {"SegmentVerified", ScopeSegment, func() Payload { return &SegmentVerified{} }},
	TypeSegmentQuarantined: {"SegmentQuarantined", ScopeSegment, func() Payload { return &SegmentQuarantined{} }},
	TypeLogTrimmed:         {"LogTrimmed", ScopeLog, func() Payload { return &LogTrimmed{} }},
	TypeOwnerChanged:       {"OwnerChanged", ScopeLog, func() Payload { return &OwnerChanged{} }},
	TypeChunkUploaded:      {"ChunkUploaded", ScopeLog, func() Payload { return &ChunkUploaded{} }},
	TypeLogClosed:          {"LogClosed", ScopeLog, func() Payload { return &LogClosed{} }},
	TypeDictionaryAdded:    {"DictionaryAdded", ScopeLog, func() Payload { return &DictionaryAdded{} }},
}

// RecordTypeInfo is one row of the table of record types.
type RecordTypeInfo struct {
	Type  RecordType
	Name  string
	Scope Scope
	// Fields is the payload, in order, with zero values.
	Fields []Field
}

// RecordTypes returns the table of known types in the order of their ids.
func RecordTypes() []RecordTypeInfo {
	rows := make([]RecordTypeInfo, len(recordKinds))
	for i, kind := range recordKinds {
		rows[i] = RecordTypeInfo{RecordType(i), kind.name, kind.scope, describeStructure(kind.make())}
	}
	return rows
}

// Known reports whether this version has a payload for the type.
func (t RecordType) Known() bool { return int(t) < len(recordKinds) }

// String is the type's name, "user_<n>" from 1024 on, "type_<n>" for one of a
// newer version.
func (t RecordType) String() string {
	switch {
	case t.Known():
		return recordKinds[t].name
	case t >= TypeUserFirst:
		return numbered("user", uint64(t))
	default:
		return numbered("type", uint64(t))
	}
}

// Payload is what a record of one type says: a pointer to one of this package's
// payload structs. Append keeps no reference to it. Fields named Extra hold what
// a later version added behind the fields that this one knows; they are kept
// when the payload is encoded again.
type Payload interface {
	// RecordType is the type of the records that carry this payload.
	RecordType() RecordType
	structure
}

// DescribePayload lists the fields of a payload with their values, in the order
// of the format.
func DescribePayload(p Payload) []Field { return describeStructure(p) }

func newPayload(t RecordType) Payload {
	if t.Known() {
		return recordKinds[t].make()
	}
	return &Raw{Type: t}
}
