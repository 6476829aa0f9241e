package architecture

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// modulePath is the path of this module, and of every planted tree.
const modulePath = "github.com/aof-nats/aof-nats"

// tree is the parsed source of a module: its folders that hold Go files, in the
// order of their names.
type tree []*folder

// folder is one directory of Go files: a package and its tests, of every
// platform.
type folder struct {
	dir   string // slash-separated, from the module's root; "." is the root
	files []*sourceFile
}

// sourceFile is one parsed Go file.
type sourceFile struct {
	name      string // slash-separated, from the module's root
	isTest    bool
	generated bool
	lines     int
	syntax    *ast.File
	positions *token.FileSet
}

// violation is one place where a rule is broken.
type violation struct {
	file string
	line int
	text string
}

func (v violation) String() string { return fmt.Sprintf("%s:%d: %s", v.file, v.line, v.text) }

// loadTree parses every Go file under root that belongs to its module, as the
// go command sees it: without testdata, hidden folders and modules inside.
func loadTree(root string) (tree, error) {
	var loaded tree
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name != root && isForeign(name) {
			return filepath.SkipDir
		}
		found, err := loadFolder(root, name)
		if err == nil && len(found.files) > 0 {
			loaded = append(loaded, found)
		}
		return err
	})
	return loaded, err
}

// isForeign says that a folder under a module's root is no part of the module.
func isForeign(name string) bool {
	base := filepath.Base(name)
	if base == "testdata" || base == "vendor" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return !errors.Is(err, fs.ErrNotExist)
}

func loadFolder(root, name string) (*folder, error) {
	relative, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	loaded := &folder{dir: filepath.ToSlash(relative)}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() || !strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		file, err := parseFile(name, loaded.dir, entry.Name())
		if err != nil {
			return nil, err
		}
		loaded.files = append(loaded.files, file)
	}
	return loaded, nil
}

func parseFile(folderName, dir, base string) (*sourceFile, error) {
	positions := token.NewFileSet()
	syntax, err := parser.ParseFile(positions, filepath.Join(folderName, base), nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &sourceFile{
		name:      path.Join(dir, base),
		isTest:    strings.HasSuffix(base, "_test.go"),
		generated: ast.IsGenerated(syntax),
		lines:     positions.File(syntax.FileStart).LineCount(),
		syntax:    syntax,
		positions: positions,
	}, nil
}

// files lists every file of the tree with the folder that it is in.
func (t tree) files(visit func(*folder, *sourceFile)) {
	for _, in := range t {
		for _, file := range in.files {
			visit(in, file)
		}
	}
}

// within says that the folder is one of dirs or lies below one.
func (f *folder) within(dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return isBelow(f.dir, dir) })
}

// isBelow says that name is dir or a path below it.
func isBelow(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}

func (f *sourceFile) violationAt(at token.Pos, format string, args ...any) violation {
	return violation{file: f.name, line: f.positions.Position(at).Line, text: fmt.Sprintf(format, args...)}
}

func importPath(spec *ast.ImportSpec) string {
	unquoted, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return unquoted
}

// usesOf visits every mention of a package's name in the file, as in os.Open,
// under whatever name the file imports the package. A dot import has no such
// mentions; the linter forbids those.
func (f *sourceFile) usesOf(visit func(importedPath, name string, at token.Pos)) {
	imported := map[string]string{}
	for _, spec := range f.syntax.Imports {
		local := path.Base(importPath(spec))
		if spec.Name != nil {
			local = spec.Name.Name
		}
		imported[local] = importPath(spec)
	}
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if qualifier, ok := selector.X.(*ast.Ident); ok && imported[qualifier.Name] != "" {
			visit(imported[qualifier.Name], selector.Sel.Name, selector.Pos())
		}
		return true
	})
}
