package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/manifest"
)

// checkOwner compares the last claim in the bucket with the last that this root
// made: another one says that another root owns the log.
func (l *logChecker) checkOwner(highest uint64) error {
	if highest == 0 {
		return nil
	}
	var known claimFile
	path := filepath.Join(l.paths.dir, claimFileName)
	err := readJSON(l.fs, path, &known)
	switch {
	case errors.Is(err, ErrDamaged):
		l.damaged(Finding{Kind: FoundDamaged, Part: PartLog, Path: path, Reason: err.Error()})
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case known.FormatVersion > rootFormatVersion:
		return fmt.Errorf("%w: %s", ErrNewerFormat, path)
	}
	held, err := l.folder.Holder(l.ctx, highest)
	if err != nil {
		return l.loseFolder(err)
	}
	for _, own := range []madeClaim{known.Made, known.Intended} {
		if own.Epoch == highest && own.Token == held.Holder.Token {
			return nil
		}
	}
	cold := uint64(0)
	for entry := range l.state.Segments() {
		if entry.Resident.Has(manifest.TierCold) {
			cold = max(cold, entry.LastSeq)
		}
	}
	l.note(Finding{
		Kind: FoundUnknown, Part: PartBucket, Path: l.folder.Name() + "/" + bucket.EpochKey(highest),
		Reason: fmt.Sprintf("another root owns the log in the bucket: %v; the last claim of this root is epoch %d, and what it holds behind sequence %d is in no place but here: stop one of the two", held, known.Made.Epoch, cold),
	})
	return nil
}
