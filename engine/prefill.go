package engine

import (
	"fmt"
	"sync"
)

// A sync into blocks that are reserved and were never written makes the file
// system note that they are written now: another transaction of its journal,
// together with whatever else the journal holds then. The maintainer takes that
// off the syncs that publishers wait for: it fills the next segment with zeros,
// piece by piece, while the present one is written. Where a sync carries much
// it does not pay, and the disk is left to the records. docs/adr/0002 has the
// figures.
const (
	fillPieceBytes = 1 << 20
	// fillSyncBytesMax is how many bytes a sync may carry on average for the
	// next segment to be filled.
	fillSyncBytesMax = 256 << 10
	// fillPace is how far the filling of the next segment is, in percent, when
	// the writing of the second half of the present one is at 100.
	fillPace = 125
	// fillShares is the whole of a successor.
	fillShares = 1024
)

var zeroPiece [fillPieceBytes]byte

// filling is how far the successor is to be filled.
type filling struct {
	// io serialises writing zeros with taking the file into use; it is held
	// over I/O for that.
	io sync.Mutex
	// share is how much of the successor is to be filled, in fillShares. It is
	// guarded by maintainer.mu.
	share int64
}

// pace asks for the successor to be filled as far as the second half of the
// segment that is written now, up to end, has got, if its syncs are small.
func (c *committer) pace(s *segmentFile, end int64) {
	if c.syncs == 0 || c.synced/c.syncs > fillSyncBytesMax {
		return
	}
	c.log.keeper.wantFilled((2*end - s.tail.capacity) * fillPace * fillShares / (s.tail.capacity * 100))
}

// wantFilled asks for so many shares of the successor to be filled.
func (k *maintainer) wantFilled(share int64) {
	k.mu.Lock()
	k.filling.share = min(share, fillShares)
	due := k.fillDueLocked()
	k.mu.Unlock()
	if due {
		k.poke()
	}
}

// fillDueLocked reports whether another piece is to be filled.
func (k *maintainer) fillDueLocked() bool {
	next := k.mu.successor
	return next != nil && !k.mu.stopped && next.filled < next.bytes/fillShares*k.filling.share
}

// fill fills one piece of the successor and reports whether it did. What cannot
// be filled for want of room stays reserved: that is only slower.
func (k *maintainer) fill() bool {
	k.filling.io.Lock()
	defer k.filling.io.Unlock()
	next := k.fillable()
	if next == nil {
		return false
	}
	piece := zeroPiece[:min(fillPieceBytes, next.bytes-next.filled)]
	_, err := next.file.WriteAt(piece, next.filled)
	if isNoSpace(err) {
		k.noteFilled(next, next.bytes)
		return true
	}
	if err == nil {
		err = next.file.SyncData()
	}
	if err != nil {
		k.log.poison(fmt.Errorf("fill successor: %w", err))
		return false
	}
	k.noteFilled(next, next.filled+int64(len(piece)))
	return true
}

func (k *maintainer) noteFilled(next *successor, offset int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next.filled = offset
}

func (k *maintainer) fillable() *successor {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.fillDueLocked() {
		return nil
	}
	return k.mu.successor
}
