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
		l.damaged(Finding{Kind: FoundDamaged, Part: PartLog, Path: path, Reason: err.Error() + "; " + claimFileRemedy})
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
	if held.Holder.Token == "" {
		return nil // checkClaims tells of it
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

// checkClaims reads claims: with Deep all of them, else the last, which says who
// owns the log. One that does not decode is still a claim.
func (l *logChecker) checkClaims(epochs *epochRange) error {
	for _, epoch := range epochs.claimed {
		if epoch < epochs.last && !l.opts.Deep {
			continue
		}
		held, err := l.folder.Holder(l.ctx, epoch)
		if err != nil {
			return l.loseFolder(err)
		}
		if held.Holder.Token == "" {
			l.damaged(Finding{
				Kind: FoundDamaged, Part: PartBucket, Path: l.folder.Name() + "/" + bucket.EpochKey(epoch),
				Reason: "the claim does not decode: it still counts, of an owner that nobody knows; " + claimRemedy(epoch == epochs.last),
			})
		}
	}
	return nil
}

// claimRemedy is what to do about a claim that does not decode.
func claimRemedy(last bool) string {
	if last {
		return "the log's uploads stop; write it anew, with the epoch and the token that " + claimFileName + " of its root has, or bring it back from a copy"
	}
	return "a later one counts, and nothing needs to be done"
}
