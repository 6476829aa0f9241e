package engine

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"testing"
)

// hashTree is a fingerprint of all names and bytes below a directory.
func hashTree(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	tree := os.DirFS(dir)
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		sum.Write(fmt.Appendf(nil, "%s %s %d %v\n", path, info.Mode(), info.Size(), info.ModTime()))
		if entry.IsDir() {
			return nil
		}
		contents, err := fs.ReadFile(tree, path)
		sum.Write(contents)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}
