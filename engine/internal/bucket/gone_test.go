package bucket

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A directory that was moved away or unmounted is a store that does not answer:
// no object in it is missing, deleted, or put beside it.
func TestDirectoryThatIsGoneIsAStoreThatDoesNotAnswer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bucket")
	b, err := Open(t.Context(), Options{
		URL: "file://" + dir, Sleep: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	folder, err := b.Log(FolderName("orders", 1))
	if err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, "object")
		return err
	}
	if _, err := folder.Put(t.Context(), LogKey, write); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func() error{
		"read":       func() error { _, err := folder.ReadAll(t.Context(), LogKey, 100); return err },
		"attributes": func() error { _, err := folder.Attributes(t.Context(), LogKey); return err },
		"put":        func() error { _, err := folder.Put(t.Context(), EpochKey(1), write); return err },
		"delete":     func() error { return folder.Delete(t.Context(), LogKey) },
		"claim":      func() error { return folder.Claim(t.Context(), 1, Owner{Token: "a"}) },
		"superseded": func() error { return folder.Superseded(t.Context(), 1) },
		"list":       func() error { _, err := folder.HighestEpoch(t.Context()); return err },
	} {
		if err := call(); KindOf(err) != KindUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if body, err := folder.ReadAll(t.Context(), LogKey, 100); err != nil || string(body) != "object" {
		t.Errorf("when it is back: %q, %v", body, err)
	}
}
