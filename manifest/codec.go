package manifest

// This file is the field codec. A structure lists its fields once, and that list
// encodes it, decodes it, and describes it to the documentation, to inspection
// and to tests: the three cannot disagree.

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
)

// Field is one field of a payload, as it stands in the documentation's tables.
type Field struct {
	// Type is u8, u16, u32, u64, i64, bool (one byte, 0 or 1), str (u16 length,
	// bytes), blob (u32 length, bytes), location, or bytes (all that is left).
	Type string
	Name string
	// Value is the decoded value.
	Value any
}

type codecMode uint8

const (
	encoding codecMode = iota
	decoding
	describing
)

// codec walks the fields of one structure. After the first error it does
// nothing.
type codec struct {
	mode   codecMode
	buf    []byte // encoding: what is written; decoding: what is left to read
	fields []Field
	err    error
}

// structure is what the codec can walk.
type structure interface{ fields(c *codec) }

// encodeStructure appends s to b.
func encodeStructure(b []byte, s structure) ([]byte, error) {
	c := codec{mode: encoding, buf: b}
	s.fields(&c)
	return c.buf, c.err
}

// decodeStructure reads s from all of b, which s does not keep.
func decodeStructure(b []byte, s structure) error {
	c := codec{mode: decoding, buf: b}
	s.fields(&c)
	return c.err
}

func describeStructure(s structure) []Field {
	c := codec{mode: describing}
	s.fields(&c)
	return c.fields
}

func (c *codec) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// described notes a field if that is all that is asked for.
func (c *codec) described(name, kind string, pointer any) bool {
	if c.mode != describing {
		return false
	}
	c.fields = append(c.fields, Field{Type: kind, Name: name, Value: reflect.ValueOf(pointer).Elem().Interface()})
	return true
}

// take returns the next n bytes to decode, nil after an error.
func (c *codec) take(name string, n uint64) []byte {
	if c.err != nil {
		return nil
	}
	if n > uint64(len(c.buf)) {
		c.fail(fmt.Errorf("%w: field %q needs %d bytes of %d", ErrInvalid, name, n, len(c.buf)))
		return nil
	}
	b := c.buf[:n:n]
	c.buf = c.buf[n:]
	return b
}

func field8[T ~uint8](c *codec, name string, v *T) {
	switch {
	case c.described(name, "u8", v):
	case c.mode == encoding:
		c.buf = append(c.buf, byte(*v))
	default:
		if b := c.take(name, 1); b != nil {
			*v = T(b[0])
		}
	}
}

func field16[T ~uint16](c *codec, name string, v *T) {
	switch {
	case c.described(name, "u16", v):
	case c.mode == encoding:
		c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(*v))
	default:
		if b := c.take(name, 2); b != nil {
			*v = T(binary.LittleEndian.Uint16(b))
		}
	}
}

func field32[T ~uint32](c *codec, name string, v *T) {
	switch {
	case c.described(name, "u32", v):
	case c.mode == encoding:
		c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(*v))
	default:
		if b := c.take(name, 4); b != nil {
			*v = T(binary.LittleEndian.Uint32(b))
		}
	}
}

func field64[T ~uint64 | ~int64](c *codec, name string, v *T) {
	kind := "u64"
	if ^T(0) < 0 {
		kind = "i64"
	}
	switch {
	case c.described(name, kind, v):
	case c.mode == encoding:
		c.buf = binary.LittleEndian.AppendUint64(c.buf, uint64(*v))
	default:
		if b := c.take(name, 8); b != nil {
			*v = T(binary.LittleEndian.Uint64(b))
		}
	}
}

func (c *codec) boolean(name string, v *bool) {
	switch {
	case c.described(name, "bool", v):
	case c.mode == encoding:
		b := byte(0)
		if *v {
			b = 1
		}
		c.buf = append(c.buf, b)
	default:
		b := c.take(name, 1)
		if b != nil && b[0] > 1 {
			c.fail(fmt.Errorf("%w: field %q is %d, not 0 or 1", ErrInvalid, name, b[0]))
			return
		}
		*v = b != nil && b[0] == 1
	}
}

// str is a text of at most 65,535 bytes.
func (c *codec) str(name string, v *string) {
	switch {
	case c.described(name, "str", v):
	case c.mode == encoding:
		if len(*v) > math.MaxUint16 {
			c.fail(fmt.Errorf("%w: field %q has %d bytes, at most %d", ErrTooLarge, name, len(*v), math.MaxUint16))
			return
		}
		c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(len(*v)))
		c.buf = append(c.buf, *v...)
	default:
		if b := c.take(name, 2); b != nil {
			*v = string(c.take(name, uint64(binary.LittleEndian.Uint16(b))))
		}
	}
}

// blob is bytes with a length in front. Decoding copies them.
func (c *codec) blob(name string, v *[]byte) {
	switch {
	case c.described(name, "blob", v):
	case c.mode == encoding:
		if uint64(len(*v)) > math.MaxUint32 {
			c.fail(fmt.Errorf("%w: field %q has %d bytes", ErrTooLarge, name, len(*v)))
			return
		}
		c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(len(*v)))
		c.buf = append(c.buf, *v...)
	default:
		if b := c.take(name, 4); b != nil {
			*v = copied(c.take(name, uint64(binary.LittleEndian.Uint32(b))))
		}
	}
}

// rest is all that is left: what a later version added at the end, or a payload
// that is not understood at all.
func (c *codec) rest(v *[]byte) {
	switch c.mode {
	case encoding:
		c.buf = append(c.buf, *v...)
	case decoding:
		*v = copied(c.take("rest", uint64(len(c.buf))))
	}
}

// count is the number of items that follow, each of at least itemBytesMin.
func (c *codec) count(name string, n *int, itemBytesMin int) {
	if c.described(name, "u32", n) {
		return
	}
	v := uint32(*n)
	field32(c, name, &v)
	if c.mode == decoding {
		if uint64(v)*uint64(itemBytesMin) > uint64(len(c.buf)) {
			c.fail(fmt.Errorf("%w: field %q counts %d items in %d bytes", ErrInvalid, name, v, len(c.buf)))
			v = 0
		}
		*n = int(v)
	}
}

// copied is a copy that keeps empty and nil the same: nil.
func copied(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}
