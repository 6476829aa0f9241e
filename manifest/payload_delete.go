package manifest

// This file is the payloads about objects that leave the bucket.

// Tier2DeleteQueued is the intent to delete an object. The request may be made
// after NotBeforeNs, and only once the chunk or snapshot that holds this record
// is in the bucket.
type Tier2DeleteQueued struct {
	Location    Location
	Key         string
	NotBeforeNs int64
	Extra       []byte
}

// RecordType is TypeTier2DeleteQueued.
func (*Tier2DeleteQueued) RecordType() RecordType { return TypeTier2DeleteQueued }

func (p *Tier2DeleteQueued) fields(c *codec) {
	c.location("location", &p.Location)
	c.str("key", &p.Key)
	field64(c, "not-before ns", &p.NotBeforeNs)
	c.rest(&p.Extra)
}

// Tier2Deleted says that the bucket has confirmed the deletion.
type Tier2Deleted struct {
	Location Location
	Key      string
	Extra    []byte
}

// RecordType is TypeTier2Deleted.
func (*Tier2Deleted) RecordType() RecordType { return TypeTier2Deleted }

func (p *Tier2Deleted) fields(c *codec) {
	c.location("location", &p.Location)
	c.str("key", &p.Key)
	c.rest(&p.Extra)
}
