package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"syscall"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

// This file keeps a root from taking another place for its bucket: a mount point
// on which nothing is mounted looks like a bucket that is new.

// errOtherBucket says that the bucket has not what this root put there. It may be
// back the next moment, so it is an outage.
var errOtherBucket = errors.New("engine: this is not the bucket that the root used, or it was emptied")

// checkOwnBucket makes sure that the last claim that this root made in the bucket
// of this URL is there. Claims are never deleted.
func (l *Log) checkOwnBucket(ctx context.Context, known claimFile) error {
	if !l.engine.claimedHere(known) {
		return nil
	}
	return l.engine.checkClaim(ctx, l.folder, known, l.claimPath())
}

// checkClaim makes sure that a claim that this root made is in a log's folder; path
// is where the root remembers it.
func (e *Engine) checkClaim(ctx context.Context, folder *bucket.Folder, known claimFile, path string) error {
	_, err := folder.Holder(ctx, known.Made.Epoch)
	if !errors.Is(err, bucket.ErrMissing) {
		return err
	}
	e.lookAgainForBucket()
	return fmt.Errorf("%w: %s has no claim of epoch %d in %s, which this root made; nothing is uploaded or dropped because of it;"+
		" mount or bring back what was there, and it goes on by itself;"+
		" if that is gone for good, stop, remove %s and start again: the log begins anew in this bucket, with what is on the local disk",
		errOtherBucket, e.bucket, known.Made.Epoch, folder.Name(), path)
}

// checkAnyClaim does so for one log that has claimed its epoch here, whichever it is:
// a request tells one bucket from another.
func (e *Engine) checkAnyClaim(ctx context.Context) error {
	name, known, _, err := e.anyClaim()
	if err != nil || name == "" {
		return err // claims that cannot be read stop the uploads of their own log
	}
	folder := e.folderOf(name)
	if folder == nil {
		return nil // whoever opens the log says what is wrong with it
	}
	return e.checkClaim(ctx, folder, known, filepath.Join(newLogLayout(e.dir, name).dir, claimFileName))
}

// folderOf is the folder of a log that is not opened yet, nil if its identity does
// not say which.
func (e *Engine) folderOf(name string) *bucket.Folder {
	var identity logFile
	if readJSON(e.opts.FS, newLogLayout(e.dir, name).logFile(), &identity) != nil {
		return nil
	}
	folder, err := e.bucket.Log(identity.bucketFolder())
	if err != nil {
		return nil
	}
	return folder
}

// anyClaim returns the name and the claims of a log that has claimed its epoch in
// the bucket of this URL, "" if none is known to have, and what keeps other claims
// from being read: one of them may be of this bucket.
func (e *Engine) anyClaim() (name string, known claimFile, unread, err error) {
	logs, err := e.opts.FS.ReadDir(filepath.Join(e.dir, logsDirName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", claimFile{}, nil, nil
	}
	for _, entry := range logs {
		known, readErr := readClaims(e.opts.FS, filepath.Join(e.dir, logsDirName, entry.Name(), claimFileName))
		if readErr == nil && e.claimedHere(known) {
			return entry.Name(), known, nil, nil
		}
		if !errors.Is(readErr, syscall.ENOTDIR) { // of a stray file
			unread = errors.Join(unread, readErr)
		}
	}
	return "", claimFile{}, unread, err
}

// claimedHere reports whether a claim was made in the bucket of this URL. An older
// version did not note where.
func (e *Engine) claimedHere(known claimFile) bool {
	return known.Made.Epoch > 0 && (known.Made.Bucket == "" || known.Made.Bucket == e.bucketURL())
}

// bucketURL is the URL of the bucket, without secrets.
func (e *Engine) bucketURL() string {
	at, err := url.Parse(e.opts.Bucket)
	if err != nil {
		return "" // it is refused when it is opened
	}
	return at.Redacted()
}

// lookAgainForBucket lets the bucket be what is found at its URL the next time,
// unless a log has claimed its epoch where it is now.
func (e *Engine) lookAgainForBucket() {
	for _, log := range e.openLogs() {
		if log.claiming.epoch.Load() > 0 {
			return
		}
	}
	e.bucket.LookAgain()
}

// usedBucket reports whether the root was used with the bucket of this URL: then
// the bucket is there, or away, and is not made. What cannot be read may say so.
func (e *Engine) usedBucket() (bool, error) {
	root, err := readRoot(e.opts.FS, e.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || root.Bucket == e.bucketURL() {
		return err == nil, err
	}
	name, _, unread, err := e.anyClaim()
	if unread != nil {
		e.opts.Logger.Warn("bucket_claims_unreadable", "group", "aof2.tier2", "bucket", e.bucketURL(), "error", unread)
	}
	return name != "" || unread != nil, err
}
