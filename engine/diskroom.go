package engine

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// diskRoom is the room on an engine's disk, which may end before the budgets
// do. Who finds none notes what it needs; the planner makes room for that, as
// far as anything may be dropped, and who waits is told after each eviction.
type diskRoom struct {
	engine *Engine

	// allocating serialises looking how much is free with taking it, which is
	// I/O, and guards nothing else.
	allocating sync.Mutex
	// segmentsMax is what the disk has for segments in all, free or taken, as far
	// as it is known; 0: not yet.
	segmentsMax atomic.Int64

	mu struct {
		sync.Mutex
		segments     map[uint64]segmentNeed // by log id: next segments that found no room
		compressions map[moveKey]int64      // compressions that found none
		reserve      int64                  // the reserve, if it was given up
		free         int64                  // when last looked at, and what was evicted since
	}
}

// segmentNeed is what the next segment of a log needs.
type segmentNeed struct {
	grow int64 // for its file
	// compression is what must stay free beside it: without room to compress
	// nothing could ever leave the hot tier.
	compression int64
}

func newDiskRoom(e *Engine) *diskRoom {
	d := &diskRoom{engine: e}
	d.mu.segments = make(map[uint64]segmentNeed)
	d.mu.compressions = make(map[moveKey]int64)
	return d
}

// take runs allocate, which makes the file of a log's next segment larger by
// grow to bytes, if the disk has room for that and for what must stay free
// beside it. An error that matches ENOSPC says that it has not, and the planner
// knows what is needed.
func (d *diskRoom) take(logID uint64, grow, bytes int64, allocate func() error) error {
	d.allocating.Lock()
	defer d.allocating.Unlock()
	free := d.look()
	need, reserve := segmentNeed{grow: grow, compression: d.forCompression(bytes)}, d.forReserve()
	if all := need.grow + need.compression + reserve; all > free {
		d.noteSegment(logID, need, reserve, free)
		return fmt.Errorf("%w: %d bytes are needed for the next segment and its compression and %d are free", syscall.ENOSPC, all, free)
	}
	err := allocate()
	switch {
	case isNoSpace(err):
		d.noteSegment(logID, need, reserve, 0) // whatever the disk says that is free, it is not for us
	case err == nil:
		d.settleSegment(logID)
	}
	return err
}

// look returns how many bytes are free, as many as there can be where the disk
// does not say.
func (d *diskRoom) look() int64 {
	e := d.engine
	usage, err := e.opts.FS.Usage(e.dir)
	if err != nil || usage.TotalBytes <= 0 {
		return math.MaxInt64
	}
	room := usage.FreeBytes + e.hot.used.Load() + e.warm.Load()
	if !e.reserve.missing.Load() {
		room += e.reserve.bytes
	}
	d.segmentsMax.Store(room)
	return usage.FreeBytes
}

// forCompression is the room that a compression may take, of a segment of so many
// bytes or of the largest that is only hot.
func (d *diskRoom) forCompression(segmentBytes int64) int64 {
	if d.engine.opts.WarmBytesMax == NoWarm {
		return 0
	}
	for _, log := range d.engine.openLogs() {
		state := log.journal.state()
		for _, s := range *log.segments.Load() {
			if bytes := s.bytes.Load(); bytes > segmentBytes {
				if entry := state.Segment(s.id()); entry == nil || entry.Resident.Without(manifest.TierHot) == 0 {
					segmentBytes = bytes
				}
			}
		}
	}
	return planner.CompressedBytesMax(segmentBytes)
}

// reserveShare is the part of a disk that the reserve may take for segments to
// wait until it is whole again.
const reserveShare = 4

// forReserve is the room that the reserve has to get back before a segment may
// take any: else what was given up for seals and metadata is gone when they
// need it next.
func (d *diskRoom) forReserve() int64 {
	r := &d.engine.reserve
	if !r.missing.Load() || d.segmentsMax.Load() < reserveShare*r.bytes {
		return 0
	}
	return r.bytes
}

// giveReserve gives the reserve up.
func (d *diskRoom) giveReserve() error {
	err := d.engine.reserve.release()
	free := d.look()
	d.mu.Lock()
	d.mu.reserve, d.mu.free = d.forReserve(), free
	d.mu.Unlock()
	d.engine.coordinator.poke()
	return err
}

func (d *diskRoom) noteSegment(logID uint64, need segmentNeed, reserve, free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.segments[logID] = need
	d.mu.reserve, d.mu.free = reserve, free
}

func (d *diskRoom) settleSegment(logID uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.segments, logID)
}

// noteCompression notes a compression that found no room.
func (d *diskRoom) noteCompression(key moveKey, bytes int64) {
	need, free := planner.CompressedBytesMax(bytes), d.look()
	if free >= need {
		free = 0 // not for us
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.compressions[key] = need
	d.mu.free = free
}

func (d *diskRoom) settleCompression(key moveKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.compressions, key)
}

// noteEvicted notes that so many bytes were freed. It returns the compressions
// that have room now.
func (d *diskRoom) noteEvicted(bytes int64) (compressible []moveKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.free < math.MaxInt64-bytes {
		d.mu.free += bytes
	}
	if d.lackLocked() > 0 {
		return nil
	}
	for key := range d.mu.compressions {
		compressible = append(compressible, key)
	}
	clear(d.mu.compressions)
	return compressible
}

// forget drops what a log needed that needs nothing any more.
func (d *diskRoom) forget(logID uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.segments, logID)
	for key := range d.mu.compressions {
		if key.log == logID {
			delete(d.mu.compressions, key)
		}
	}
}

// lack is how many bytes the disk is short of for all that waits for room.
func (d *diskRoom) lack() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lackLocked()
}

func (d *diskRoom) lackLocked() int64 {
	need, compression := int64(0), int64(0)
	for _, segment := range d.mu.segments {
		need += segment.grow
		compression = max(compression, segment.compression)
	}
	for _, bytes := range d.mu.compressions {
		compression = max(compression, bytes)
	}
	need += compression
	if d.engine.reserve.missing.Load() {
		need += d.mu.reserve
	}
	return max(0, need-d.mu.free)
}
