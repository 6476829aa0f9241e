package engine

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// segmentFiles lists the paths of a log's segment files in order.
func segmentFiles(t *testing.T, disk vfs.FS, root string) []string {
	t.Helper()
	dir := newLogLayout(root, "orders").segments
	entries, err := disk.ReadDir(dir)
	if err != nil {
		t.Fatalf("list segments: %v", err)
	}
	var files []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), segmentSuffix) {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files
}
