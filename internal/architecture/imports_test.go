package architecture

import (
	"slices"
	"strings"
)

// area is a part of the package tree with its own rule of what it may import.
// A folder belongs to the area with the longest dir that it is in or below.
type area struct {
	dir string
	// mayImport names the areas that its code may import.
	mayImport []string
}

// areas is the import direction of the module, from the top down. A package that
// is in no area is an error: whoever adds a part says here where it stands.
var areas = []area{
	{"cmd", []string{"cmd", "bridge", "engine", "manifest", "internal"}},
	{"cshared", []string{"cshared", "bridge", "engine", "internal"}},
	{"bridge", []string{"bridge", "engine", "manifest", "internal"}},
	{"engine", []string{"engine", "engine/internal", "engine/internal/tier", "engine/internal/segment", "manifest", "internal"}},
	{enginetestDir, []string{"engine", "engine/internal", "engine/internal/tier", "engine/internal/segment", "manifest", "internal"}},
	{"engine/internal", []string{"engine/internal", "internal"}},
	{"engine/internal/tier", []string{"engine/internal/tier", "engine/internal/segment", "engine/internal", "internal"}},
	{"engine/internal/segment", []string{"engine/internal/segment", "engine/internal", "internal"}},
	{"manifest", []string{"manifest", "internal"}},
	{"internal", []string{"internal"}},
}

// enginetestDir holds helpers for tests: only tests may import it, and only
// those of code that may import engine.
const enginetestDir = "engine/enginetest"

func areaOf(dir string) (area, bool) {
	var found area
	for _, candidate := range areas {
		if isBelow(dir, candidate.dir) && len(candidate.dir) > len(found.dir) {
			found = candidate
		}
	}
	return found, found.dir != ""
}

func checkImportDirection(source tree) []violation {
	var violations []violation
	source.files(func(in *folder, file *sourceFile) {
		from, known := areaOf(in.dir)
		if !known {
			violations = append(violations, file.violationAt(file.syntax.Package, "%s is in no area: add it to the areas of internal/architecture", in.dir))
			return
		}
		for _, spec := range file.syntax.Imports {
			dir, ours := strings.CutPrefix(importPath(spec), modulePath+"/")
			if ours && !mayImport(from, dir, file.isTest) {
				violations = append(violations, file.violationAt(spec.Pos(), "%s must not import %s", in.dir, dir))
			}
		}
	})
	return violations
}

func mayImport(from area, dir string, isTest bool) bool {
	to, known := areaOf(dir)
	if !known {
		return false
	}
	if to.dir == enginetestDir && from.dir != enginetestDir {
		return isTest && slices.Contains(from.mayImport, "engine")
	}
	return to.dir == from.dir || slices.Contains(from.mayImport, to.dir)
}

// checkConfined makes the rule that packages whose path starts with one of
// prefixes are imported in dirs only, by tests as well.
func checkConfined(prefixes, dirs []string) func(tree) []violation {
	return func(source tree) []violation {
		var violations []violation
		source.files(func(in *folder, file *sourceFile) {
			if in.within(dirs...) {
				return
			}
			for _, spec := range file.syntax.Imports {
				imported := importPath(spec)
				if slices.ContainsFunc(prefixes, func(prefix string) bool { return isBelow(imported, prefix) }) {
					violations = append(violations, file.violationAt(spec.Pos(), "%q is for %s only", imported, strings.Join(dirs, " and ")))
				}
			}
		})
		return violations
	}
}
