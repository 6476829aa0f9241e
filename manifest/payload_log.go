package manifest

// This file is the payloads about the log as a whole, and those that are not
// this package's to understand.

// SnapshotMarker says that a snapshot file is durable and where in the chunks it
// stands.
type SnapshotMarker struct {
	SnapshotID  uint64
	ChunkIndex  uint64
	ChunkOffset uint64
	Extra       []byte
}

// RecordType is TypeSnapshotMarker.
func (*SnapshotMarker) RecordType() RecordType { return TypeSnapshotMarker }

func (p *SnapshotMarker) fields(c *codec) {
	field64(c, "snapshot id", &p.SnapshotID)
	field64(c, "chunk index", &p.ChunkIndex)
	field64(c, "chunk offset", &p.ChunkOffset)
	c.rest(&p.Extra)
}

// LogTrimmed says that retention removed every record before FirstSeqKept.
type LogTrimmed struct {
	FirstSeqKept uint64
	Extra        []byte
}

// RecordType is TypeLogTrimmed.
func (*LogTrimmed) RecordType() RecordType { return TypeLogTrimmed }

func (p *LogTrimmed) fields(c *codec) {
	field64(c, "first seq kept", &p.FirstSeqKept)
	c.rest(&p.Extra)
}

// OwnerChanged says who may append from here on.
type OwnerChanged struct {
	Epoch uint64
	Owner string
	Extra []byte
}

// RecordType is TypeOwnerChanged.
func (*OwnerChanged) RecordType() RecordType { return TypeOwnerChanged }

func (p *OwnerChanged) fields(c *codec) {
	field64(c, "epoch", &p.Epoch)
	c.str("owner name", &p.Owner)
	c.rest(&p.Extra)
}

// LogClosed says that the log was closed cleanly; see Writer.CloseLog, which is
// the only one to write it.
type LogClosed struct {
	SegmentID       uint64 // 0: no segment was open
	CloseMarkOffset uint64
	Extra           []byte // bytes 0xFF that fill the first of a pair
}

// RecordType is TypeLogClosed.
func (*LogClosed) RecordType() RecordType { return TypeLogClosed }

func (p *LogClosed) fields(c *codec) {
	field64(c, "segment id", &p.SegmentID)
	field64(c, "close mark offset", &p.CloseMarkOffset)
	c.rest(&p.Extra)
}

// CustomEvent is for whoever embeds the log: it is kept and changes no state.
type CustomEvent struct {
	SchemaID uint32
	Blob     []byte
	Extra    []byte
}

// RecordType is TypeCustomEvent.
func (*CustomEvent) RecordType() RecordType { return TypeCustomEvent }

func (p *CustomEvent) fields(c *codec) {
	field32(c, "schema id", &p.SchemaID)
	c.blob("blob", &p.Blob)
	c.rest(&p.Extra)
}

// Raw is the payload of a type that this version does not know, or of a user's
// own type (1024 and up). It changes no state.
type Raw struct {
	Type  RecordType
	Bytes []byte
}

// RecordType is the type that was read or given.
func (p *Raw) RecordType() RecordType { return p.Type }

func (p *Raw) fields(c *codec) {
	if !c.described("bytes", "bytes", &p.Bytes) {
		c.rest(&p.Bytes)
	}
}
