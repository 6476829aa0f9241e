package manifest

// This file is the payloads about objects that go into the bucket.

// UploadStarted is the intent to write an object, recorded before the request.
// With segment id 0 the object is no segment's, for example a dictionary.
type UploadStarted struct {
	Location   Location
	Key        string // written at most once, ever
	Generation uint32 // of the segment's object, counted up by each upload anew
	Extra      []byte
}

// RecordType is TypeUploadStarted.
func (*UploadStarted) RecordType() RecordType { return TypeUploadStarted }

func (p *UploadStarted) fields(c *codec) {
	c.location("location", &p.Location)
	c.str("key", &p.Key)
	field32(c, "generation", &p.Generation)
	c.rest(&p.Extra)
}

// UploadDone says that the bucket has confirmed the object and that no newer
// owner existed afterwards.
type UploadDone struct {
	Location    Location
	Key         string
	ETag        string
	ObjectBytes uint64
	TailBytes   uint32
	Extra       []byte
}

// RecordType is TypeUploadDone.
func (*UploadDone) RecordType() RecordType { return TypeUploadDone }

func (p *UploadDone) fields(c *codec) {
	c.location("location", &p.Location)
	c.str("key", &p.Key)
	c.str("etag", &p.ETag)
	field64(c, "object bytes", &p.ObjectBytes)
	field32(c, "tail bytes", &p.TailBytes)
	c.rest(&p.Extra)
}

// UploadFailed says that an attempt was given up. The intent stays: the object
// may be in the bucket all the same.
type UploadFailed struct {
	Key     string
	Reason  Reason
	Attempt uint16
	Extra   []byte
}

// RecordType is TypeUploadFailed.
func (*UploadFailed) RecordType() RecordType { return TypeUploadFailed }

func (p *UploadFailed) fields(c *codec) {
	c.str("key", &p.Key)
	field32(c, "reason", &p.Reason)
	field16(c, "attempt", &p.Attempt)
	c.rest(&p.Extra)
}

// Tier2Throttle says that the bucket asked for fewer requests.
type Tier2Throttle struct {
	Reason       Reason
	RetryAfterMs uint64
	Extra        []byte
}

// RecordType is TypeTier2Throttle.
func (*Tier2Throttle) RecordType() RecordType { return TypeTier2Throttle }

func (p *Tier2Throttle) fields(c *codec) {
	field32(c, "reason", &p.Reason)
	field64(c, "retry-after ms", &p.RetryAfterMs)
	c.rest(&p.Extra)
}

// ChunkUploaded says that the bucket has a sealed chunk of this log.
type ChunkUploaded struct {
	ChunkIndex uint64
	Key        string
	Extra      []byte
}

// RecordType is TypeChunkUploaded.
func (*ChunkUploaded) RecordType() RecordType { return TypeChunkUploaded }

func (p *ChunkUploaded) fields(c *codec) {
	field64(c, "chunk index", &p.ChunkIndex)
	c.str("key", &p.Key)
	c.rest(&p.Extra)
}

// DictionaryAdded says that a compression dictionary may be used. Its object
// went through UploadStarted and UploadDone with segment id 0.
type DictionaryAdded struct {
	DictionaryID uint32
	Location     Location
	Key          string
	CRC64        uint64 // of the dictionary
	Extra        []byte
}

// RecordType is TypeDictionaryAdded.
func (*DictionaryAdded) RecordType() RecordType { return TypeDictionaryAdded }

func (p *DictionaryAdded) fields(c *codec) {
	field32(c, "dictionary id", &p.DictionaryID)
	c.location("location", &p.Location)
	c.str("key", &p.Key)
	field64(c, "crc64", &p.CRC64)
	c.rest(&p.Extra)
}
