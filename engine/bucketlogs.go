package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

// This file is about how logs are named of which there is nothing but a bucket.
// Several may have one name: each root that was begun anew has put its log into a
// folder of its own.

// bucketFolders lists the folders of logs, by name.
func bucketFolders(ctx context.Context, from *bucket.Bucket) (folders []string, err error) {
	for folder, err := range from.Logs(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list logs: %w", err)
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

// bucketLogNames are the names by which the logs of folders are opened: that of
// the log, or that of the folder where several logs have one name.
func bucketLogNames(folders []string) []string {
	count := make(map[string]int)
	names := make([]string, len(folders))
	for i, folder := range folders {
		names[i], _, _ = bucket.ParseFolder(folder)
		count[names[i]]++
	}
	for i, folder := range folders {
		if count[names[i]] > 1 {
			names[i] = folder
		}
	}
	return names
}

// isFolderName reports whether a log is named by its folder in a bucket.
func isFolderName(name string) bool {
	_, _, ok := bucket.ParseFolder(name)
	return ok
}

// bucketIdentity finds the log's folder and reads what was stored of it there.
func (e *Engine) bucketIdentity(ctx context.Context, name string) (identity logFile, err error) {
	folders, err := bucketFolders(ctx, e.bucket)
	if err != nil {
		return identity, err
	}
	var found []string
	for _, folder := range folders {
		if log, _, _ := bucket.ParseFolder(folder); log == name || folder == name {
			found = append(found, folder)
		}
	}
	switch len(found) {
	case 0:
		return identity, fmt.Errorf("%w: no log of this name in %s", ErrNotFound, e.dir)
	case 1:
		return e.readBucketIdentity(ctx, found[0])
	}
	for i, folder := range found {
		found[i] += e.describeFolder(ctx, folder)
	}
	return identity, fmt.Errorf("%w: %d logs of this name are in %s; name the one that is meant: %s",
		ErrInvalidOptions, len(found), e.dir, strings.Join(found, ", "))
}

// describeFolder is what may tell a user which of several logs is the one: when it
// was created and which sequences it has.
func (e *Engine) describeFolder(ctx context.Context, folder string) string {
	identity, err := e.readBucketIdentity(ctx, folder)
	if err != nil {
		return fmt.Sprintf(" (%v)", err)
	}
	created := ""
	if identity.CreatedNS > 0 {
		created = "created " + time.Unix(0, identity.CreatedNS).UTC().Format(time.RFC3339) + ", "
	}
	first, last, err := e.sequencesIn(ctx, folder)
	switch {
	case err != nil:
		return fmt.Sprintf(" (%s%v)", created, err)
	case last < first:
		return fmt.Sprintf(" (%sno records)", created)
	}
	return fmt.Sprintf(" (%ssequences %d to %d)", created, first, last)
}

// sequencesIn is what the keys of a folder say.
func (e *Engine) sequencesIn(ctx context.Context, folder string) (first, last uint64, err error) {
	opened, err := e.bucket.Log(folder)
	if err != nil {
		return 0, 0, err
	}
	first = 1
	for listed, err := range opened.List(ctx, bucket.SegmentsPrefix) {
		if err != nil {
			return 0, 0, fmt.Errorf("list objects: %w", err)
		}
		key, ok := bucket.ParseSegmentKey(listed.Key)
		if !ok {
			continue
		}
		if last == 0 || key.First < first {
			first = key.First
		}
		last = max(last, key.Last)
	}
	return first, last, nil
}
