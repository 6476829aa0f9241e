package manifest

// This file is the clean close: the pair of LogClosed records that allows the
// next open to go on in the same chunk.

import (
	"bytes"
	"fmt"
)

// closePairBytesMax bounds what a pair takes: fill to the end of a sector, a
// record in it and one behind it.
const closePairBytesMax = sectorBytes + 2*(recordHeaderBytes+16)

// CloseLog commits what was appended, records that the log is closed cleanly, and
// closes the Writer. segmentID and closeMarkOffset are where the log's own close
// mark is; 0 and 0 if no segment is open. If nothing happened since the last
// clean close, nothing is written. After an error the Writer is closed all the
// same, and the next open recovers as after a crash.
func (w *Writer) CloseLog(segmentID, closeMarkOffset uint64) error {
	if err := w.usable(); err != nil {
		return firstError(err, w.Close())
	}
	err := w.Commit()
	if err == nil && !w.isClosedAt(segmentID, closeMarkOffset) {
		if err = w.writeClosePair(segmentID, closeMarkOffset); err != nil {
			err = fmt.Errorf("close manifest: %w", err)
		}
	}
	return firstError(err, w.release())
}

// isClosedAt reports whether the chunk ends with this very close, or whether
// there is nothing to close.
func (w *Writer) isClosedAt(segmentID, closeMarkOffset uint64) bool {
	if w.edit.nextOrdinal == 1 {
		return true
	}
	log := &w.edit.log
	return w.current != nil && log.Closed && log.ClosedSegmentID == segmentID && log.ClosedMarkOffset == closeMarkOffset
}

// writeClosePair writes the two records. Everything before them is durable. The
// first fills its sector and the second begins the next: whatever the loss of one
// sector takes, one of them proves the records before.
func (w *Writer) writeClosePair(segmentID, closeMarkOffset uint64) error {
	if err := w.makeRoom(closePairBytesMax); err != nil {
		return err
	}
	c := w.current
	bare := int64(recordHeaderBytes + 16)
	sectorEnd := (c.written + bare + sectorBytes - 1) / sectorBytes * sectorBytes
	fill := bytes.Repeat([]byte{0xff}, int(sectorEnd-c.written-bare))
	for _, extra := range [][]byte{fill, nil} {
		closing := Record{Payload: &LogClosed{SegmentID: segmentID, CloseMarkOffset: closeMarkOffset, Extra: extra}}
		if err := w.appendOne(&closing); err != nil {
			return err
		}
	}
	finishRecord(w.buffer[:w.lengths[0]], 0)
	finishRecord(w.buffer[w.lengths[0]:], uint32(w.lengths[0]))
	if err := w.writeRecords(w.buffer, 2); err != nil {
		return err
	}
	w.buffer, w.lengths = w.buffer[:0], w.lengths[:0]
	w.published.Store(w.edit.publish())
	return nil
}
