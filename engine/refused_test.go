package engine

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// wantUntouched runs open, which must fail with an error that matches target, and
// checks that it has made and changed nothing below dir.
func wantUntouched(t *testing.T, dir string, target error, open func() (*Engine, error)) {
	t.Helper()
	before := hashTree(t, dir)
	e, err := open()
	if !errors.Is(err, target) {
		t.Errorf("got %v, want %v", err, target)
	}
	if e != nil {
		t.Error("an engine that is to be refused was opened")
		_ = e.Close()
	}
	if after := hashTree(t, dir); after != before {
		t.Errorf("something below %s was made or changed", dir)
	}
}

func TestARefusedOpenLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	used, newer := filepath.Join(dir, "used"), filepath.Join(dir, "newer")
	openTest(t, used)
	if err := os.Mkdir(newer, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(newer, engineFileName), []byte(`{"format_version": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	bucketURL := "file://" + filepath.Join(dir, "bucket")
	for name, c := range map[string]struct {
		root, bucket string
		target       error
	}{
		"the root is in use":                    {used, bucketURL, ErrRootInUse},
		"the root is newer":                     {newer, bucketURL, ErrNewerFormat},
		"the root is a file":                    {file, bucketURL, syscall.ENOTDIR},
		"the root is below a file":              {filepath.Join(file, "a", "root"), bucketURL, syscall.ENOTDIR},
		"the bucket is a file":                  {filepath.Join(dir, "new", "root"), "file://" + file, os.ErrExist},
		"the bucket is below a file":            {filepath.Join(dir, "new", "root"), "file://" + filepath.Join(file, "bucket"), syscall.ENOTDIR},
		"the bucket is of a kind nobody knows":  {filepath.Join(dir, "new", "root"), "ftp://x", ErrInvalidOptions},
		"an existing root with a bad bucket":    {usedRoot(t, dir), "file://" + file, os.ErrExist},
		"an existing root with no right bucket": {usedRoot(t, dir), "file:///", ErrInvalidOptions},
	} {
		t.Run(name, func(t *testing.T) {
			wantUntouched(t, dir, c.target, func() (*Engine, error) { return Open(c.root, Options{Bucket: c.bucket}) })
		})
	}
}

// usedRoot is a root that was used and closed.
func usedRoot(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "existing")
	e := openTest(t, root)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return root
}

// A bucket that will never take an upload is refused before the root is made.
func TestABucketThatRefusesUploadsIsRefused(t *testing.T) {
	for name, rule := range map[string]buckettest.Rule{
		"no permission":         {Op: buckettest.OpPut, Err: buckettest.ErrAuth},
		"malformed":             {Op: buckettest.OpPut, Err: buckettest.ErrInvalid},
		"keeps no stale owners": {Op: buckettest.OpPut, KeyPattern: "probe", Fault: buckettest.Overwrite},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTieredRoot(t)
			r.opts.ProbeBucket = true
			r.driver.Add(rule)
			if _, err := Open(r.dir, r.opts); !errors.Is(err, ErrBucketRefused) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the root was made: %v", err)
			}
			r.driver.Clear()
			r.open(t)
		})
	}
}

// The same on the disk of a directory, whose permissions do not bind who tests
// as root.
func TestADirectoryThatCannotBeWrittenToIsRefusedAsABucket(t *testing.T) {
	for _, denied := range []error{syscall.EACCES, syscall.EROFS} {
		r := newTieredRoot(t)
		disk := vfs.NewFaulty(vfs.OS())
		disk.Add(vfs.Rule{Op: vfs.OpMkdir | vfs.OpLock | vfs.OpCreate, Err: denied})
		if err := os.MkdirAll(r.opts.Bucket[len("file://"):], 0o700); err != nil {
			t.Fatal(err)
		}
		r.opts.BucketFS, r.opts.ProbeBucket = disk, true
		wantUntouched(t, filepath.Dir(r.dir), ErrBucketRefused, func() (*Engine, error) { return Open(r.dir, r.opts) })
		wantUntouched(t, filepath.Dir(r.dir), denied, func() (*Engine, error) { return Open(r.dir, r.opts) })
	}
}

// A bucket that does not answer now keeps nobody from starting.
func TestABucketThatDoesNotAnswerAtOpenIsUsedLater(t *testing.T) {
	for name, rule := range map[string]buckettest.Rule{
		"fails":     {Err: buckettest.ErrTransient},
		"times out": {Err: buckettest.ErrTimeout},
		"throttles": {Err: buckettest.ErrThrottled},
		"hangs":     {Fault: buckettest.Hang},
		"is full":   {Op: buckettest.OpPut, Err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTieredRoot(t)
			r.opts.bucketPatience, r.opts.ProbeBucket = 200*time.Millisecond, true
			r.opts.bucketRetry = bucket.Retry{Attempts: 1}
			r.driver.Add(rule)
			l := r.open(t)
			r.fill(t, 1, 30)
			r.driver.Clear()
			if err := l.Wait(shortly(t), 30, Cold); err != nil {
				t.Error(err)
			}
		})
	}
}
