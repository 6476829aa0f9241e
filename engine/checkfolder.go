package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/internal/exactjson"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file looks at what is in a log's folder of the bucket, beside the objects
// that the manifest counts on.

// checkFolder lists the folder.
func (l *logChecker) checkFolder() error {
	if l.folder == nil || l.bucketGone {
		return nil
	}
	l.opts.OnProgress(l.name, l.folder.Name())
	known := l.knownKeys()
	epochs := epochRange{}
	identity := false
	for object, err := range l.folder.List(l.ctx, "") {
		if err != nil {
			return l.loseFolder(err)
		}
		epoch, isEpoch := bucket.ParseEpochKey(object.Key)
		switch {
		case isEpoch:
			epochs.add(epoch)
		case object.Key == bucket.LogKey:
			identity = true
		case !known[object.Key]:
			l.note(Finding{
				Kind: FoundUnknown, Part: PartBucket, Path: l.folder.Name() + "/" + object.Key, Bytes: object.Bytes,
				Reason: "the manifest does not know this object",
			})
		}
	}
	l.checkEpochs(&epochs)
	if err := l.checkClaims(&epochs); err != nil || l.bucketGone {
		return err
	}
	if err := l.checkOwner(epochs.last); err != nil {
		return err
	}
	if !identity {
		if l.found.Copies[manifest.TierCold] > 0 {
			l.damaged(Finding{
				Kind: FoundMissing, Part: PartBucket, Path: l.folder.Name() + "/" + bucket.LogKey,
				Reason: "the folder does not say which log it is of; its name does",
			})
		}
		return nil
	}
	return l.checkStoredIdentity()
}

// knownKeys are the keys that the manifest names.
func (l *logChecker) knownKeys() map[string]bool {
	known := make(map[string]bool)
	for entry := range l.state.Segments() {
		if entry.Cold.Key != "" {
			known[entry.Cold.Key] = true
		}
	}
	for upload := range l.state.Uploads() {
		known[upload.Key] = true
	}
	for queued := range l.state.Deletes() {
		known[queued.Key] = true
	}
	for dictionary := range l.state.Dictionaries() {
		known[dictionary.Key] = true
	}
	return known
}

// loseFolder notes that the bucket does not answer any more.
func (l *logChecker) loseFolder(err error) error {
	if ctxErr := l.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	l.loseBucket(err)
	return nil
}

// checkStoredIdentity verifies log.json in the folder.
func (l *logChecker) checkStoredIdentity() error {
	path := l.folder.Name() + "/" + bucket.LogKey
	body, err := l.folder.ReadAll(l.ctx, bucket.LogKey, jsonBytesMax)
	if err != nil && !errors.Is(err, bucket.ErrTooLarge) {
		return l.loseFolder(err)
	}
	var stored logFile
	if err == nil {
		err = exactjson.Unmarshal(body, &stored)
	}
	switch {
	case err != nil:
		l.damaged(Finding{Kind: FoundDamaged, Part: PartBucket, Path: path, Reason: fmt.Sprintf("it does not decode: %v", err)})
	case stored.FormatVersion > rootFormatVersion:
		return fmt.Errorf("%w: %s", ErrNewerFormat, path)
	case stored.LogID != fmt.Sprintf("%016x", l.id):
		l.damaged(Finding{Kind: FoundContradiction, Part: PartBucket, Path: path, Reason: fmt.Sprintf("it is of log %.40s, the folder of %016x", stored.LogID, l.id)})
	case stored.BucketFolder != "" && stored.BucketFolder != l.folder.Name():
		l.damaged(Finding{Kind: FoundContradiction, Part: PartBucket, Path: path, Reason: fmt.Sprintf("it names the folder %.200q", stored.BucketFolder)})
	}
	return nil
}

// epochRange is the epochs that are claimed: a listing gives them in order.
type epochRange struct {
	first, last uint64
	claimed     []uint64
	gaps        []string
}

func (e *epochRange) add(epoch uint64) {
	if e.last > 0 && epoch > e.last+1 {
		e.gaps = append(e.gaps, fmt.Sprintf("%d to %d", e.last+1, epoch-1))
	}
	if e.first == 0 {
		e.first = epoch
	}
	e.last, e.claimed = epoch, append(e.claimed, epoch)
}

// checkEpochs verifies that claims have no gap: that is what tells a stale owner
// that there is another.
func (l *logChecker) checkEpochs(epochs *epochRange) {
	l.found.EpochFirst, l.found.EpochLast = epochs.first, epochs.last
	path := l.folder.Name() + "/" + bucket.EpochsPrefix
	if len(epochs.gaps) > 0 {
		l.damaged(Finding{
			Kind: FoundMissing, Part: PartBucket, Path: path,
			Reason: "no owner claims the epochs " + strings.Join(epochs.gaps, ", ") + " although later ones are claimed: a stale owner of the one before is not kept out",
		})
	}
}
