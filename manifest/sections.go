package manifest

// This file is the sections of a snapshot: what holds the state's items.

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// SectionKind says what the items of a snapshot's section are.
type SectionKind uint16

// The sections, in the order in which they are written.
const (
	SectionLog          SectionKind = 1
	SectionSegments     SectionKind = 2
	SectionUploads      SectionKind = 3
	SectionDeletes      SectionKind = 4
	SectionDictionaries SectionKind = 5
	SectionCatalog      SectionKind = 6
)

var sectionNames = [...]string{"", "log state", "segments", "uploads", "deletes", "dictionaries", "catalog pages"}

// String is the section's name, "section_<n>" for one of a newer version.
func (k SectionKind) String() string {
	if k > 0 && int(k) < len(sectionNames) {
		return sectionNames[k]
	}
	return numbered("section", uint64(k))
}

const (
	sectionHeaderBytes       = 16
	sectionFlagsIncompatible = 0x00ff
)

// section is a run of items as they are encoded.
type section struct {
	kind  SectionKind
	flags uint16
	count uint32
	items []byte
}

func (s *section) encode(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(s.kind))
	b = binary.LittleEndian.AppendUint16(b, s.flags)
	b = binary.LittleEndian.AppendUint32(b, s.count)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s.items)))
	return append(b, s.items...)
}

// add appends one item.
func (s *section) add(item structure) error {
	start := len(s.items)
	items, err := encodeStructure(append(s.items, 0, 0, 0, 0), item)
	if err != nil {
		return err
	}
	if uint64(len(items)-start-4) > math.MaxUint32 || s.count == math.MaxUint32 {
		return ErrTooLarge
	}
	binary.LittleEndian.PutUint32(items[start:], uint32(len(items)-start-4))
	s.items = items
	s.count++
	return nil
}

func encodeSections(s *State) ([]byte, error) {
	sections := make([]section, len(sectionNames)-1)
	for i := range sections {
		sections[i].kind = SectionKind(i + 1)
	}
	log := s.log
	err := sections[SectionLog-1].add(&log)
	err = firstError(err, addAll(&sections[SectionSegments-1], &s.segments))
	err = firstError(err, addAll(&sections[SectionUploads-1], &s.uploads))
	err = firstError(err, addAll(&sections[SectionDeletes-1], &s.deletes))
	err = firstError(err, addAll(&sections[SectionDictionaries-1], &s.dictionaries))
	var b []byte
	for i := range sections {
		b = sections[i].encode(b)
	}
	for i := range s.skipped {
		b = s.skipped[i].encode(b)
	}
	return b, err
}

func addAll[K uint32 | uint64 | string, V structure](s *section, m *pageMap[K, V]) error {
	for _, item := range m.all() {
		if err := s.add(item); err != nil {
			return err
		}
	}
	return nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func decodeSections(b []byte) (*State, error) {
	builder := edit(NewState())
	seen := map[SectionKind]bool{}
	for len(b) > 0 {
		s, length, err := decodeSection(b)
		if err != nil {
			return nil, err
		}
		b = b[length:]
		if seen[s.kind] {
			return nil, fmt.Errorf("%s: twice: %w", s.kind, ErrInvalid)
		}
		seen[s.kind] = true
		if err := builder.takeSection(s); err != nil {
			return nil, fmt.Errorf("%s: %w", s.kind, err)
		}
	}
	for kind := SectionLog; kind <= SectionCatalog; kind++ {
		if !seen[kind] {
			return nil, fmt.Errorf("%s: %w: %w", kind, ErrInvalid, ErrMissing)
		}
	}
	return builder.publish(), nil
}

func decodeSection(b []byte) (s section, length int, err error) {
	if len(b) < sectionHeaderBytes {
		return s, 0, fmt.Errorf("section header in %d bytes: %w", len(b), ErrInvalid)
	}
	s.kind = SectionKind(binary.LittleEndian.Uint16(b))
	s.flags = binary.LittleEndian.Uint16(b[2:])
	s.count = binary.LittleEndian.Uint32(b[4:])
	items := binary.LittleEndian.Uint64(b[8:])
	if items > uint64(len(b)-sectionHeaderBytes) {
		return s, 0, fmt.Errorf("%s of %d bytes in %d: %w", s.kind, items, len(b), ErrInvalid)
	}
	length = sectionHeaderBytes + int(items)
	s.items = b[sectionHeaderBytes:length:length]
	if s.flags&sectionFlagsIncompatible != 0 {
		return s, 0, fmt.Errorf("%s with flags %#04x: %w", s.kind, s.flags, ErrNewerVersion)
	}
	return s, length, nil
}

// takeSection decodes the items of one section into the state.
func (b *builder) takeSection(s section) error {
	switch s.kind {
	case SectionLog:
		if s.count != 1 {
			return fmt.Errorf("%d items: %w", s.count, ErrInvalid)
		}
		return s.each(func(item []byte) error {
			b.log = LogState{}
			return decodeStructure(item, &b.log)
		})
	case SectionSegments:
		return takeItems(b, s, &b.segments, func(v *Segment) uint64 { return v.ID })
	case SectionUploads:
		return takeItems(b, s, &b.uploads, func(v *Upload) string { return v.Key })
	case SectionDeletes:
		return takeItems(b, s, &b.deletes, func(v *Delete) string { return v.Key })
	case SectionDictionaries:
		return takeItems(b, s, &b.dictionaries, func(v *Dictionary) uint32 { return v.ID })
	case SectionCatalog:
		if s.count != 0 || len(s.items) != 0 {
			return fmt.Errorf("%d pages: %w", s.count, ErrNewerVersion)
		}
		return nil
	default:
		s.items = copied(s.items)
		b.skipped = append(slices.Clip(b.skipped), s)
		return nil
	}
}

// each visits the items of a section, as many as it counts.
func (s *section) each(visit func(item []byte) error) error {
	rest, n := s.items, uint32(0)
	for ; len(rest) > 0; n++ {
		if len(rest) < 4 || uint64(binary.LittleEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return fmt.Errorf("item %d: length: %w", n, ErrInvalid)
		}
		end := 4 + int(binary.LittleEndian.Uint32(rest))
		if err := visit(rest[4:end]); err != nil {
			return fmt.Errorf("item %d: %w", n, err)
		}
		rest = rest[end:]
	}
	if n != s.count {
		return fmt.Errorf("%d items where %d are counted: %w", n, s.count, ErrInvalid)
	}
	return nil
}

func takeItems[K uint32 | uint64 | string, T any, V interface {
	*T
	structure
}](b *builder, s section, m *pageMap[K, V], key func(V) K) error {
	var before K
	return s.each(func(item []byte) error {
		value := V(new(T))
		if err := decodeStructure(item, value); err != nil {
			return err
		}
		k := key(value)
		if m.size > 0 && k <= before {
			return fmt.Errorf("%v behind %v: %w", k, before, ErrInvalid)
		}
		before = k
		m.set(b.edit, k, value)
		return nil
	})
}
