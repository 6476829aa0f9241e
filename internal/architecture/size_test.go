package architecture

import "go/ast"

const (
	fileLinesMax     = 600
	functionLinesMax = 70
)

func checkFileLength(source tree) []violation {
	var violations []violation
	source.files(func(_ *folder, file *sourceFile) {
		if file.lines > fileLinesMax && !file.generated {
			violations = append(violations, violation{file.name, file.lines, "file is over 600 lines: one noun a file"})
		}
	})
	return violations
}

// checkFunctionLength measures functions of production code, by the lines
// between their braces. Tests are left out: one tells its story top to bottom.
func checkFunctionLength(source tree) []violation {
	var violations []violation
	source.files(func(_ *folder, file *sourceFile) {
		if file.isTest || file.generated {
			return
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			name, body := outermostFunction(node)
			if body == nil {
				return true
			}
			first, last := file.positions.Position(body.Lbrace).Line, file.positions.Position(body.Rbrace).Line
			if lines := last - first - 1; lines > functionLinesMax {
				violations = append(violations, file.violationAt(node.Pos(), "%s is %d lines long, more than %d", name, lines, functionLinesMax))
			}
			return false // a literal inside counts with its function
		})
	})
	return violations
}

func outermostFunction(node ast.Node) (name string, body *ast.BlockStmt) {
	switch function := node.(type) {
	case *ast.FuncDecl:
		if function.Body == nil {
			return "", nil // written in assembly
		}
		return function.Name.Name, function.Body
	case *ast.FuncLit:
		return "function literal", function.Body
	default:
		return "", nil
	}
}
