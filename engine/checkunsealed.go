package engine

import (
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file judges segments that are not sealed: what is proved durable has to
// verify, what lies behind may be torn or be being written.

func (h *hotCheck) checkUnsealed() {
	known := recordedClose(h.log.state, h.id)
	known.HeaderLost = h.headerLost
	if base := h.log.baseBehind(h.id); base > 0 {
		known.LastSeq, known.Complete = base-1, true
	}
	scan := segment.Scan(h.contents, h.header, known)
	limit := max(scan.DurableEnd, known.CloseEnd())
	if known.Complete || scan.Short {
		limit = scan.RecordsEnd
	}
	h.last, h.proven = h.base-1, h.base-1
	for _, extent := range scan.Extents {
		switch {
		case !extent.Damaged:
			h.last = max(h.last, extent.LastSeq)
		case extent.Offset >= limit && !known.Complete && !scan.Short && !known.LostBehindHeader(extent):
			h.tornAt(extent.Offset, extent.End, "bytes that do not verify and that nothing proves durable")
		default:
			h.brokenExtent(extent, false)
			h.last, h.proven = max(h.last, extent.LastSeq), max(h.proven, extent.LastSeq)
		}
	}
	if scan.Cut != nil {
		h.tornAt(scan.Cut.Offset, scan.Cut.End, "bytes behind the last record that verifies")
	}
	h.checkLength(scan)
	h.checkCloseMark(known.CloseMark, scan)
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

// checkLength reports a file that is shorter than it was prepared, if no seal was
// about to make it so. What that costs is told with the records.
func (h *hotCheck) checkLength(scan segment.ScanResult) {
	size := int64(len(h.contents))
	if missing := int64(h.header.AllocatedBytes) - size; missing > 0 && !scan.Sealed {
		h.broken(size, missing, 0, 0, cutOffFile)
	}
}

// checkCloseMark reports a close mark that the manifest records and that is not
// there, if no damage that is reported explains it.
func (h *hotCheck) checkCloseMark(at int64, scan segment.ScanResult) {
	if at == 0 {
		return
	}
	for _, extent := range scan.Extents {
		if extent.Damaged && extent.Offset <= at && (at < extent.End || extent.End == scan.RecordsEnd) {
			return
		}
	}
	var mark segment.Record
	_, err := segment.DecodeRecord(h.contents[min(at, int64(len(h.contents))):], h.header.Salt, &mark)
	if kind, _ := mark.Control(); err != nil || kind != segment.CloseMark {
		h.broken(at, segment.MarkBytes, 0, 0, fmt.Sprintf("the manifest records a close mark at %d", at))
	}
}
