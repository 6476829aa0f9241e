package segment

import "math"

// subjectCollector takes what an indexWalk meets.
type subjectCollector interface {
	// beginFrame is called before the first record of each frame.
	beginFrame()
	// add takes one data record.
	add(subject []byte, seq uint64)
}

// indexWalk goes over the records of extents and cuts them into frames.
type indexWalk struct {
	b       []byte
	h       Header
	extents []Extent
	frames  []Frame
	next    uint64 // sequence of the next data record
	maximum int64  // timestamp so far
}

func (w *indexWalk) walk(c subjectCollector) Summary {
	w.next, w.maximum = w.h.BaseSeq, math.MinInt64
	sum := Summary{FirstSeq: w.h.BaseSeq, LastSeq: w.h.BaseSeq - 1}
	for i := range w.extents {
		extent := &w.extents[i]
		if extent.Damaged {
			w.damage(extent, c)
		} else {
			w.run(extent, &sum, c)
		}
	}
	sum.LastSeq = w.next - 1
	return sum
}

// run goes over a run of records that are expected to verify.
func (w *indexWalk) run(extent *Extent, sum *Summary, c subjectCollector) {
	end := min(extent.End, int64(len(w.b)))
	var damage *scanner
	var r Record
	for offset := extent.Offset; offset < end; {
		n, err := DecodeRecord(w.b[offset:end], w.h.Salt, &r)
		if n == 0 && err != nil {
			if damage == nil {
				damage = newScanner(w.b, w.h, Known{RecordsEnd: end, LastSeq: extent.LastSeq, Complete: true})
			}
			damaged := damage.damageAt(int(offset), w.next)
			w.damage(&damaged, c)
			offset = max(damaged.End, offset+8)
			continue
		}
		w.frameAt(offset, c)
		offset += int64(n)
		if r.Flags&FlagControl == 0 {
			w.record(&r, sum)
			c.add(r.Subject, r.Seq)
		}
	}
}

func (w *indexWalk) record(r *Record, sum *Summary) {
	if sum.Count == 0 {
		sum.FirstTimestamp, sum.MaxTimestamp = r.Timestamp, r.Timestamp
	}
	sum.Count++
	sum.MaxTimestamp = max(sum.MaxTimestamp, r.Timestamp)
	if r.ExtID != 0 {
		if sum.FirstExtID == 0 {
			sum.FirstExtID = r.ExtID
		}
		sum.LastExtID = r.ExtID
	}
	w.maximum = max(w.maximum, r.Timestamp)
	w.next = r.Seq + 1
}

// damage marks the frame that holds a damaged range. A range of no bytes
// belongs to the frame before it.
func (w *indexWalk) damage(extent *Extent, c subjectCollector) {
	if len(w.frames) == 0 || extent.End > extent.Offset {
		w.frameAt(extent.Offset, c)
	}
	w.frames[len(w.frames)-1].Damaged = true
	w.next = max(w.next, extent.LastSeq+1)
}

// frameAt begins a frame if one is due at offset.
func (w *indexWalk) frameAt(offset int64, c subjectCollector) {
	if n := len(w.frames); n > 0 && offset < w.frames[n-1].Offset+FrameBytes {
		return
	}
	c.beginFrame()
	w.frames = append(w.frames, Frame{FirstSeq: w.next, MaxTimestamp: w.maximum, Offset: offset})
}
