package engine

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// hotCheck is the check of one segment file.
type hotCheck struct {
	*segmentCheck
	name     segmentName
	path     string
	contents []byte
	header   segment.Header
	salted   bool // header has the salt: something in the file can be verified
	// headerLost says that the header is that of the manifest, as that of the file
	// does not verify.
	headerLost bool
	footer     *segment.Footer // nil if none verifies
	footerAt   int64
}

func (h *hotCheck) check() error {
	h.base = h.name.baseSeq
	if err := h.readFooter(); err != nil {
		return err
	}
	if err := h.readHeader(); err != nil {
		return err
	}
	switch sealed := h.seal(); {
	case !h.salted:
		h.lost("neither header, footer nor manifest has the salt of the segment: nothing in it can be verified")
	case sealed != nil:
		h.checkSealed(sealed)
	default:
		h.checkUnsealed()
	}
	return nil
}

// unreadable reports a file whose bytes cannot be had.
func (h *hotCheck) unreadable(err error) error {
	h.base = h.name.baseSeq
	h.lost(fmt.Sprintf("the file cannot be read: %v", err))
	return nil
}

// lost reports all of the segment.
func (h *hotCheck) lost(reason string) {
	last := h.log.lastBelow(h.id, h.base)
	switch {
	case h.entry != nil && h.entry.Sealed:
		last = h.entry.LastSeq
	case h.footer != nil:
		last = h.footer.LastSeq
	case h.log.baseBehind(h.id) == 0:
		last = max(last, h.base+segment.RoomLost(int64(len(h.contents)), recordedClose(h.log.state, h.id))-1)
	}
	h.last = max(last, h.base-1)
	h.proven = h.last
	h.broken(0, int64(len(h.contents)), h.base, h.last, reason)
}

// broken reports a range of the file.
func (h *hotCheck) broken(offset, length int64, first, last uint64, reason string) {
	h.add(manifest.TierHot, Finding{
		Kind: FoundDamaged, Path: h.path, Offset: offset, Bytes: length, FirstSeq: first, LastSeq: last, Reason: reason,
	})
}

func (h *hotCheck) disagrees(what []string, with string) {
	if len(what) > 0 {
		h.contradicts(manifest.TierHot, h.path, fmt.Sprintf("%s %s", strings.Join(what, ", "), with))
	}
}

// readHeader takes the header, or what the manifest or the footer has of it.
func (h *hotCheck) readHeader() error {
	header, err := segment.DecodeHeader(h.contents[:min(len(h.contents), segment.HeaderBytes)])
	if isNewer(err) {
		return fmt.Errorf("%w: %s: %w", ErrNewerFormat, h.path, err)
	}
	if err != nil {
		h.rebuildHeader(err)
	} else {
		h.takeHeader(header)
	}
	return nil
}

// takeHeader takes a header that verifies, and reports what it contradicts.
func (h *hotCheck) takeHeader(header segment.Header) {
	h.header, h.salted = header, true
	var differs []string
	differs = differing(differs, "log id", header.LogID, h.log.id)
	differs = differing(differs, "segment id", header.ID, h.name.id)
	differs = differing(differs, "base seq", header.BaseSeq, h.name.baseSeq)
	differs = differing(differs, "created", header.Created, h.name.created)
	h.disagrees(differs, "in the header, not as in name and log")
	if entry := h.entry; entry != nil && entry.Opened {
		differs = differing(nil, "epoch", header.Epoch, entry.Epoch)
		differs = differing(differs, "salt", header.Salt, entry.Salt)
		h.disagrees(differs, "in the header, not as the manifest recorded when the segment was opened")
	}
}

// rebuildHeader reports a header that does not verify, and takes what else knows
// it.
func (h *hotCheck) rebuildHeader(err error) {
	h.broken(0, segment.HeaderBytes, 0, 0, "the header does not verify: "+err.Error())
	switch {
	case h.entry != nil && h.entry.Opened:
		h.header, h.salted, h.headerLost = entryHeader(h.log.id, h.entry), true, true
	case h.footer != nil:
		h.header, h.salted = h.footer.Header(h.name.created), true
	}
}

func differing[T comparable](list []string, what string, found, want T) []string {
	if found != want {
		list = append(list, fmt.Sprintf("%s %v (expected %v)", what, found, want))
	}
	return list
}

// readFooter looks for the footer at the end of the file, else behind the
// records: the file may not have been cut to its length.
func (h *hotCheck) readFooter() error {
	end := int64(len(h.contents)) - segment.FooterBytes
	if end >= segment.HeaderBytes {
		footer, err := segment.DecodeFooter(h.contents[end:])
		if isNewer(err) {
			return fmt.Errorf("%w: %s: %w", ErrNewerFormat, h.path, err)
		}
		if err == nil && int64(footer.IndexOffset+footer.IndexBytes) == end {
			h.footer, h.footerAt = &footer, end
			return nil
		}
	}
	if footer, at, ok := segment.FindFooter(h.contents, h.log.id, h.id); ok && saltFits(&footer, h.contents, h.entry) {
		h.footer, h.footerAt = &footer, at
	}
	return nil
}

// isOwn reports whether the footer is that of the segment.
func (h *hotCheck) isOwn(footer *segment.Footer) bool {
	return footer.LogID == h.log.id && footer.ID == h.name.id && footer.BaseSeq == h.name.baseSeq
}

// seal is what is known of the sealed segment, nil if it is not sealed, and
// reports what does not fit.
func (h *hotCheck) seal() *segment.Footer {
	entry := h.entry
	recorded := entry != nil && entry.Sealed
	if h.footer != nil && !h.isOwn(h.footer) {
		h.contradicts(manifest.TierHot, h.path, fmt.Sprintf("the footer is that of segment %d of log %016x", h.footer.ID, h.footer.LogID))
		h.footer = nil
	}
	if h.footer == nil {
		if !recorded {
			return nil
		}
		size := int64(len(h.contents))
		h.broken(max(size-segment.FooterBytes, 0), min(size, segment.FooterBytes), 0, 0, "the footer does not verify")
		return entryFooter(h.log.id, entry)
	}
	if behind := int64(len(h.contents)) - h.footerAt - segment.FooterBytes; behind > 0 {
		if recorded {
			h.broken(h.footerAt+segment.FooterBytes, behind, 0, 0, "bytes stand behind the footer")
		} else {
			h.note(FoundPending, manifest.TierHot, h.path, "the file was not cut to its length when the segment was sealed")
		}
	}
	if recorded {
		h.disagrees(footerDiffers(h.footer, entry), "in the footer, not as the manifest recorded the seal")
		sealed := *h.footer
		sealed.SegmentCRC64, sealed.IndexOffset, sealed.LastSeq = entry.SegmentCRC64, entry.IndexOffset, entry.LastSeq
		return &sealed
	}
	return h.footer
}

// footerDiffers compares a footer with the SealSegment of the manifest.
func footerDiffers(f *segment.Footer, entry *manifest.Segment) (differs []string) {
	differs = differing(differs, "durable bytes", f.DurableBytes, entry.DurableBytes)
	differs = differing(differs, "segment CRC-64", f.SegmentCRC64, entry.SegmentCRC64)
	differs = differing(differs, "first seq", f.FirstSeq, entry.FirstSeq)
	differs = differing(differs, "last seq", f.LastSeq, entry.LastSeq)
	differs = differing(differs, "first timestamp", f.FirstTimestamp, entry.FirstNs)
	differs = differing(differs, "maximum timestamp", f.MaxTimestamp, entry.MaxNs)
	differs = differing(differs, "record count", f.Count, entry.RecordCount)
	differs = differing(differs, "last ext id", f.LastExtID, entry.LastExtID)
	differs = differing(differs, "index offset", f.IndexOffset, entry.IndexOffset)
	differs = differing(differs, "flush failure", f.Flags&segment.FooterFlushFailure != 0, entry.FlushFailure)
	if entry.Opened {
		differs = differing(differs, "salt", f.Salt, entry.Salt)
		differs = differing(differs, "base seq", f.BaseSeq, entry.BaseSeq)
	}
	return differs
}

// checkSealed verifies records and index of a sealed segment.
func (h *hotCheck) checkSealed(sealed *segment.Footer) {
	h.last, h.proven = sealed.LastSeq, sealed.LastSeq
	known := segment.Known{RecordsEnd: int64(sealed.IndexOffset), LastSeq: sealed.LastSeq, Complete: true}
	scan := segment.Scan(h.contents, h.header, known)
	records := h.contents[:min(int64(sealed.IndexOffset), int64(len(h.contents)))]
	intact := uint64(len(records)) == sealed.IndexOffset && segment.CRC64(records) == sealed.SegmentCRC64
	before := len(h.damage)
	for _, extent := range scan.Extents {
		if extent.Damaged {
			h.brokenExtent(extent, intact)
		}
	}
	clean := len(h.damage) == before
	if clean && !scan.Sealed {
		h.broken(int64(len(records)), 0, 0, 0, "no seal mark ends the records")
	}
	if !intact && len(h.damage) == before && h.headerVerifies() {
		h.broken(0, int64(len(records)), 0, 0, "the CRC-64 of header and records is not the one that was recorded")
	}
	h.countRecords(scan.Extents, int64(len(records)))
	h.checkIndex(sealed, scan, clean && intact)
}

func (h *hotCheck) headerVerifies() bool {
	_, err := segment.DecodeHeader(h.contents[:min(len(h.contents), segment.HeaderBytes)])
	return err == nil
}

// brokenExtent reports a range of records. What was there when the segment was
// sealed is the same in every copy.
func (h *hotCheck) brokenExtent(extent segment.Extent, sealedIn bool) {
	f := Finding{
		Kind: FoundDamaged, Path: h.path, Offset: extent.Offset, Bytes: extent.End - extent.Offset,
		FirstSeq: extent.FirstSeq, LastSeq: extent.LastSeq, Reason: "records do not verify",
	}
	if !f.costsRecords() {
		f.Reason = "a control record does not verify"
	}
	if sealedIn {
		f.Reason += ", and did not when the segment was sealed"
		if f.costsRecords() {
			f.Cost = CostLost
		}
	}
	h.add(manifest.TierHot, f)
}

// countRecords counts the records that verify below an offset.
func (h *hotCheck) countRecords(extents []segment.Extent, limit int64) {
	h.counted = true
	var record segment.Record
	for _, extent := range extents {
		if extent.Damaged {
			continue
		}
		for at := extent.Offset; at < min(extent.End, limit); {
			n, _ := segment.DecodeRecord(h.contents[at:extent.End], h.header.Salt, &record)
			if n == 0 || at+int64(n) > limit {
				break
			}
			at += int64(n)
			if record.Flags&segment.FlagControl == 0 {
				h.records++
				h.dataBytes += int64(len(record.Subject) + len(record.Headers) + len(record.Payload))
				h.proven = max(h.proven, record.Seq)
			}
		}
	}
}

// checkIndex verifies the index block, and, of a segment whose records are sound,
// that it and the footer say what the records give.
func (h *hotCheck) checkIndex(sealed *segment.Footer, scan segment.ScanResult, sound bool) {
	start, end := int64(sealed.IndexOffset), int64(len(h.contents))-segment.FooterBytes
	if h.footer != nil {
		end = h.footerAt
	}
	if start > end {
		h.broken(min(start, int64(len(h.contents))), 0, 0, 0, "the file ends before its index does")
		return
	}
	block := h.contents[start:end]
	if h.footer != nil {
		if _, err := h.footer.Index(block); err != nil {
			h.broken(start, end-start, 0, 0, "the index block does not verify: "+err.Error())
			return
		}
	}
	if !sound {
		return
	}
	want, sum := segment.BuildIndex(h.contents[:start], h.header, scan.Extents)
	if !bytes.Equal(block, want) {
		h.add(manifest.TierHot, Finding{
			Kind: FoundContradiction, Path: h.path, Offset: start, Bytes: end - start, Reason: "the index block is not that of the records",
		})
	}
	if f := h.footer; f != nil {
		got := segment.Summary{
			Count: f.Count, FirstSeq: f.FirstSeq, LastSeq: f.LastSeq, FirstTimestamp: f.FirstTimestamp,
			MaxTimestamp: f.MaxTimestamp, FirstExtID: f.FirstExtID, LastExtID: f.LastExtID,
		}
		if got != sum {
			h.contradicts(manifest.TierHot, h.path, fmt.Sprintf("the footer says %+v, the records give %+v", got, sum))
		}
	}
}
