package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The documentation names the tests that prove what it says: they are there.

var (
	namedTest  = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	writtenOne = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
)

func TestTestsThatTheDocumentationNamesAreThere(t *testing.T) {
	there, named := map[string]bool{}, map[string]string{}
	eachFile(t, "../..", func(path string, content []byte) {
		switch {
		case strings.HasSuffix(path, "_test.go"):
			for _, found := range writtenOne.FindAllSubmatch(content, -1) {
				there[string(found[1])] = true
			}
		case strings.HasSuffix(path, ".md"):
			for _, found := range namedTest.FindAllSubmatch(content, -1) {
				named[string(found[1])] = path
			}
		}
	})
	if len(named) < 20 {
		t.Fatalf("the pages name %d tests only", len(named))
	}
	for name, page := range named {
		if !there[name] {
			t.Errorf("%s names %s, which there is not", page, name)
		}
	}
}

// eachFile reads the Go tests and the pages of the module.
func eachFile(t *testing.T, root string, visit func(path string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (name == "build" || name == "bin" || name == "testdata" || strings.HasPrefix(name, ".") && name != "..") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, "_test.go") && filepath.Ext(name) != ".md" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil {
			visit(path, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
