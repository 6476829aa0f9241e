package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

const (
	// settleTimeout bounds waiting until the tiers are at rest; settleInterval is
	// how often they are looked at.
	settleTimeout  = 5 * time.Minute
	settleInterval = 100 * time.Millisecond
	// settledLooks is how many looks in a row find them the same.
	settledLooks = 5
	// segmentsOfDemo is about how many segments the events fill.
	segmentsOfDemo = 22
	// recordOverhead is about what a record has besides payload and subject.
	recordOverhead = 80
	// hotSegments is how many segments the hot tier has room for: fewer would
	// make them smaller than asked for. The warm tier has room for two and a half
	// uncompressed ones, because room for a whole one is made before each
	// compression.
	hotSegments = 8
)

// demoSizes are a segment size and budgets that make the events fill each tier.
type demoSizes struct{ segment, hot, warm byteSize }

func sizesFor(l *eventLedger) demoSizes {
	total := l.bytes + int64(len(l.events))*recordOverhead
	longest := (l.longest+recordOverhead)*16/15 + segmentBytesFloor/2 // beside the index of a segment and its header
	wanted := min(max(total/segmentsOfDemo, longest), 64<<20)
	segment := max((wanted+segmentBytesFloor-1)/segmentBytesFloor, 1) * segmentBytesFloor
	return demoSizes{segment: byteSize(segment), hot: byteSize(hotSegments * segment), warm: byteSize(segment * 5 / 2)}
}

// placement is in which tiers a log's segments are. Each segment counts once, in
// the nearest tier that holds it; the bytes are what each tier stores.
type placement struct {
	segments tierCounts
	bytes    tierBytes
	cold     uint64 // the last sequence up to which the bucket holds everything
	// list is as the files show it, which may be a move behind.
	list []engine.SegmentState
}

type tierCounts struct {
	Hot  int `json:"hot"`
	Warm int `json:"warm"`
	Cold int `json:"cold"`
}

// tierBytes are what each tier stores. Raw is what the segments in the cold tier
// were before compression: their headers and records.
type tierBytes struct {
	Hot  int64 `json:"hot"`
	Warm int64 `json:"warm"`
	Cold int64 `json:"cold"`
	Raw  int64 `json:"raw"`
}

// ratio is how many times smaller the cold tier is.
func (b *tierBytes) ratio() float64 {
	if b.Cold == 0 {
		return 0
	}
	return float64(b.Raw) / float64(b.Cold)
}

// lookAtTiers asks the bridge where the log's segments are, and reads from the
// root which there are.
func (d *demo) lookAtTiers(ctx context.Context) (p placement, err error) {
	values, err := d.bridge.metrics(ctx)
	if err != nil {
		return p, err
	}
	ofLog := func(name string) float64 { return values[fmt.Sprintf("%s{log=%q}", name, d.log)] }
	segments := func(tier string) int {
		return int(values[fmt.Sprintf("aof_log_segments{log=%q,tier=%q}", d.log, tier)])
	}
	p.segments = tierCounts{Hot: segments(tierHot), Warm: segments(tierWarm), Cold: segments(tierCold)}
	p.bytes = tierBytes{Hot: int64(ofLog("aof_hot_bytes")), Warm: int64(ofLog("aof_warm_bytes")), Cold: int64(ofLog("aof_cold_bytes"))}
	p.cold = uint64(ofLog("aof_log_cold_sequence"))
	eng, err := engine.OpenReadOnly(d.root)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	log, err := eng.OpenLog(d.log, engine.LogOptions{})
	if err != nil {
		return p, err
	}
	p.list = log.State().Segments
	for _, s := range p.list {
		if s.Sealed && s.LastSeq <= p.cold {
			p.bytes.Raw += s.RawBytes
		}
	}
	return p, nil
}

// atRest reports whether everything that is sealed is in the bucket and the
// budgets are kept.
func (p *placement) atRest(sizes demoSizes) bool {
	for _, s := range p.list {
		if s.Sealed && s.LastSeq > p.cold {
			return false
		}
	}
	return p.bytes.Hot <= int64(sizes.hot) && p.bytes.Warm <= int64(sizes.warm)
}

// settle waits until the tiers are at rest and nothing moves.
func (d *demo) settle(ctx context.Context) (placement, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	var last placement
	for same := 0; same < settledLooks; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, fmt.Errorf("wait for the tiers: the bucket holds everything up to sequence %d: %w", last.cold, ctx.Err())
		}
		now, err := d.lookAtTiers(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a file was evicted while it was looked at
		}
		if err != nil {
			return now, err
		}
		d.progress.update(func() string {
			return fmt.Sprintf("%d segments hot, %d warm, %d only in the bucket", now.segments.Hot, now.segments.Warm, now.segments.Cold)
		})
		if now.atRest(d.sizes) && now.segments == last.segments && now.bytes == last.bytes {
			same++
		} else {
			same = 0
		}
		last = now
	}
	return last, nil
}
