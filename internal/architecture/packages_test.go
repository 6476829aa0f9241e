package architecture

import (
	"go/ast"
	"go/token"
	"strings"
)

// checkPackageComment wants a comment that says what the package is for, in the
// form that godoc knows: "Package name ..."; a command may open as it likes.
func checkPackageComment(source tree) []violation {
	var violations []violation
	for _, in := range source {
		first, documented := packageComment(in)
		switch {
		case first == nil:
			violations = append(violations, in.files[0].violationAt(in.files[0].syntax.Package, "package has tests only: add a doc.go that says what it is for"))
		case !documented:
			violations = append(violations, first.violationAt(first.syntax.Package, "no file says what package %s is for", first.syntax.Name.Name))
		}
	}
	return violations
}

func packageComment(in *folder) (first *sourceFile, documented bool) {
	for _, file := range in.files {
		if file.isTest {
			continue
		}
		if first == nil {
			first = file
		}
		name, comment := file.syntax.Name.Name, file.syntax.Doc.Text()
		if strings.HasPrefix(comment, "Package "+name+" ") || name == "main" && comment != "" {
			documented = true
		}
	}
	return first, documented
}

// checkLeaks wants a TestMain that hands over to goleak in every folder that has
// a test, benchmark, fuzz target or example.
func checkLeaks(source tree) []violation {
	var violations []violation
	for _, in := range source {
		var first *sourceFile
		verified := false
		for _, file := range in.files {
			if !file.isTest {
				continue
			}
			for _, declared := range file.syntax.Decls {
				function, ok := declared.(*ast.FuncDecl)
				if !ok || function.Recv != nil {
					continue
				}
				if first == nil && isTestName(function.Name.Name) {
					first = file
				}
				verified = verified || function.Name.Name == "TestMain" && verifiesLeaks(file, function)
			}
		}
		if first != nil && !verified {
			violations = append(violations, first.violationAt(first.syntax.Package, "%s has tests but no TestMain that calls goleak.VerifyTestMain", in.dir))
		}
	}
	return violations
}

func isTestName(name string) bool {
	for _, prefix := range []string{"Test", "Benchmark", "Fuzz", "Example"} {
		if strings.HasPrefix(name, prefix) && name != "TestMain" {
			return true
		}
	}
	return false
}

func verifiesLeaks(file *sourceFile, testMain *ast.FuncDecl) bool {
	verifies := false
	file.usesOf(func(importedPath, name string, at token.Pos) {
		inside := testMain.Pos() <= at && at < testMain.End()
		verifies = verifies || inside && importedPath == "go.uber.org/goleak" && (name == "VerifyTestMain" || name == "Find")
	})
	return verifies
}
