package fileblob_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/internal/fileblob"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func startWrite(ctx context.Context, t *testing.T, bucket *blob.Bucket, key string) *blob.Writer {
	t.Helper()
	w, err := bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true})
	check(t, err)
	_, err = w.Write([]byte("begun, "))
	check(t, err)
	return w
}

// treeBelow lists every file and directory.
func treeBelow(t *testing.T, dir string) []string {
	t.Helper()
	found := []string{}
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return found
}

func TestAWriteGivenUpLeavesNothing(t *testing.T) {
	fsys, dir := vfs.OS(), t.TempDir()
	bucket := open(t, fsys, dir, nil)
	ctx, cancel := context.WithCancel(context.Background())
	w := startWrite(ctx, t, bucket, "deep/below/a")
	cancel()
	if err := w.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	check(t, bucket.Close())
	if found := treeBelow(t, dir); !slices.Equal(found, []string{".tmp"}) {
		t.Errorf("left: %q", found)
	}
	checkNothingOpen(t, fsys)
}

func TestTemporaryFilesOfTheDeadAreRemovedThoseOfTheLivingStay(t *testing.T) {
	disk := vfs.NewMem(1)
	dead := open(t, disk, bucketDir, seeded(1))
	killed := startWrite(context.Background(), t, dead, "dead")
	disk.ProcessCrash()
	living := open(t, disk, bucketDir, seeded(2))
	w := startWrite(context.Background(), t, living, "living")
	other := open(t, disk, bucketDir, seeded(3))
	check(t, put(other, "other", "x", true))
	sessions, err := disk.ReadDir(bucketDir + "/.tmp")
	check(t, err)
	if len(sessions) != 2 {
		t.Errorf("there are %v, two owners live", sessions)
	}
	_, err = w.Write([]byte("ended"))
	check(t, err)
	check(t, w.Close())
	if content, err := get(other, "living"); err != nil || content != "begun, ended" {
		t.Errorf("got %q, %v", content, err)
	}
	check(t, living.Close())
	if killed.Close() == nil {
		t.Error("the write of a dead process was confirmed")
	}
	checkSwept(t, disk, other)
}

// A sweep that lists a lock before it gets into its session's directory, and takes
// it afterwards, makes a file of that name.
func TestALockThatGotItsPlaceDuringASweepIsNoDeadSession(t *testing.T) {
	living, dir := onDisk(t)
	w := startWrite(context.Background(), t, living, "living")
	sessions, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	check(t, err)
	path := filepath.Join(dir, ".tmp", sessions[0].Name()+".lock")
	check(t, os.WriteFile(path, nil, 0o644))
	other := open(t, vfs.OS(), dir, nil)
	check(t, put(other, "other", "x", true)) // sweeps
	check(t, other.Close())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock of nobody: %v", err)
	}
	check(t, w.Close())
}

func TestALostTemporaryFileCostsOneWrite(t *testing.T) {
	bucket, dir := onDisk(t)
	w := startWrite(context.Background(), t, bucket, "a")
	check(t, os.RemoveAll(filepath.Join(dir, ".tmp")))
	err := w.Close()
	if !errors.Is(err, fileblob.ErrVanished) || gcerrors.Code(err) == gcerrors.NotFound {
		t.Errorf("got %v", err)
	}
	check(t, put(bucket, "a", "again", true))
	if got := held(t, bucket, "a"); got != "again" {
		t.Errorf("holds %q", got)
	}
}

func TestAWriterOutlivesTheCloseOfItsBucket(t *testing.T) {
	fsys, dir := vfs.OS(), t.TempDir()
	bucket := open(t, fsys, dir, nil)
	w := startWrite(context.Background(), t, bucket, "a")
	check(t, bucket.Close())
	check(t, w.Close())
	if found := treeBelow(t, dir); !slices.Equal(found, []string{".tmp", "a"}) {
		t.Errorf("left: %q", found)
	}
	checkNothingOpen(t, fsys)
}

func TestABucketOpenForReadingChangesNothing(t *testing.T) {
	disk := vfs.NewMem(1)
	bucket := open(t, disk, bucketDir, seeded(1))
	check(t, put(bucket, "log/a", "x", true))
	check(t, bucket.Close())
	traced := vfs.NewTraced(disk, bucketDir)
	reading, err := fileblob.Open(traced, bucketDir, fileblob.Options{ReadOnly: true})
	check(t, err)
	ctx := context.Background()
	if got := list(t, reading); !slices.Equal(got, []string{"log/a"}) || held(t, reading, "log/a") != "x" {
		t.Errorf("listed %q", got)
	}
	_, err = reading.Attributes(ctx, "log/a")
	check(t, err)
	for what, err := range map[string]error{
		"put": put(reading, "b", "x", true), "delete": reading.Delete(ctx, "log/a"), "copy": reading.Copy(ctx, "b", "log/a", nil),
	} {
		if !errors.Is(err, fileblob.ErrReadOnly) || gcerrors.Code(err) != gcerrors.PermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	check(t, reading.Close())
	if lines := traced.Lines(); len(lines) != 0 {
		t.Errorf("it did %q", lines)
	}
	if _, err := fileblob.Open(disk, "/disk/none", fileblob.Options{ReadOnly: true}); err == nil {
		t.Error("a missing directory was opened for reading")
	}
}

func TestETagChangesWithEachWrite(t *testing.T) {
	bucket, _ := onDisk(t)
	seen := map[string]bool{}
	for range 20 {
		check(t, put(bucket, "a", "same size", false))
		found, err := bucket.Attributes(context.Background(), "a")
		check(t, err)
		if len(seen) > 0 && seen[found.ETag] {
			t.Errorf("ETag %s came back", found.ETag)
		}
		seen = map[string]bool{found.ETag: true}
	}
}

func TestAttributesOfAnotherObjectAreNotShown(t *testing.T) {
	bucket, dir := onDisk(t)
	check(t, put(bucket, "log/a", "x", true))
	found, err := bucket.Attributes(context.Background(), "log/a")
	check(t, err)
	if found.Metadata["epoch"] != "1" || found.ContentType != "text/plain" {
		t.Errorf("got %+v", found)
	}
	// Written behind the bucket's back, as by a restore of a backup.
	check(t, os.WriteFile(filepath.Join(dir, "log+", "a"), []byte("other"), 0o600))
	found, err = bucket.Attributes(context.Background(), "log/a")
	check(t, err)
	if len(found.Metadata) != 0 || found.ContentType != "application/octet-stream" || found.Size != 5 {
		t.Errorf("got %+v", found)
	}
}
