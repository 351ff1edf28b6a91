package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func contents(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// constants gives the texts of a package's constants of a type, but for the
// empty one.
func constants(t *testing.T, folder, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		texts = append(texts, constantsIn(t, file, func(spec *ast.ValueSpec) bool {
			of, ok := spec.Type.(*ast.Ident)
			return ok && of.Name == kind
		})...)
	}
	return texts
}

// constantsNamed gives the texts of a file's constants whose names begin so.
func constantsNamed(t *testing.T, file, prefix string) []string {
	t.Helper()
	return constantsIn(t, file, func(spec *ast.ValueSpec) bool { return strings.HasPrefix(spec.Names[0].Name, prefix) })
}

func constantsIn(t *testing.T, file string, wanted func(*ast.ValueSpec) bool) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, declaration := range parsed.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			if !wanted(value) || len(value.Values) != 1 {
				continue
			}
			literal, ok := value.Values[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				continue
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if text != "" {
				texts = append(texts, text)
			}
		}
	}
	return texts
}
