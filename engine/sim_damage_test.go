package engine

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// damage is what a history knows of the damage that it planted.
type damage struct {
	corrupted bool
	// manifestOnly says that no segment was touched: then nothing may be lost.
	manifestOnly bool
	evicted      map[uint64]bool // segments of which a copy was evicted
	zeroed       bool            // a whole sector became zeros
	ownZeros     bool            // a touched record holds a whole sector of zeros of its own
	proved       bool            // bytes that verify elsewhere prove that the place was durable
	where        string
	tainted      map[uint64]bool // sequences whose bytes were touched or were reported before
}

// missed reports whether a finding is a copy that was evicted and whose eviction the
// damage to the manifest hid: it is missed, and no record with it.
func (m *simModel) missed(found *Finding) bool {
	return m.manifestOnly && m.evicted[found.Segment] && found.Kind == FoundMissing && found.Cost != CostLost
}

// plantDamage changes bytes of one segment file, on the disk and, where the
// page is clean, in the page cache.
func (m *simModel) plantDamage() {
	h := m.history
	if h.chance(30) {
		m.plantManifestDamage()
		return
	}
	paths := newLogLayout(simRoot, "a")
	entries, err := h.disk.ReadDir(paths.segments)
	if err != nil {
		return
	}
	var names []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), segmentSuffix) {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		return
	}
	file := names[h.below(len(names))]
	if h.chance(50) {
		file = names[len(names)-1]
	}
	name, _ := parseSegmentName(file)
	path := filepath.Join(paths.segments, file)
	contents := h.disk.Durable(path)
	start, end := m.chooseDamage(contents, m.placesOf(name.id, path))
	if start < 0 || start >= int64(len(contents)) {
		return
	}
	end = min(end, int64(len(contents)))
	last := file == names[len(names)-1]
	if last && m.previousEnd == "closed" && h.chance(40) {
		m.loseTail(path, contents, max(start, segment.HeaderBytes))
		return
	}
	if last && h.chance(20) {
		m.cutOff(path, contents, max(start, segment.HeaderBytes))
		return
	}
	kind, seed := h.below(10), h.next()
	change := func(sector []byte) {
		switch {
		case m.zeroed:
			clear(sector)
		case kind == 9 && end-start > 1:
			r := simRandom{state: seed}
			for i := range sector {
				sector[i] = byte(r.next()) | 1
			}
		default:
			sector[start%segment.SectorBytes] ^= 1 << (seed & 7)
		}
	}
	m.judgeDamage(path, contents, last, start, end)
	sector := start &^ (segment.SectorBytes - 1)
	change(contents[sector:min(sector+segment.SectorBytes, int64(len(contents)))])
	if _, _, found := segment.FindFooter(contents, h.logID(path), name.id); found {
		m.proved = true
	}
	if err = h.disk.Corrupt(path, start, change); err != nil {
		return
	}
	h.hit("planted damage")
	m.noteDamage(file, start, end)
}

func (m *simModel) noteDamage(file string, start, end int64) {
	m.corrupted = true
	m.where = fmt.Sprintf("%s %d..%d zeroed %v", file, start, end, m.zeroed)
	m.history.logf("  DAMAGE %s proved %v", m.where, m.proved)
}

// loseTail turns the end of the last segment of a log that was closed cleanly
// into zeros, its marks too.
func (m *simModel) loseTail(path string, contents []byte, start int64) {
	end := int64(len(contents))
	m.zeroed = true
	m.judgeDamage(path, contents, true, start, end)
	for at := start; at < end; at = at&^(segment.SectorBytes-1) + segment.SectorBytes {
		first := at % segment.SectorBytes
		if err := m.history.disk.Corrupt(path, at, func(sector []byte) { clear(sector[first:]) }); err != nil {
			m.history.violate("corrupt %s: %v", path, err)
			return
		}
	}
	m.history.hit("planted damage: the end of a clean close")
	m.noteDamage(filepath.Base(path), start, end)
}

// cutOff makes the last segment file shorter. Whatever it was, that is noticed.
func (m *simModel) cutOff(path string, contents []byte, length int64) {
	m.zeroed = false
	m.judgeDamage(path, contents, true, length, int64(len(contents)))
	m.proved = true
	file, err := m.history.disk.OpenReadWrite(path)
	if err == nil {
		err = errors.Join(file.Truncate(length), file.Sync(), file.Close())
	}
	if err != nil {
		m.history.violate("cut off %s: %v", path, err)
		return
	}
	m.history.hit("planted damage: a file cut off")
	m.noteDamage(filepath.Base(path), length, int64(len(contents)))
}

// plantManifestDamage changes bytes of a chunk of the manifest, or takes chunks
// away. The segments and objects say all that they said.
func (m *simModel) plantManifestDamage() {
	h := m.history
	dir := newLogLayout(simRoot, "a").manifest
	entries, err := h.disk.ReadDir(dir)
	if err != nil {
		return
	}
	var chunks []string
	for _, entry := range entries {
		if _, ok := manifest.ParseChunkName(entry.Name()); ok {
			chunks = append(chunks, filepath.Join(dir, entry.Name()))
		}
	}
	if len(chunks) == 0 {
		return
	}
	chunk := chunks[h.below(len(chunks))]
	if h.chance(50) {
		chunk = chunks[len(chunks)-1]
	}
	what := "chunk flipped"
	switch k := h.below(10); {
	case k == 0:
		what = "manifest gone"
		err = m.lose(dir, chunks...)
	case k < 4:
		what = "chunk lost"
		err = m.lose(dir, chunk)
	default:
		err = m.spoil(chunk, k < 6)
	}
	if err != nil {
		return
	}
	m.corrupted, m.manifestOnly, m.proved = true, true, true
	m.where = what + " " + filepath.Base(chunk)
	h.hit("planted damage: " + what)
	h.logf("  DAMAGE %s", m.where)
}

func (m *simModel) lose(dir string, files ...string) error {
	for _, file := range files {
		if err := m.history.disk.Remove(file); err != nil {
			return err
		}
	}
	return m.history.disk.SyncDir(dir)
}

// spoil flips a bit in what is used of a chunk, or zeroes a sector of it.
func (m *simModel) spoil(path string, zeroed bool) error {
	h, contents := m.history, m.history.disk.Durable(path)
	used := len(bytes.TrimRight(contents, "\x00"))
	if used == 0 {
		return errNotHot
	}
	at := int64(h.below(used))
	return h.disk.Corrupt(path, at, func(sector []byte) {
		if zeroed {
			clear(sector)
			return
		}
		sector[at%segment.SectorBytes] ^= 1 << (at & 7)
	})
}

// logID is the id in the header of a segment, as it was before any damage.
func (h *history) logID(path string) uint64 {
	header, err := segment.DecodeHeader(h.disk.Durable(path))
	if err != nil {
		return 0
	}
	return header.LogID
}

func (m *simModel) placesOf(id uint64, path string) (places []simPlace) {
	for _, place := range m.places[id] {
		if place.path == path {
			places = append(places, place)
		}
	}
	return places
}

// chooseDamage picks a byte or a whole sector of a segment.
func (m *simModel) chooseDamage(contents []byte, places []simPlace) (start, end int64) {
	h := m.history
	m.zeroed = false
	var at int64
	switch class := h.below(12); {
	case class == 0:
		at = int64(h.below(segment.HeaderBytes))
		return at, at + 1
	case class == 1:
		at = int64(len(contents)) - 1 - int64(h.below(segment.FooterBytes))
		return at, at + 1
	case class == 2 || len(places) == 0:
		at = segment.HeaderBytes + int64(h.below(max(1, len(contents)-segment.HeaderBytes)))
	case class <= 8:
		place := places[len(places)-1-h.below(min(len(places), 6))]
		at = place.start + int64(h.below(segment.RecordHeaderBytes))
		if h.chance(30) {
			at = place.start + 4 + int64(h.below(4))
		}
	default:
		place := places[len(places)-1-h.below(min(len(places), 6))]
		at = place.start + int64(h.below(int(place.end-place.start)))
	}
	sector := at &^ (segment.SectorBytes - 1)
	if sector == 0 || h.chance(70) {
		return at, at + 1
	}
	m.zeroed = h.chance(60)
	return sector, min(sector+segment.SectorBytes, int64(len(contents)))
}

// judgeDamage notes which records are touched and whether the rest of the file
// proves that they had been durable.
func (m *simModel) judgeDamage(path string, contents []byte, last bool, start, end int64) {
	// What a clean close recorded proves all that lies before it.
	m.proved, m.ownZeros = !last || m.previousEnd == "closed", false
	name, _ := parseSegmentName(filepath.Base(path))
	for _, place := range m.placesOf(name.id, path) {
		inHeader := start < segment.HeaderBytes
		if !inHeader && (place.start >= end || start >= place.end) {
			continue
		}
		m.tainted[place.seq] = true
		if place.end <= int64(len(contents)) && holdsZeroSector(contents, place.start, place.end) {
			m.ownZeros = true
		}
	}
	if header, err := segment.DecodeHeader(contents); err == nil {
		m.proved = m.proved || provedElsewhere(contents, header, start, end)
	}
}

// holdsZeroSector reports whether a range's share of some sector is all zero.
func holdsZeroSector(b []byte, start, end int64) bool {
	for at := start; at < end; {
		next := min((at/segment.SectorBytes+1)*segment.SectorBytes, end)
		zero := true
		for _, c := range b[at:next] {
			zero = zero && c == 0
		}
		if zero {
			return true
		}
		at = next
	}
	return false
}

// provedElsewhere reports whether a record that is not touched says that the
// touched bytes were durable before it was encoded.
func provedElsewhere(contents []byte, header segment.Header, start, end int64) bool {
	scan := segment.Scan(contents, header, segment.Known{})
	firstTouched, durable := int64(len(contents)), int64(0)
	for _, extent := range scan.Extents {
		if extent.Damaged {
			continue
		}
		var record segment.Record
		for at := extent.Offset; at < extent.End; {
			n, err := segment.DecodeRecord(contents[at:extent.End], header.Salt, &record)
			if err != nil {
				break
			}
			if at < end && start < at+int64(n) {
				firstTouched = min(firstTouched, at)
			} else {
				durable = max(durable, at-int64(record.Unsynced))
			}
			at += int64(n)
		}
	}
	return firstTouched < durable
}

// checkDamage judges a damage report for one sequence.
func (m *simModel) checkDamage(seq uint64, want int, must uint64) {
	h := m.history
	switch {
	case !m.corrupted:
		h.violate("damage reported at sequence %d and none was planted", seq)
	case want == 0:
		h.hit("damage reported for a sequence that never existed")
	case !m.tainted[seq] && seq > must:
		h.hit("damage reported for an unacked sequence")
	case !m.tainted[seq]:
		h.violate("damage cost more than itself: sequence %d [%s]", seq, m.where)
	default:
		h.hit("damage reported for the damaged record")
	}
	m.tainted[seq] = true
}

// checkLoss judges acknowledged records that are gone without an error.
func (m *simModel) checkLoss(last, must uint64) {
	h := m.history
	if m.corrupted && !m.proved && (m.zeroed || m.ownZeros) {
		h.hit("undecidable: zeroed sector or zeros of its own")
		return
	}
	h.violate("acknowledged records lost: last %d, acknowledged %d, power cut %v, corrupted %v [%s]",
		last, must, m.powerCut, m.corrupted, m.where)
}
