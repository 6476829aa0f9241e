package manifest

// This file is the read-only view: no lock, no write, only what is proven
// durable.

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// loadTries is how often Load reads when a Writer that is at work moves files away
// under it.
const loadTries = 5

// Load replays a manifest without changing anything, also while a Writer has it
// open. What the last chunk does not prove to be durable is left out: normally
// that is the last commit, if it is not a clean close. logID 0 accepts any log, fsys nil is the operating
// system. Recovery reports damage and a torn tail; nothing is cut.
func Load(fsys vfs.FS, dir string, logID uint64) (*State, *Recovery, error) {
	if fsys == nil {
		fsys = vfs.OS()
	}
	for try := 1; ; try++ {
		r := &replay{fsys: fsys, dir: dir, logID: logID, provenOnly: true}
		err := r.run()
		moved := errors.Is(err, fs.ErrNotExist) && len(r.listing.chunks)+len(r.listing.snapshots) > 0
		damaged := err == nil && (len(r.recovery.Damage) > 0 || r.endsSealed())
		if moved && try < loadTries || damaged && try == 1 {
			continue // what a Writer at work explains is gone when it is read again
		}
		if err != nil {
			return nil, nil, fmt.Errorf("load manifest %s: %w", dir, err)
		}
		r.recovery.Cut, r.recovery.SealedEnd, r.recovery.NextOrdinal = r.tornTail(), r.endsSealed(), r.nextOrdinal()
		return r.state.publish(), r.recovery, nil
	}
}

// endsSealed reports whether the last chunk was sealed and none follows.
func (r *replay) endsSealed() bool {
	return r.last != nil && r.last.headerErr == nil && r.last.header.Sealed()
}

// nextOrdinal follows the last record that verifies.
func (r *replay) nextOrdinal() uint64 {
	if r.last == nil {
		return r.state.nextOrdinal
	}
	return max(r.state.nextOrdinal, r.last.next)
}

// tornTail describes the torn tail that replay found; nil: none.
func (r *replay) tornTail() *Cut {
	s := r.last
	if s == nil || s.cutEnd == 0 {
		return nil
	}
	return &Cut{Chunk: s.index, Offset: int64(s.end), LengthBytes: int64(s.cutEnd - s.end), FirstOrdinal: s.next}
}
