package fileblob

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gocloud.dev/blob"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A directory that was moved away is not an empty bucket: nothing is found
// missing in it, and nothing is written beside it.
func TestBucketWhoseDirectoryIsGoneFailsUntilItIsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bucket")
	b, err := Open(vfs.OS(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.WriteAll(t.Context(), "a/b", []byte("object"), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	for _, replaced := range []bool{false, true} {
		if replaced {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for what, call := range callsOf(t, b) {
			if err := call(); !errors.Is(err, ErrGone) {
				t.Errorf("%s, replaced %t: %v", what, replaced, err)
			}
		}
		if entries, err := os.ReadDir(dir); replaced && (err != nil || len(entries) > 0) || !replaced && err == nil {
			t.Errorf("replaced %t: %d entries, %v", replaced, len(entries), err)
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	for what, call := range callsOf(t, b) {
		if err := call(); err != nil {
			t.Errorf("%s when it is back: %v", what, err)
		}
	}
}

func callsOf(t *testing.T, b *blob.Bucket) map[string]func() error {
	return map[string]func() error{
		"read":       func() error { _, err := b.ReadAll(t.Context(), "a/b"); return err },
		"attributes": func() error { _, err := b.Attributes(t.Context(), "a/b"); return err },
		"write":      func() error { return b.WriteAll(t.Context(), "a/c", []byte("other"), nil) },
		"list": func() error {
			_, _, err := b.ListPage(t.Context(), blob.FirstPageToken, 10, nil)
			return err
		},
	}
}
