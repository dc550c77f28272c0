package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sourceRoot is the module's folder, seen from this package.
const sourceRoot = "../.."

// edges says which packages of ours each package may import, as patterns of
// path.Match; a package that no line matches may import none. Imports point
// inward: config <- proxy <- features; only cmd/alicorn knows all of them.
var edges = []struct {
	from   string
	to     []string
	reason string
}{
	{"config/osfile", nil, "opening files safely knows no configuration"},
	{"config", []string{"config/osfile"}, "the language knows no directive and no request"},
	{"proxy/eventloop", nil, "readiness knows no protocol"},
	{"tls", []string{"config"}, "certificates know no Exchange"},
	{"tls/acme", nil, "orders know no request"},
	{"tls/ocsp", nil, "responders know no request"},
	{"tls/acmetest", nil, "a certificate authority for tests is seen from outside"},
	{"proxy/proxyproto", nil, "the PROXY protocol is bytes, without a socket"},
	{"proxy", []string{"config", "config/osfile", "proxy/eventloop", "proxy/proxyproto"}, "the core knows no handler and no wire protocol"},
	{"proxy/logfile", []string{"config"}, "destinations of logs know no request"},
	{"proxy/errorlog", []string{"config", "proxy", "proxy/logfile"}, "both logs write to the same kinds of destination"},
	{"proxy/accesslog", []string{"config", "proxy", "proxy/logfile"}, "both logs write to the same kinds of destination"},
	{"proxy/ssl", []string{"config", "proxy", "tls", "tls/ocsp"}, "directives and variables for what tls does"},
	{"proxy/acme", []string{"config", "config/osfile", "proxy", "tls/acme"}, "directives and requests for what tls/acme does"},
	{"proxy/authbasic", []string{"config", "config/osfile", "proxy"}, "files with passwords are opened safely"},
	{"proxy/mirror", []string{"config", "proxy", "proxy/upstream"}, "a body that has several readers is kept as one for an upstream is"},
	{"proxy/upstream", []string{"config", "proxy", "proxy/eventloop", "tls"}, "connections to upstreams live in event loops and may use TLS"},
	{"proxy/upstream/upstreamtest", []string{"proxy/proxytest"}, "a suite for the tests of protocols sees client and origin"},
	{"proxy/transport", []string{"proxy/eventloop", "proxy/proxyproto", "proxy"}, "what comes before a protocol knows none"},
	{"proxy/proxytest", []string{"config", "proxy/eventloop", "proxy/proxyproto", "proxy", "proxy/transport"}, "a server for the tests of features"},
	{"proxy/h1", []string{"proxy"}, "a codec knows messages, not who sends them"},
	{"proxy/cgi", nil, "a codec is bytes, without a socket"},
	{"proxy/http1", []string{"config", "proxy/eventloop", "proxy", "proxy/h1"}, "the loop of a protocol runs in event loops"},
	{"proxy/proxypass", []string{"config", "config/osfile", "proxy/eventloop", "proxy", "proxy/cgi", "proxy/h1", "proxy/resolver", "proxy/upstream"}, "connections to upstreams live in event loops and speak HTTP/1 or what gateways speak; a socket may be refused, and a name may have to be looked up"},
	{"proxy/resolver/resolvertest", nil, "a name server for tests is seen from outside"},
	{"proxy/websocket/frames", []string{"proxy"}, "a codec is bytes, without a socket; what a token is the core knows"},
	{"proxy/websocket/framestest", nil, "what clients send is seen from outside"},
	{"proxy/websocket", []string{"config", "proxy/eventloop", "proxy", "proxy/websocket/frames"}, "connections live in event loops"},
	{"proxy/*", []string{"config", "proxy"}, "a feature knows the core, not its neighbours"},
	{"static", []string{"config", "config/osfile", "proxy"}, "a content handler says why a path is refused"},
	{"appserver/wire", []string{"proxy/eventloop"}, "what goes between front and worker knows no request, pool or app"},
	{"appserver/wire/wiretest", []string{"appserver/wire"}, "a worker for tests is bytes in the memory that it shares"},
	{"appserver/pool", []string{"appserver/wire", "proxy/eventloop", "proxy", "proxy/upstream"}, "who gets which request is no matter of directives or of what an application sees"},
	{"appserver/pool/pooltest", []string{"appserver/pool", "appserver/wire", "appserver/wire/wiretest"}, "workers for tests of pools"},
	{"appserver/gateway", []string{"appserver/pool", "appserver/wire", "proxy"}, "what applications see of requests is no matter of directives, nor of one kind of worker"},
	{"appserver/asgi", []string{"appserver/gateway", "appserver/wire", "proxy"}, "how a request looks to an application is no matter of directives"},
	{"appserver/wsgi", []string{"appserver/gateway", "appserver/wire", "proxy"}, "how a request looks to an application is no matter of directives"},
	{"appserver", []string{"appserver/asgi", "appserver/gateway", "appserver/pool", "appserver/wire", "appserver/wsgi", "config", "config/osfile", "proxy/eventloop", "proxy", "proxy/logfile", "proxy/upstream", "proxy/websocket"}, "an app is an upstream whose peers are workers, what it prints goes where logs go, and it may speak WebSocket"},
	{"cmd/alicorn/control", []string{"config/osfile"}, "verbs and server share its types only"},
	{"cmd/alicorn/keeper", []string{"config", "config/osfile", "proxy", "appserver", "appserver/pool"}, "the privileged side compiles the configuration, and starts workers"},
	{"cmd/alicorn", []string{"*", "*/*", "*/*/*"}, "it puts everything together"},
	{"cmd/alicorn/*", nil, "parts of the command stand alone"},
	{"cmd/bench", nil, "it drives servers from outside"},
}

// netHTTP says who may import net/http, and why.
var netHTTP = map[string]string{
	"cmd/alicorn/control":         "the control API is not in a client's way",
	"cmd/bench":                   "it is a client",
	"proxy":                       "status texts and names of methods; no server",
	"proxy/compress":              "it reads dates of header fields; no server",
	"proxy/ssl":                   "names of statuses; no server",
	"proxy/upstream/upstreamtest": "it is a client, for tests",
	"tls/acme":                    "it is a client of authorities",
	"tls/ocsp":                    "it is a client of authorities",
	"tls/acmetest":                "a certificate authority for tests",
}

// sourceFile is one parsed file.
type sourceFile struct {
	pkg  string // folder below the module's root
	name string
	ast  *ast.File
	fset *token.FileSet
}

// sources parses every Go file that is not a test.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var out []sourceFile
	fset := token.NewFileSet()
	err := filepath.WalkDir(sourceRoot, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		if e.IsDir() && path != sourceRoot && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return filepath.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(sourceRoot, filepath.Dir(path))
		out = append(out, sourceFile{filepath.ToSlash(dir), name, f, fset})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("only %d source files found; is %s the module?", len(out), sourceRoot)
	}
	return out
}

func (f sourceFile) pos(n ast.Node) string { return f.fset.Position(n.Pos()).String() }

func TestImportsPointInward(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		for _, imp := range f.ast.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if path == "net/http" || strings.HasPrefix(path, "net/http/") {
				if netHTTP[f.pkg] == "" {
					t.Errorf("%s: %s imports %s; only these may: %v", f.pos(imp), f.pkg, path, netHTTP)
				}
			}
			ours, ok := strings.CutPrefix(path, "alicorn/")
			if !ok {
				continue
			}
			if allowed, reason := allowedImports(f.pkg); !slices.ContainsFunc(allowed, func(p string) bool { return matches(p, ours) }) {
				t.Errorf("%s: %s imports %s; it may import %v: %s", f.pos(imp), f.pkg, ours, allowed, reason)
			}
		}
	}
}

// pure are the packages that work on bytes alone, and why.
var pure = map[string]string{
	"proxy/cgi":        "a codec is driven by loops and goroutines alike, and fuzzed",
	"proxy/h1":         "a codec is driven by loops, goroutines, upstreams and fuzzers alike",
	"proxy/proxyproto": "a header is read wherever it comes from, and fuzzed",
}

// ambient are the packages that read or change what is outside of a process's
// memory, or wait.
var ambient = []string{"net", "os", "syscall", "time", "context", "sync", "golang.org/x/sys/unix", "alicorn/proxy/eventloop"}

func TestPurePackagesTouchNothing(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		reason, ok := pure[f.pkg]
		if !ok {
			continue
		}
		for _, imp := range f.ast.Imports {
			if path, _ := strconv.Unquote(imp.Path.Value); slices.Contains(ambient, path) {
				t.Errorf("%s: %s imports %s: %s", f.pos(imp), f.pkg, path, reason)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "Engine" || s.Sel.Name == "Exchange") {
				t.Errorf("%s: %s uses %s: %s", f.pos(n), f.pkg, s.Sel.Name, reason)
			}
			return true
		})
	}
}

func matches(pattern, name string) bool {
	ok, err := filepath.Match(pattern, name)
	return ok && err == nil
}

func allowedImports(pkg string) ([]string, string) {
	for _, e := range edges {
		if matches(e.from, pkg) {
			return e.to, e.reason
		}
	}
	return nil, "the package is not in the table of layers"
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	for _, f := range sources(t) {
		if _, seen := docs[f.pkg]; !seen || f.ast.Doc != nil {
			docs[f.pkg] = f.ast.Doc.Text()
		}
	}
	for pkg, doc := range docs {
		lines := strings.Count(doc, "\n")
		switch {
		case doc == "":
			t.Errorf("%s has no package comment", pkg)
		case lines > 25:
			t.Errorf("%s: its package comment has %d lines; the model and its invariants fit in 20", pkg, lines)
		}
	}
}

func TestNoInitAndNoGlobalState(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: func init: construct where it is used", f.pos(d))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					f.checkVariables(t, d)
				}
			}
		}
	}
}

// checkVariables allows errors, tables, embedded files, regular expressions
// and pools of buffers, which hold no state that one use could see of another.
func (f sourceFile) checkVariables(t *testing.T, d *ast.GenDecl) {
	t.Helper()
	if d.Doc != nil && strings.Contains(d.Doc.Text()+directives(d.Doc), "go:embed") {
		return
	}
	for _, s := range d.Specs {
		v := s.(*ast.ValueSpec)
		if v.Doc != nil && strings.Contains(directives(v.Doc), "go:embed") {
			continue
		}
		for i, name := range v.Names {
			if name.Name == "_" || excepted[f.pkg+"."+name.Name] != "" {
				continue
			}
			if i >= len(v.Values) || !isConstantLike(v.Values[i]) {
				t.Errorf("%s: package variable %s is no error, table, embedded file, regular expression or sync.Pool", f.pos(name), name.Name)
			}
		}
	}
}

// directives are the lines of a comment that Text leaves out.
func directives(c *ast.CommentGroup) string {
	var b strings.Builder
	for _, line := range c.List {
		b.WriteString(line.Text)
	}
	return b.String()
}

// excepted are package variables that the rule does not know to be harmless.
var excepted = map[string]string{
	"proxy/http1.lastDate":      "the Date line of the current second: a pure function of the clock, shared so that it is formatted once",
	"cmd/alicorn.profileFolder": "a constant that the linker sets, of builds that are measured",
}

// makers are the calls that make what a package variable may be.
var makers = []string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "template.Must", "strings.NewReplacer", "netip.MustParsePrefix"}

// computed are functions that give a constant: a string.
var computed = []string{"keyOf"}

func isConstantLike(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return true // a table, a sync.Pool
	case *ast.UnaryExpr:
		return isConstantLike(e.X)
	case *ast.BinaryExpr:
		return isConstantLike(e.X)
	case *ast.CallExpr:
		switch fun := e.Fun.(type) {
		case *ast.SelectorExpr:
			if pkg, ok := fun.X.(*ast.Ident); ok {
				return slices.Contains(makers, pkg.Name+"."+fun.Sel.Name)
			}
		case *ast.FuncLit:
			return len(e.Args) == 0 // a table that is computed once
		case *ast.Ident:
			return slices.Contains(computed, fun.Name)
		case *ast.ArrayType:
			return true // []byte("...")
		}
	}
	return false
}

func TestSourceFoldersAreThoseOfTheDesign(t *testing.T) {
	t.Parallel()
	allowed := []string{"cmd", "proxy", "appserver", "static", "tls", "config", "deploy"}
	entries, err := os.ReadDir(sourceRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("folder %s: the top has only %v", e.Name(), allowed)
		}
	}
}

// longest is how many lines a function may have. A table that needs more is no
// function.
const longest = 59

func TestFunctionsAreShort(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > longest {
				t.Errorf("%s: %s has %d lines; %d are enough", f.pos(fn), fn.Name.Name, n, longest)
			}
		}
	}
}
