package engine

import (
	"context"
	"errors"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file is how a reader checks records: several in one go.

// verified is a run of records that were checked in one go: entering the guard
// against faults once a record would cost as much as the check.
type verified struct {
	records [16]segment.Record
	ends    [16]int64 // the offset behind each
	newer   [16]bool  // it has flags that this version does not know
	next    int
	count   int
}

func (v *verified) empty() bool { return v.next == v.count }

func (v *verified) drop() { v.next, v.count = 0, 0 }

// verify checks the records at r.offset, as many as fit in a run. None are
// ready afterwards if the first one does not verify. It reports moved when the
// reader's place has to be looked at again instead.
func (r *Reader) verify(ctx context.Context) (moved bool, err error) {
	if r.object != nil {
		if moved, err := r.loadFrame(ctx); moved || err != nil {
			return true, err
		}
		return false, r.fill()
	}
	fault := r.fill()
	if r.ahead.count > 0 || fault == nil && !r.copied {
		return false, nil
	}
	// The map faulted, or what is asked for was written after the copy.
	if err := r.copyFile(); err != nil {
		return true, errors.Join(fault, err)
	}
	return false, r.fill()
}

func (r *Reader) fill() error {
	readable := r.bytes[:min(r.end-r.start, int64(len(r.bytes)))]
	return vfs.Guard(func() { r.ahead.fill(readable, r.start, r.offset, r.seg.header.Salt) })
}

// fill decodes records from an offset of the segment on; start is that of bytes.
func (v *verified) fill(bytes []byte, start, at int64, salt uint64) {
	v.drop()
	for v.count < len(v.records) && at-start < int64(len(bytes)) {
		n, err := segment.DecodeRecord(bytes[at-start:], salt, &v.records[v.count])
		if n == 0 {
			return
		}
		v.newer[v.count] = err != nil
		at += int64(n)
		v.ends[v.count] = at
		v.count++
	}
}
