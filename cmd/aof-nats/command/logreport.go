package command

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// logReport is a log as `log ls` and `log info` print it. Its JSON names are a
// contract with scripts.
type logReport struct {
	Name         string          `json:"name"`
	ID           string          `json:"id"`
	Records      uint64          `json:"records"`
	FirstSeq     uint64          `json:"first_seq"`
	DurableSeq   uint64          `json:"durable_seq"`
	HotBytes     int64           `json:"hot_bytes"`
	WarmBytes    int64           `json:"warm_bytes"`
	ColdBytes    int64           `json:"cold_bytes"`
	SegmentCount int             `json:"segment_count"`
	Segments     []segmentReport `json:"segments,omitempty"`
}

// segmentReport is one segment. LastSeq is FirstSeq-1 while it holds no record.
// Tiers are those that hold a copy, the nearest first; Bytes and File are of that
// one.
type segmentReport struct {
	ID        uint64     `json:"id"`
	FirstSeq  uint64     `json:"first_seq"`
	LastSeq   uint64     `json:"last_seq"`
	Bytes     int64      `json:"bytes"`
	State     string     `json:"state"`
	Tiers     []string   `json:"tiers"`
	HotBytes  int64      `json:"hot_bytes,omitempty"`
	WarmBytes int64      `json:"warm_bytes,omitempty"`
	ColdBytes int64      `json:"cold_bytes,omitempty"`
	MaxTime   *time.Time `json:"max_time,omitempty"`
	File      string     `json:"file"`
}

// The tiers by the names that users see.
const (
	tierHot  = "hot"
	tierWarm = "warm"
	tierCold = "cold"
	tierNone = "none"
)

// nearestTier is the tier that a segment is read from.
func nearestTier(s engine.SegmentState) string {
	if tiers := tiersOf(s); len(tiers) > 0 {
		return tiers[0]
	}
	return tierNone
}

// tiersOf names the tiers that hold a copy, the nearest first.
func tiersOf(s engine.SegmentState) []string {
	tiers := []string{}
	for _, tier := range []struct {
		name  string
		bytes int64
	}{{tierHot, s.HotBytes}, {tierWarm, s.WarmBytes}, {tierCold, s.ColdBytes}} {
		if tier.bytes > 0 {
			tiers = append(tiers, tier.name)
		}
	}
	return tiers
}

// The states of a segment.
const (
	segmentActive  = "active"
	segmentSealed  = "sealed"
	segmentDamaged = "damaged"
)

func segmentCondition(s engine.SegmentState) string {
	switch {
	case s.Damaged:
		return segmentDamaged
	case s.Sealed:
		return segmentSealed
	}
	return segmentActive
}

func reportOf(state engine.State) logReport {
	report := logReport{
		Name: state.Name, ID: fmt.Sprintf("%016x", state.ID), FirstSeq: state.FirstSeq, DurableSeq: state.Watermarks.Durable,
		HotBytes: state.HotBytes, WarmBytes: state.WarmBytes, ColdBytes: state.ColdBytes, SegmentCount: len(state.Segments),
	}
	if report.DurableSeq >= report.FirstSeq {
		report.Records = report.DurableSeq - report.FirstSeq + 1
	}
	for _, s := range state.Segments {
		segment := segmentReport{
			ID: s.ID, FirstSeq: s.BaseSeq, LastSeq: s.LastSeq, Bytes: s.Bytes,
			State: segmentCondition(s), Tiers: tiersOf(s), HotBytes: s.HotBytes, WarmBytes: s.WarmBytes, ColdBytes: s.ColdBytes,
			File: filepath.Base(s.Path),
		}
		if s.MaxTimestamp != 0 {
			latest := time.Unix(0, s.MaxTimestamp).UTC()
			segment.MaxTime = &latest
		}
		report.Segments = append(report.Segments, segment)
	}
	return report
}
