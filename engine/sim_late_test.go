package engine

import (
	"bytes"
	"context"
	"io"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// plantLate puts what an owner of an epoch that this log has overtaken would have put
// too late: another segment, under the key that the next upload of a segment uses.
func (h *history) plantLate(id uint64) {
	l := h.log
	claims, err := l.readClaims()
	entry := l.journal.state().Segment(id)
	if err != nil {
		return
	}
	epoch := min(claims.CheckedEpoch, entry.Epoch) // an owner appends with an epoch of its own
	if epoch < 2 || !entry.Resident.Has(manifest.TierHot) || h.model.isPut(id) {
		return
	}
	key := bucket.SegmentKey{ID: id, First: entry.FirstSeq, Last: entry.LastSeq, Generation: entry.NextGeneration}.String()
	if open := l.openIntent(id); open != nil {
		key = open.Key
	}
	object := h.anotherSegment(entry, epoch-1)
	if object == nil || h.model.late[key] {
		return
	}
	h.model.late[key] = true
	h.logf("  late object %s", key)
	if _, err := l.folder.Put(context.Background(), key, func(w io.Writer) error {
		_, err := w.Write(object)
		return err
	}); err == nil {
		h.hit("late object at a key")
	}
}

// anotherSegment is an object of a segment with the same sequences and other
// records, nil if the one that is here is damaged.
func (h *history) anotherSegment(entry *manifest.Segment, epoch uint64) []byte {
	contents, err := vfs.ReadFile(h.disk, h.log.paths.hotFile(entry), 1<<30)
	if err != nil || uint64(len(contents)) < entry.IndexOffset {
		return nil
	}
	header := entryHeader(h.log.id, entry)
	header.Salt, header.Epoch = header.Salt^0xbad, epoch
	image := make([]byte, segment.HeaderBytes, len(contents))
	header.Encode((*[segment.HeaderBytes]byte)(image))
	var rec segment.Record
	for at := segment.HeaderBytes; at < int(entry.IndexOffset); {
		n, _ := segment.DecodeRecord(contents[at:entry.IndexOffset], entry.Salt, &rec)
		if n == 0 {
			return nil
		}
		at += n
		if rec.Flags&segment.FlagControl == 0 && len(rec.Payload) > 0 {
			rec.Payload = bytes.Clone(rec.Payload)
			rec.Payload[0] ^= 1
		}
		image = segment.AppendRecord(image, header.Salt, &rec)
	}
	known := segment.Known{RecordsEnd: int64(len(image)), LastSeq: entry.LastSeq, Complete: true}
	index, _ := segment.BuildIndex(image, header, segment.Scan(image, header, known).Extents)
	footer := *entryFooter(h.log.id, entry)
	footer.Salt, footer.Epoch, footer.SegmentCRC64 = header.Salt, epoch, segment.CRC64(image)
	footer.IndexBytes, footer.IndexCRC64 = uint64(len(index)), segment.CRC64(index)
	var end [segment.FooterBytes]byte
	footer.Encode(&end)
	image = append(append(image, index...), end[:]...)
	var object bytes.Buffer
	want := tier.Identity{LogID: h.log.id, SegmentID: entry.ID, Salt: header.Salt}
	if _, err := tier.Compress(context.Background(), &object, bytes.NewReader(image), int64(len(image)), want, 0); err != nil {
		h.violate("compress another segment %d: %v", entry.ID, err)
		return nil
	}
	return object.Bytes()
}

// checkRanks compares what counts for who has only the bucket with what counts here.
func (m *simModel) checkRanks(l *Log) {
	objects, err := l.listObjects(context.Background())
	if err != nil {
		return // a fault that the history injects
	}
	for i := range objects {
		entry := l.journal.state().Segment(objects[i].ID)
		if entry != nil && entry.Resident.Has(manifest.TierCold) && objects[i].isOther(l.id, entry) {
			m.history.violate("the bucket alone has %s, the manifest another segment", objects[i].SegmentKey)
		}
	}
}
