package engine

import (
	"hash/maphash"
	"math/bits"
	"time"
)

// dedupIndex remembers message ids: a ring of entries in order of arrival, and
// an open-addressing table of ring positions. Ids are kept as keyed 128-bit
// fingerprints, so that an entry costs the same whatever the id's length and
// nobody can choose ids that collide. Log.mu guards it.
type dedupIndex struct {
	window  int64 // nanoseconds
	idsMax  int
	seeds   [2]maphash.Seed
	ring    []dedupEntry // length is a power of two
	oldest  uint64       // number of the oldest entry
	newest  uint64       // number behind the newest entry
	table   []uint32     // ring position + 1, 0: free; twice the ring's length
	binding bool         // ids leave because of idsMax, not of age
	// expected is how many ids there will be soon, as far as that is known.
	expected int
}

type dedupEntry struct {
	key  fingerprint
	seq  uint64
	time int64
}

type fingerprint [2]uint64

func newDedupIndex(opts DedupOptions) *dedupIndex {
	return &dedupIndex{
		window: int64(opts.Window), idsMax: opts.IDsMax,
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

func (d *dedupIndex) fingerprint(id []byte) fingerprint {
	return fingerprint{maphash.Bytes(d.seeds[0], id), maphash.Bytes(d.seeds[1], id)}
}

// lookup returns the sequence of the record that carries id, if it is inside
// the window at time now.
func (d *dedupIndex) lookup(id []byte, now int64) (seq uint64, ok bool) {
	d.expire(now)
	if d.newest == d.oldest {
		return 0, false
	}
	slot, found := d.find(d.fingerprint(id))
	if !found {
		return 0, false
	}
	entry := d.at(uint64(d.table[slot] - 1))
	return entry.seq, now-entry.time <= d.window
}

// add remembers that the record seq carries id.
func (d *dedupIndex) add(id []byte, seq uint64, now int64) {
	if d.idsMax > 0 && d.window > 0 {
		d.addEntry(dedupEntry{key: d.fingerprint(id), seq: seq, time: now})
	}
}

// addAll adds what another index with the same seeds has.
func (d *dedupIndex) addAll(other *dedupIndex) {
	for number := other.oldest; number < other.newest; number++ {
		d.addEntry(*other.at(number))
	}
}

func (d *dedupIndex) addEntry(entry dedupEntry) {
	if d.newest-d.oldest == uint64(d.idsMax) {
		d.binding = true
		d.drop()
	}
	if d.newest-d.oldest == uint64(len(d.ring)) {
		d.grow()
	}
	position := d.newest & uint64(len(d.ring)-1)
	slot, found := d.find(entry.key)
	if found { // an id that left the window logically and came again
		d.erase(slot)
		slot, _ = d.find(entry.key)
	}
	d.ring[position] = entry
	d.table[slot] = uint32(position) + 1
	d.newest++
}

// expire forgets what is older than the window.
func (d *dedupIndex) expire(now int64) {
	for d.oldest < d.newest && now-d.at(d.oldest).time > d.window {
		d.binding = false
		d.drop()
	}
}

func (d *dedupIndex) at(number uint64) *dedupEntry {
	return &d.ring[number&uint64(len(d.ring)-1)]
}

// drop forgets the oldest entry.
func (d *dedupIndex) drop() {
	position := d.oldest & uint64(len(d.ring)-1)
	if slot, found := d.find(d.ring[position].key); found && uint64(d.table[slot]-1) == position {
		d.erase(slot)
	}
	d.oldest++
}

// find returns the slot of a fingerprint, or the free slot where it belongs.
func (d *dedupIndex) find(key fingerprint) (slot int, found bool) {
	mask := len(d.table) - 1
	for slot = int(key[0]) & mask; d.table[slot] != 0; slot = (slot + 1) & mask {
		if d.ring[d.table[slot]-1].key == key {
			return slot, true
		}
	}
	return slot, false
}

// erase frees a slot and moves up the entries that probed past it.
func (d *dedupIndex) erase(slot int) {
	mask := len(d.table) - 1
	hole := slot
	for next := (hole + 1) & mask; d.table[next] != 0; next = (next + 1) & mask {
		home := int(d.ring[d.table[next]-1].key[0]) & mask
		if (next-home)&mask >= (next-hole)&mask {
			d.table[hole] = d.table[next]
			hole = next
		}
	}
	d.table[hole] = 0
}

const dedupRingMin = 256

// grow makes the ring twice as long, or as long as is expected, and rebuilds the
// table.
func (d *dedupIndex) grow() {
	length := max(dedupRingMin, 2*len(d.ring))
	if expected := min(d.expected, d.idsMax); expected > length {
		length = 1 << bits.Len(uint(expected-1))
	}
	ring := make([]dedupEntry, length)
	count := uint64(0)
	for number := d.oldest; number < d.newest; number++ {
		ring[count] = *d.at(number)
		count++
	}
	d.ring, d.oldest, d.newest = ring, 0, count
	d.table = make([]uint32, 2*len(ring))
	for position := range count {
		slot, _ := d.find(d.ring[position].key)
		d.table[slot] = uint32(position) + 1
	}
}

// effectiveWindow is how far back ids are remembered: the configured window, or
// the age of the oldest id while their number binds.
func (d *dedupIndex) effectiveWindow(now int64) time.Duration {
	if !d.binding || d.oldest == d.newest {
		return time.Duration(d.window)
	}
	return min(time.Duration(d.window), time.Duration(now-d.at(d.oldest).time))
}
