package engine

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// suspicion is what reads of a segment's copies found bad, and no read has found
// good since. It lives in memory only: one bad answer of a disk or a bucket must
// not take a copy out of the log for ever.
type suspicion struct {
	tiers atomic.Uint32 // the manifest.TierSet of the copies in doubt
	mu    struct {
		sync.Mutex
		places [3]map[int]bool // by tier: the frames that failed, and placeWhole
		// failure is what the last verification found, nil after a good one.
		failure error
	}
}

// placeWhole stands for all of a copy: it was not there, or did not open.
const placeWhole = -1

// placeOf is what of an object has to verify before an error is forgotten.
func placeOf(err error) int {
	var corrupt *tier.CorruptError
	if errors.As(err, &corrupt) && corrupt.Frame >= 0 {
		return corrupt.Frame
	}
	return placeWhole
}

func (d *suspicion) copies() manifest.TierSet { return manifest.TierSet(d.tiers.Load()) }

// note remembers a copy that failed and reports whether it was trusted before.
func (d *suspicion) note(t manifest.Tier, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.places[t] == nil {
		d.mu.places[t] = make(map[int]bool)
	}
	d.mu.places[t][placeOf(err)] = true
	old := d.copies()
	d.tiers.Store(uint32(old.With(t)))
	return !old.Has(t)
}

// settle notes that a place verifies that may have failed before. The copy is
// trusted again when nothing else of it has failed.
func (d *suspicion) settle(t manifest.Tier, place int) {
	if !d.copies().Has(t) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.places[t], place)
	if len(d.mu.places[t]) == 0 {
		d.mu.failure = nil
		d.tiers.Store(uint32(d.copies().Without(t)))
	}
}

// trust forgets everything about a copy that was made anew or verified.
func (d *suspicion) trust(t manifest.Tier) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.places[t], d.mu.failure = nil, nil
	d.tiers.Store(uint32(d.copies().Without(t)))
}

// framesOf are the frames that failed, and whether all of the copy did.
func (d *suspicion) framesOf(t manifest.Tier) (frames []int, whole bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for place := range d.mu.places[t] {
		if place == placeWhole {
			whole = true
		} else {
			frames = append(frames, place)
		}
	}
	return frames, whole
}

// confirm notes what a verification found wrong.
func (d *suspicion) confirm(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.failure = err
}

// confirmed is what the last verification found wrong with the only copy, nil if
// it did not.
func (d *suspicion) confirmed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.failure
}
