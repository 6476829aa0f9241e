package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file is the claims of a log's owner in the bucket. Epochs alone do not
// tell a root from a copy of it: each of them counts on from where it was
// copied. So an owner remembers its last claim in the root, and stops if the
// bucket has a later one that it did not make.

const claimFileName = "claim.json"

// claimFile is what a root knows of its claims: the last one that the bucket
// confirmed, one that may have been made, and the last after which the bucket was
// found to hold nothing that this root has not.
type claimFile struct {
	FormatVersion int       `json:"format_version"`
	Made          madeClaim `json:"made"`
	Intended      madeClaim `json:"intended"`
	CheckedEpoch  uint64    `json:"checked_epoch"`
	// Place is where the root was then. One that is opened elsewhere was moved,
	// restored or copied: see takeover.go.
	Place string `json:"place,omitempty"`
	// BucketGoesOn says that the bucket was found to go on behind this root.
	BucketGoesOn bool `json:"bucket_goes_on,omitempty"`
}

// madeClaim is an epoch, 0 for none, the token that it was claimed with, and the
// URL of the bucket in which it was, empty if an older version did.
type madeClaim struct {
	Epoch  uint64 `json:"epoch"`
	Token  string `json:"token"`
	Bucket string `json:"bucket,omitempty"`
}

func (l *Log) claimPath() string { return filepath.Join(l.paths.dir, claimFileName) }

func (l *Log) readClaims() (claimFile, error) { return readClaims(l.engine.opts.FS, l.claimPath()) }

// readClaims reads a claim.json. Without one nothing was claimed.
func readClaims(fsys vfs.FS, path string) (known claimFile, err error) {
	err = readJSON(fsys, path, &known)
	if errors.Is(err, fs.ErrNotExist) {
		return claimFile{}, nil
	}
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w; %s", err, claimFileRemedy)
	}
	if err == nil && known.FormatVersion > rootFormatVersion {
		err = fmt.Errorf("%w: %s", ErrNewerFormat, path)
	}
	return known, err
}

// claimFileRemedy is what to do about a claim.json that is damaged: without it the
// root cannot show that the last claim in the bucket is its own.
const claimFileRemedy = "put it back from a copy, or write it anew with the epoch and the token of the last of the log's claims in the bucket"

func (l *Log) writeClaims(known claimFile) error {
	known.FormatVersion = rootFormatVersion
	return writeJSON(l.engine.opts.FS, l.claimPath(), known)
}

// ownerNameBytesMax keeps a claim short, whatever the root is called.
const ownerNameBytesMax = 512

// place is where the root is: what tells it from a copy of it.
func (e *Engine) place() string {
	if e.opts.Owner != "" {
		return e.opts.Owner
	}
	return e.dir
}

// ownerName tells this root from a copy of it, which has the same node id.
func (e *Engine) ownerName() string {
	return fmt.Sprintf("%.*s (node %s)", ownerNameBytesMax, e.place(), e.root.NodeID)
}

// claimUpTo claims an epoch and those below it that owners took who never put
// anything: claims have no gap, so that a stale owner finds the one after its
// own. The last claim before must be this root's.
func (l *Log) claimUpTo(ctx context.Context, epoch uint64) error {
	known, err := l.readClaims()
	if err != nil {
		return err
	}
	highest, err := l.folder.HighestEpoch(ctx)
	if err != nil {
		return err
	}
	if highest < known.Made.Epoch {
		if err := l.checkOwnBucket(ctx, known); err != nil {
			return err
		}
	}
	if known, err = l.checkOwnClaim(ctx, known, highest); err != nil {
		return err
	}
	first := epoch
	l.claiming.overtook = highest > 0
	if highest > 0 {
		first = min(highest+1, epoch)
		// Before the claim too, which would fence the root that has more.
		if err := l.lookForOthers(ctx, known); err != nil {
			return err
		}
	}
	owner := bucket.Owner{Name: l.engine.ownerName(), Token: l.engine.token}
	for next := first; next <= epoch; next++ {
		known.Intended = madeClaim{Epoch: next, Token: owner.Token, Bucket: l.engine.bucketURL()}
		if err := l.writeClaims(known); err != nil {
			return err
		}
		if err := l.folder.Claim(ctx, next, owner); err != nil {
			return err
		}
		known.Made = known.Intended
	}
	if highest > 0 {
		if err := l.lookForOthers(ctx, known); err != nil {
			return err
		}
	}
	known.Intended, known.CheckedEpoch = madeClaim{}, epoch
	known.Place, known.BucketGoesOn = l.engine.place(), false
	if err := l.writeClaims(known); err != nil {
		return err
	}
	return l.folder.Superseded(ctx, epoch)
}

// lookForOthers looks for what others have put, and remembers that the bucket goes
// on behind this root: the next open takes that over.
func (l *Log) lookForOthers(ctx context.Context, known claimFile) error {
	err := l.checkDivergence(ctx, known.CheckedEpoch)
	if errors.Is(err, errRecordsBehind) {
		known.BucketGoesOn = true
		return errors.Join(err, l.writeClaims(known))
	}
	return err
}

// checkOwnClaim makes sure that the highest claim in the bucket is the last one
// that this root made, or meant to make, and returns what is known then.
func (l *Log) checkOwnClaim(ctx context.Context, known claimFile, highest uint64) (claimFile, error) {
	if highest == 0 || highest == known.Made.Epoch && known.Made.Token == l.engine.token {
		return known, nil
	}
	for _, own := range []madeClaim{known.Intended, known.Made} {
		if own.Epoch != highest {
			continue
		}
		// A claim of the same token is found again; one of another is fenced.
		owner := bucket.Owner{Name: l.engine.ownerName(), Token: own.Token}
		if err := l.folder.Claim(ctx, highest, owner); err != nil {
			return known, err
		}
		own.Bucket = l.engine.bucketURL()
		known.Made, known.Intended = own, madeClaim{}
		return known, nil
	}
	err := l.folder.Superseded(ctx, highest-1) // names the holder
	if err == nil {
		err = fmt.Errorf("%w: epoch %d was claimed and is not any more", bucket.ErrFenced, highest)
	}
	return known, err
}
