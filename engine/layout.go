package engine

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file is the one place that knows where things lie below a root.

const (
	lockFileName       = "LOCK"
	engineFileName     = "engine.json"
	reserveFileName    = "reserve"
	logsDirName        = "logs"
	logFileName        = "log.json"
	segmentsDirName    = "segments"
	manifestDirName    = "manifest"
	warmDirName        = "warm"
	quarantineDirName  = "quarantine"
	successorFileName  = "next.tmp"
	temporarySuffix    = ".tmp"
	segmentSuffix      = ".seg"
	segmentNumberWidth = 20
)

// logLayout is the paths of one log.
type logLayout struct {
	dir        string
	segments   string
	manifest   string
	warm       string
	quarantine string
}

func newLogLayout(root, name string) logLayout {
	dir := filepath.Join(root, logsDirName, name)
	return logLayout{
		dir:        dir,
		segments:   filepath.Join(dir, segmentsDirName),
		manifest:   filepath.Join(dir, manifestDirName),
		warm:       filepath.Join(dir, warmDirName),
		quarantine: filepath.Join(dir, quarantineDirName),
	}
}

func (p logLayout) logFile() string   { return filepath.Join(p.dir, logFileName) }
func (p logLayout) successor() string { return filepath.Join(p.segments, successorFileName) }

func (p logLayout) segment(name segmentName) string {
	return filepath.Join(p.segments, name.String())
}

// hotFile is the segment file of a manifest entry.
func (p logLayout) hotFile(entry *manifest.Segment) string {
	return p.segment(segmentName{id: entry.ID, baseSeq: entry.BaseSeq, created: entry.OpenedNs})
}

// warmFile is the warm object of a manifest entry.
func (p logLayout) warmFile(entry *manifest.Segment) string {
	return filepath.Join(p.warm, tier.WarmName{SegmentID: entry.ID, BaseSeq: entry.BaseSeq, Sealed: entry.SealedNs}.String())
}

// segmentName is what a segment's file name says.
type segmentName struct {
	id      uint64
	baseSeq uint64
	created int64
}

func (n segmentName) String() string {
	return fmt.Sprintf("%020d_%020d_%020d%s", n.id, n.baseSeq, n.created, segmentSuffix)
}

// parseSegmentName is the inverse of String and accepts nothing else.
func parseSegmentName(file string) (segmentName, bool) {
	stem, ok := strings.CutSuffix(file, segmentSuffix)
	parts := strings.Split(stem, "_")
	if !ok || len(parts) != 3 {
		return segmentName{}, false
	}
	var numbers [3]uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || len(part) != segmentNumberWidth {
			return segmentName{}, false
		}
		numbers[i] = n
	}
	name := segmentName{id: numbers[0], baseSeq: numbers[1], created: int64(numbers[2])}
	return name, name.id > 0 && name.id < 1<<32 && name.baseSeq > 0 && name.created >= 0
}
