package engine

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
)

// This file compares records with those of an object, where the checksum of the
// whole segment says too much: marks differ between a root and a copy of it that
// have the same records.

// compareRecords reports whether an object begins with all the records that next
// gives, until io.EOF. Nothing but an error of next or of the bucket is an error.
func compareRecords(ctx context.Context, object *tier.Object, next func() (*segment.Record, error)) (same bool, err error) {
	want, err := next()
	footer := object.Footer()
	for frame := 0; err == nil && frame < object.Frames(); frame++ {
		read, readErr := object.ReadFrame(ctx, frame)
		if errors.Is(readErr, tier.ErrCorrupt) {
			return false, nil
		}
		if readErr != nil {
			return false, readErr
		}
		records := recordWalk{image: read.Bytes, salt: footer.Salt}
		if frame == 0 {
			records.at = min(segment.HeaderBytes, len(read.Bytes))
		}
		for err == nil {
			got, gotErr := records.next()
			if errors.Is(gotErr, io.EOF) {
				break
			}
			if errors.Is(gotErr, ErrDamaged) || !sameRecord(want, got) {
				return false, nil
			}
			want, err = next()
		}
	}
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// sameRecord compares what a record says, and not how it was written.
func sameRecord(a, b *segment.Record) bool {
	return a.Seq == b.Seq && (a.Flags^b.Flags)&segment.FlagSnapshotBoundary == 0 && a.Timestamp == b.Timestamp && a.ExtID == b.ExtID &&
		bytes.Equal(a.Subject, b.Subject) && bytes.Equal(a.Headers, b.Headers) && bytes.Equal(a.Payload, b.Payload)
}

// recordWalk goes through the data records of bytes that hold whole records.
type recordWalk struct {
	image  []byte
	at     int
	salt   uint64
	record segment.Record
}

// next returns the next data record, io.EOF behind the last one, and ErrDamaged
// where one does not verify. The record is valid until the next call.
func (w *recordWalk) next() (*segment.Record, error) {
	for w.at < len(w.image) {
		n, _ := segment.DecodeRecord(w.image[w.at:], w.salt, &w.record)
		if n == 0 {
			return nil, ErrDamaged
		}
		w.at += n
		if w.record.Flags&segment.FlagControl == 0 {
			return &w.record, nil
		}
	}
	return nil, io.EOF
}
