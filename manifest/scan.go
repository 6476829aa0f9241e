package manifest

// This file is the scan of one chunk: which bytes are records, which are
// damaged, which are the torn end of a write that nobody was told about.
//
// Every record says how many bytes before it were not durable when it was
// written. So D, the largest offset minus that number, over all records that
// verify, also those behind a bad one, is where the durable part is known to
// end. A bad record below D is damage. At or above D it is torn if some sector's
// share of it is all zeros, which is what a lost write leaves; else it is damage
// too. A length counts only if the header's own checksum verifies.

import (
	"encoding/binary"
	"fmt"
)

const sectorBytes = 512

// scanTask is a chunk and what is known of it from elsewhere. What stands before
// start is durable: it is the header, or what a snapshot replaces.
type scanTask struct {
	image []byte
	start int    // first byte to look at
	first uint64 // ordinal of the record there; 0: not known
	// sealedEnd is where a sealed chunk's records end; 0: not sealed.
	sealedEnd int
	// nextFirst is the ordinal that begins the next chunk; 0: not known.
	nextFirst uint64
	// allocated is the length that the file must have; 0: not known.
	allocated int
	// last is set for the chunk that was being written: only it has a torn tail.
	last bool
}

// scanItem is a record, or a range that is none.
type scanItem struct {
	offset, end int
	ordinal     uint64 // of the record, or the first that the damage costs
	lost        uint64 // damage: how many ordinals it costs
	cause       error  // damage: why; nil for a record
}

// chunkScan is what is in a chunk.
type chunkScan struct {
	items []scanItem
	// end is where records and damage end, next the ordinal that follows.
	end  int
	next uint64
	// durableTo is D.
	durableTo int
	// cutEnd is the end of the torn tail that begins at end; 0: nothing torn.
	cutEnd int
	// clean says that a pair of LogClosed records is the last thing in the file.
	clean bool
}

func (t *scanTask) run() chunkScan {
	image := t.image
	if t.sealedEnd > 0 {
		image = image[:min(t.sealedEnd, len(image))]
	}
	used := usedBytes(image)
	r := chunkScan{next: t.first, end: t.start, durableTo: t.start}
	items := t.walk(image, used)
	for _, item := range items {
		if item.cause == nil {
			r.durableTo = max(r.durableTo, item.offset-int(unsyncedOf(image[item.offset:])))
		}
	}
	truncated := t.sealedEnd == 0 && len(image) < t.allocated
	mayBeTorn := t.last && t.sealedEnd == 0 && !truncated
	for _, item := range items {
		if item.cause != nil && mayBeTorn && item.offset >= r.durableTo && isTorn(image, item.offset) {
			r.cutEnd = used
			break
		}
		r.items = append(r.items, item)
		r.end, r.next = item.end, item.ordinal+item.lost
		if item.cause == nil {
			r.next++
		}
	}
	if truncated || t.sealedEnd > len(image) {
		r.addMissingBytes(max(t.allocated, t.sealedEnd))
	}
	if t.nextFirst > 0 {
		r.endAt(t.nextFirst)
	}
	r.clean = mayBeTorn && r.cutEnd == 0 && r.endsWithClosePair(image)
	return r
}

// walk lists the records and, between them, what is none. Records begin before
// used; the zeros at the end of one may lie behind it.
func (t *scanTask) walk(image []byte, used int) []scanItem {
	var items []scanItem
	want := t.first
	for p := t.start; p < used; {
		if t.nextFirst > 0 && want >= t.nextFirst && t.sealedEnd == 0 {
			break // the next chunk says that the records end here
		}
		if end, ordinal, ok := recordAt(image, p, want, want); ok {
			items = append(items, scanItem{offset: p, end: end, ordinal: ordinal})
			p, want = end, ordinal+1
			continue
		}
		bad := t.resynchronize(image, used, p, want)
		items = append(items, bad)
		p, want = bad.end, bad.ordinal+bad.lost
	}
	return items
}

// recordAt verifies a record whose ordinal lies between two bounds; 0 means that
// none is known.
func recordAt(b []byte, p int, ordinalMin, ordinalMax uint64) (end int, ordinal uint64, ok bool) {
	if p+recordHeaderBytes > len(b) {
		return 0, 0, false
	}
	ordinal = ordinalOf(b[p:])
	if ordinalMin > 0 && (ordinal < ordinalMin || ordinal > ordinalMax) || ordinal == 0 {
		return 0, 0, false
	}
	length, err := verifyRecord(b[p:])
	if err != nil || unsyncedOf(b[p:]) > int64(p-chunkHeaderBytes) {
		return 0, 0, false
	}
	return p + length, ordinal, true
}

// resynchronize describes the damage at p, which ends at the next record whose
// ordinal is possible: so many records must have had room.
func (t *scanTask) resynchronize(image []byte, used, p int, want uint64) scanItem {
	cause := causeAt(image, p)
	for q := p + recordAlignment; q < used; q += recordAlignment {
		ordinalMax := want + uint64((q-p)/recordHeaderBytes)
		if t.nextFirst > 0 {
			ordinalMax = min(ordinalMax, t.nextFirst-1)
		}
		if _, ordinal, ok := recordAt(image, q, want, ordinalMax); ok {
			lost := ordinal - want
			if want == 0 {
				return scanItem{offset: p, end: q, ordinal: ordinal, cause: cause}
			}
			return scanItem{offset: p, end: q, ordinal: want, lost: lost, cause: cause}
		}
	}
	lost := max(1, (used-p)/recordHeaderBytes)
	if length, err := recordExtent(image[p:]); err == nil {
		lost = 1
		if behind := used - (p + length); behind > 0 {
			lost += (behind + recordHeaderBytes - 1) / recordHeaderBytes
		}
	}
	return scanItem{offset: p, end: used, ordinal: want, lost: uint64(lost), cause: cause}
}

// causeAt says why there is no record at p.
func causeAt(image []byte, p int) error {
	if _, err := verifyRecord(image[p:]); err != nil {
		return err
	}
	return fmt.Errorf("record has ordinal %d, which does not follow: %w", ordinalOf(image[p:]), ErrInvalid)
}

// isTorn is the rule for a bad record at or above D.
func isTorn(image []byte, p int) bool {
	length := recordHeaderBytes
	if verified, err := recordExtent(image[p:]); err == nil {
		length = verified
	}
	for end := min(p+length, len(image)); p < end; {
		share := min((p/sectorBytes+1)*sectorBytes, end)
		if isZero(image[p:share]) {
			return true
		}
		p = share
	}
	return false
}

// addMissingBytes notes that the file ends before the length that it was synced
// with.
func (r *chunkScan) addMissingBytes(length int) {
	at, ordinal := r.end, r.next
	if n := len(r.items); n > 0 && r.items[n-1].cause != nil {
		at, ordinal = r.items[n-1].offset, r.items[n-1].ordinal
		r.items = r.items[:n-1]
	}
	lost := uint64((length - at + recordHeaderBytes - 1) / recordHeaderBytes)
	r.items = append(r.items, scanItem{offset: at, end: at, ordinal: ordinal, lost: lost,
		cause: fmt.Errorf("file is shorter than its %d bytes: %w", length, ErrTruncated)})
	r.next = ordinal + lost
}

// endAt makes the ordinals end where the next chunk begins: what is missing until
// there is lost, and damage at the end cannot have cost more.
func (r *chunkScan) endAt(nextFirst uint64) {
	if n := len(r.items); n > 0 && r.items[n-1].cause != nil && nextFirst >= r.items[n-1].ordinal {
		r.items[n-1].lost = nextFirst - r.items[n-1].ordinal
		r.next = nextFirst
	}
	if nextFirst > r.next {
		r.items = append(r.items, scanItem{offset: r.end, end: r.end, ordinal: r.next, lost: nextFirst - r.next,
			cause: fmt.Errorf("zeros where records were: %w", ErrMissing)})
		r.next = nextFirst
	}
}

// endsWithClosePair reports whether the last two records are a LogClosed pair as
// it is written. There is nothing behind it: that would be a bad record.
func (r *chunkScan) endsWithClosePair(image []byte) bool {
	n := len(r.items)
	if n < 2 {
		return false
	}
	for _, item := range r.items {
		if item.cause != nil {
			return false
		}
	}
	first, second := r.items[n-2], r.items[n-1]
	return second.offset%sectorBytes == 0 && first.end == second.offset &&
		isLogClosed(image[first.offset:first.end]) && isLogClosed(image[second.offset:second.end])
}

func isLogClosed(record []byte) bool {
	return recordTypeOf(record) == TypeLogClosed
}

// usedBytes is the length up to the last 8-byte word that is not zero.
func usedBytes(b []byte) int {
	n := len(b)
	for n%recordAlignment != 0 {
		if b[n-1] != 0 {
			return len(b)
		}
		n--
	}
	for n > 0 && binary.LittleEndian.Uint64(b[n-8:]) == 0 {
		n -= 8
	}
	return n
}

func isZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
