package manifest

// This file is the payloads about compression: hot to warm.

// CompressionStarted says that a warm file is being made.
type CompressionStarted struct {
	JobID uint64
	Extra []byte
}

// RecordType is TypeCompressionStarted.
func (*CompressionStarted) RecordType() RecordType { return TypeCompressionStarted }

func (p *CompressionStarted) fields(c *codec) {
	field64(c, "job id", &p.JobID)
	c.rest(&p.Extra)
}

// CompressionDone says that the warm file is durable under its final name.
type CompressionDone struct {
	ObjectBytes  uint64
	TailBytes    uint32 // last data frame and seek table
	WarmCRC64    uint64 // of the whole file
	DictionaryID uint32 // 0: none
	Subjects     SubjectSummary
	Extra        []byte
}

// RecordType is TypeCompressionDone.
func (*CompressionDone) RecordType() RecordType { return TypeCompressionDone }

func (p *CompressionDone) fields(c *codec) {
	field64(c, "object bytes", &p.ObjectBytes)
	field32(c, "tail bytes", &p.TailBytes)
	field64(c, "warm crc64", &p.WarmCRC64)
	field32(c, "dictionary id", &p.DictionaryID)
	p.Subjects.fields(c)
	c.rest(&p.Extra)
}

// CompressionFailed says that an attempt was given up.
type CompressionFailed struct {
	Reason  Reason
	Attempt uint16
	Extra   []byte
}

// RecordType is TypeCompressionFailed.
func (*CompressionFailed) RecordType() RecordType { return TypeCompressionFailed }

func (p *CompressionFailed) fields(c *codec) {
	field32(c, "reason", &p.Reason)
	field16(c, "attempt", &p.Attempt)
	c.rest(&p.Extra)
}
