package architecture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const moduleRoot = "../.."

// rule is one property of the source. Its name is also the folder under
// testdata where it is broken on purpose.
type rule struct {
	name  string
	check func(tree) []violation
}

var rules = []rule{
	{"import-direction", checkImportDirection},
	{"nats-in-bridge", checkConfined([]string{"github.com/nats-io", "github.com/synadia-io"}, []string{"bridge"})},
	{"cobra-in-cmd", checkConfined([]string{"github.com/spf13"}, []string{"cmd"})},
	{"gocloud-in-bucket", checkConfined([]string{"gocloud.dev"}, []string{"internal/fileblob", "engine/internal/bucket"})},
	{"cgo-in-cshared", checkConfined([]string{"C", "runtime/cgo"}, []string{"cshared"})},
	{"unsafe-in-vfs", checkConfined([]string{"unsafe"}, []string{"internal/vfs", "cshared"})},
	{"mmap-in-vfs", checkMemoryMaps},
	{"files-through-vfs", checkFileOperations},
	{"file-length", checkFileLength},
	{"function-length", checkFunctionLength},
	{"package-comment", checkPackageComment},
	{"goroutines-checked", checkLeaks},
	{"no-sleep-in-tests", checkSleeps},
}

func TestSourceKeepsTheRules(t *testing.T) {
	source := mustLoad(t, moduleRoot)
	if !slices.ContainsFunc(source, func(in *folder) bool { return in.dir == "internal/architecture" }) {
		t.Fatalf("this package is not among the %d folders found: the walk does not see the module", len(source))
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, found := range rule.check(source) {
				t.Errorf("%v", found)
			}
		})
	}
}

func TestModulePathIsThatOfGoMod(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRoot, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(text), "\n"); first != "module "+modulePath {
		t.Fatalf("go.mod opens with %q, the rules know %q", first, modulePath)
	}
}

func mustLoad(t *testing.T, root string) tree {
	t.Helper()
	source, err := loadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	return source
}
