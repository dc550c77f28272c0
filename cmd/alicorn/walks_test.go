package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// walkStep is a line of a walk in the contributors' guide: a file and what it
// declares, as in "1. `proxy/serve.go`, `Engine.Serve`: ...".
var walkStep = regexp.MustCompile("(?m)^\\d+\\. `([^`]+)`, `([^`]+)`")

func TestTheWalksNameWhatThereIs(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join(sourceRoot, ".github", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := walkStep.FindAllStringSubmatch(string(guide), -1)
	if len(steps) < 20 {
		t.Fatalf("the guide has %d steps; three walks have more, want at least 20", len(steps))
	}
	for _, step := range steps {
		file, name := step[1], step[2]
		source, err := os.ReadFile(filepath.Join(sourceRoot, file))
		if err != nil {
			t.Errorf("the guide names %s: %v", file, err)
			continue
		}
		if !declares(t, file, source, name) {
			t.Errorf("the guide names %s of %s, which has no such function", name, file)
		}
	}
}

// declares reports whether a Go file has the function or method (Type.Name),
// or a Python file the function (Class.name or name).
func declares(t *testing.T, file string, source []byte, name string) bool {
	t.Helper()
	if strings.HasSuffix(file, ".py") {
		for part := range strings.SplitSeq(name, ".") {
			if !regexp.MustCompile(`(?m)^\s*(def|class) ` + regexp.QuoteMeta(part) + `\b`).Match(source) {
				return false
			}
		}
		return true
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && declaredName(fn) == name {
			return true
		}
	}
	return false
}

func declaredName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	typ := fn.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if g, ok := typ.(*ast.IndexExpr); ok {
		typ = g.X
	}
	id, ok := typ.(*ast.Ident)
	if !ok {
		return fn.Name.Name
	}
	return id.Name + "." + fn.Name.Name
}

// manyFiles is from how many files on a package lists them.
const manyFiles = 11

// A package with many files lists them, in its package comment or behind its
// package clause. Files for one system are listed by one of them.
func TestLargePackagesListTheirFiles(t *testing.T) {
	t.Parallel()
	files, comments := map[string][]string{}, map[string]string{}
	for _, f := range sources(t) {
		files[f.pkg] = append(files[f.pkg], f.name)
		for _, c := range f.ast.Comments {
			comments[f.pkg] += c.Text()
		}
	}
	system := regexp.MustCompile(`_(linux|darwin|other|unix)\.go$`)
	for pkg, names := range files {
		if len(names) < manyFiles {
			continue
		}
		listed := map[string]bool{"doc": true}
		for _, name := range regexp.MustCompile(`[a-z0-9_]+\.go\b`).FindAllString(comments[pkg], -1) {
			listed[strings.TrimSuffix(system.ReplaceAllString(name, ".go"), ".go")] = true
		}
		for _, name := range names {
			if !listed[strings.TrimSuffix(system.ReplaceAllString(name, ".go"), ".go")] {
				t.Errorf("the files of %s are listed without %s", pkg, name)
			}
		}
	}
}
