package fileblob_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/drivertest"

	"github.com/aof-nats/aof-nats/internal/fileblob"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// harness lets gocloud's own conformance tests run on a directory.
type harness struct {
	t      *testing.T
	fsys   vfs.FS
	dir    string
	prefix string
	opened []driver.Bucket
}

func (h *harness) MakeDriver(context.Context) (driver.Bucket, error) {
	opened, err := fileblob.OpenDriver(h.fsys, h.dir, fileblob.Options{})
	if err != nil {
		return nil, err
	}
	h.opened = append(h.opened, opened)
	if h.prefix == "" {
		return opened, nil
	}
	return driver.NewPrefixedBucket(opened, h.prefix), nil
}

func (h *harness) MakeDriverForNonexistentBucket(context.Context) (driver.Bucket, error) {
	dir := filepath.Join(h.t.TempDir(), "removed")
	opened, err := fileblob.OpenDriver(h.fsys, dir, fileblob.Options{})
	if err != nil {
		return nil, err
	}
	return opened, h.fsys.Remove(dir)
}

func (h *harness) HTTPClient() *http.Client { return nil }

func (h *harness) SupportsCopy() bool { return true }

func (h *harness) SupportsNonSlashDelimiters() bool { return true }

// Close also closes what the tests of the library leave open.
func (h *harness) Close() {
	for _, opened := range h.opened {
		check(h.t, opened.Close())
	}
	checkNothingOpen(h.t, h.fsys)
}

func TestDriverPassesTheConformanceTestsOfTheLibrary(t *testing.T) {
	for name, prefix := range map[string]string{"whole bucket": "", "below a prefix": "some/prefix/dir/"} {
		t.Run(name, func(t *testing.T) {
			drivertest.RunConformanceTests(t, func(_ context.Context, t *testing.T) (drivertest.Harness, error) {
				return &harness{t: t, fsys: vfs.OS(), dir: t.TempDir(), prefix: prefix}, nil
			}, nil)
		})
	}
}

func TestDriverPassesTheConformanceTestsInMemory(t *testing.T) {
	drivertest.RunConformanceTests(t, func(_ context.Context, t *testing.T) (drivertest.Harness, error) {
		return &harness{t: t, fsys: vfs.NewMem(1), dir: "/bucket"}, nil
	}, nil)
}
