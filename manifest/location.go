package manifest

// This file is where in a bucket an object's bytes are.

// Location is a range of an object in a bucket. The zero value is a whole object
// in the log's own bucket, stored as it is.
type Location struct {
	// Bucket is 0 for the log's bucket.
	Bucket uint32
	// Offset and Length are bytes inside the object. Length 0: to its end.
	Offset, Length uint64
	// Transform is what was done to the bytes: 0 nothing.
	Transform uint32
	// KeyID is the key of the transform.
	KeyID uint32
}

func (l *Location) fields(c *codec) {
	field32(c, "bucket", &l.Bucket)
	field64(c, "offset", &l.Offset)
	field64(c, "length", &l.Length)
	field32(c, "transform", &l.Transform)
	field32(c, "key id", &l.KeyID)
}

// location is a field of type location.
func (c *codec) location(name string, l *Location) {
	if !c.described(name, "location", l) {
		l.fields(c)
	}
}
