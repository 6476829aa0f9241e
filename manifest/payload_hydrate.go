package manifest

// This file is the payloads about bytes that come back to a local tier.

// HydrationStarted says that a segment is being brought from one tier to
// another.
type HydrationStarted struct {
	Source, Target Tier
	Extra          []byte
}

// RecordType is TypeHydrationStarted.
func (*HydrationStarted) RecordType() RecordType { return TypeHydrationStarted }

func (p *HydrationStarted) fields(c *codec) {
	field8(c, "source tier", &p.Source)
	field8(c, "target tier", &p.Target)
	c.rest(&p.Extra)
}

// HydrationDone says that the copy of the last HydrationStarted is durable and
// verified.
type HydrationDone struct {
	ResidentBytes uint64
	Extra         []byte
}

// RecordType is TypeHydrationDone.
func (*HydrationDone) RecordType() RecordType { return TypeHydrationDone }

func (p *HydrationDone) fields(c *codec) {
	field64(c, "resident bytes", &p.ResidentBytes)
	c.rest(&p.Extra)
}

// HydrationFailed says that an attempt was given up.
type HydrationFailed struct {
	Reason  Reason
	Attempt uint16
	Extra   []byte
}

// RecordType is TypeHydrationFailed.
func (*HydrationFailed) RecordType() RecordType { return TypeHydrationFailed }

func (p *HydrationFailed) fields(c *codec) {
	field32(c, "reason", &p.Reason)
	field16(c, "attempt", &p.Attempt)
	c.rest(&p.Extra)
}
