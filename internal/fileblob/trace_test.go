package fileblob_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

var update = flag.Bool("update", false, "write the golden files")

// TestTraces pins what is done on disk, in which order: a sync that is missing
// is a difference.
func TestTraces(t *testing.T) {
	disk := vfs.NewMem(1)
	traced := vfs.NewTraced(disk, "/")
	bucket := open(t, traced, bucketDir, seeded(1))
	ctx := context.Background()
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"first-create", func() error { return put(bucket, "log/a", "x", true) }},
		{"create", func() error { return put(bucket, "log/b", "x", true) }},
		{"create-taken", func() error {
			if put(bucket, "log/b", "y", true) == nil {
				t.Error("created twice")
			}
			return nil
		}},
		{"overwrite", func() error { return put(bucket, "log/b", "y", false) }},
		{"attributes", func() error { _, err := bucket.Attributes(ctx, "log/b"); return err }},
		{"list", func() error { list(t, bucket); return nil }},
		{"delete", func() error { return bucket.Delete(ctx, "log/b") }},
		{"delete-again", func() error {
			if bucket.Delete(ctx, "log/b") == nil {
				t.Error("deleted twice")
			}
			return nil
		}},
		{"close", bucket.Close},
	} {
		traced.Reset()
		check(t, step.run())
		compareGolden(t, "trace-"+step.name+".txt", withoutSession(traced.Lines()))
	}
}

func withoutSession(lines []string) string {
	const sessionHexDigits = 32
	text := strings.Join(append(lines, ""), "\n")
	for from := 0; ; {
		at := strings.Index(text[from:], ".tmp/")
		if at < 0 {
			return text
		}
		from += at + len(".tmp/")
		text = text[:from] + "SESSION" + text[from+sessionHexDigits:]
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		check(t, os.MkdirAll("testdata", 0o755))
		check(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	check(t, err)
	if got != string(want) {
		t.Errorf("%s:\n got\n%s\nwant\n%s", name, got, want)
	}
}
