package engine

import (
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file judges segments that are not sealed: what is proved durable has to
// verify, what lies behind may be torn or be being written.

func (h *hotCheck) checkUnsealed() {
	var known segment.Known
	if base := h.log.baseBehind(h.id); base > 0 {
		known = segment.Known{LastSeq: base - 1, Complete: true}
	}
	scan := segment.Scan(h.contents, h.header, known)
	limit := scan.DurableEnd
	if known.Complete {
		limit = scan.RecordsEnd
	}
	h.last, h.proven = h.base-1, h.base-1
	if end := h.closedEnd(); end > 0 {
		h.checkClosed(end)
		limit = max(limit, end)
	}
	for _, extent := range scan.Extents {
		switch {
		case !extent.Damaged:
			h.last = max(h.last, extent.LastSeq)
		case extent.Offset >= limit && !known.Complete:
			h.tornAt(extent.Offset, extent.End, "bytes that do not verify and that nothing proves durable")
		default:
			if h.closedEnd() <= extent.Offset {
				h.brokenExtent(extent, false)
			}
			h.last, h.proven = max(h.last, extent.LastSeq), max(h.proven, extent.LastSeq)
		}
	}
	if scan.Cut != nil {
		h.tornAt(scan.Cut.Offset, scan.Cut.End, "bytes behind the last record that verifies")
	}
	h.countRecords(scan.Extents, limit)
	if want := h.log.state.Log().NextSeq; !known.Complete && want > h.last+1 {
		h.broken(scan.RecordsEnd, 0, h.last+1, want-1, "the manifest proves sequences that the last segment does not have")
		h.last, h.proven = want-1, want-1
	}
}

func (h *hotCheck) tornAt(offset, end int64, reason string) {
	h.notes = append(h.notes, Finding{
		Kind: FoundTorn, Part: partOf(manifest.TierHot), Segment: h.id, Path: h.path, Offset: offset, Bytes: end - offset, Reason: reason,
	})
}

// closedEnd is where the manifest says that a clean close ended this segment, 0
// if it does not. Everything before it was durable.
func (h *hotCheck) closedEnd() int64 {
	log := h.log.state.Log()
	if !log.Closed || log.ClosedSegmentID != h.id || log.ClosedMarkOffset > segment.SegmentBytesMax {
		return 0
	}
	return int64(log.ClosedMarkOffset) + segment.MarkBytes
}

// checkClosed judges what stands before the end of a clean close.
func (h *hotCheck) checkClosed(end int64) {
	closed := h.contents[:min(end, int64(len(h.contents)))]
	scan := segment.Scan(closed, h.header, segment.Known{RecordsEnd: end})
	damaged := false
	for _, extent := range scan.Extents {
		if extent.Damaged {
			damaged = true
			h.brokenExtent(extent, false)
			h.last, h.proven = max(h.last, extent.LastSeq), max(h.proven, extent.LastSeq)
		}
	}
	if !damaged && !scan.Closed {
		h.broken(end-segment.MarkBytes, segment.MarkBytes, 0, 0, fmt.Sprintf("the manifest records a close mark at %d", end-segment.MarkBytes))
	}
}
