package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"alicorn/config"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
)

var directiveLine = regexp.MustCompile(`(?m)^# directive: (\S+)$`)

// scriptFiles lists the end-to-end cases.
func scriptFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return files
}

func TestEveryDirectiveHasAnEndToEndCase(t *testing.T) {
	covered := map[string]bool{}
	for _, f := range scriptFiles(t) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range directiveLine.FindAllSubmatch(text, -1) {
			covered[string(m[1])] = true
		}
	}
	known := map[string]bool{}
	for _, d := range testSchema().Directives() {
		known[d.Name] = known[d.Name] || !d.NoEffect
	}
	for name, effect := range known {
		if effect && !covered[name] {
			t.Errorf("directive %q has no end-to-end case: a script with the line \"# directive: %s\"", name, name)
		}
	}
	for name := range covered {
		if _, ok := known[name]; !ok {
			t.Errorf("a script claims the directive %q, which does not exist", name)
		}
	}
}

// A case that passes without the directive proves nothing about it.
func TestEveryCaseFailsWithoutItsDirective(t *testing.T) {
	t.Parallel()
	for _, file := range scriptFiles(t) {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range directiveLine.FindAllSubmatch(ar.Comment, -1) {
			name := string(m[1])
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+name, func(t *testing.T) {
				t.Parallel()
				checkFailsWithout(t, file, name)
			})
		}
	}
}

func checkFailsWithout(t *testing.T, file, name string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for i, f := range ar.Files {
		if !strings.HasSuffix(f.Name, ".conf") {
			continue
		}
		data, n, err := without(f.Name, f.Data, name)
		if err != nil {
			t.Fatal(err)
		}
		ar.Files[i].Data, removed = data, removed+n
	}
	if removed == 0 {
		t.Fatalf("no configuration of %s has the directive %q", file, name)
	}
	mutant := filepath.Join(t.TempDir(), "mutant.txtar")
	if err := os.WriteFile(mutant, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	p := scriptParams("")
	p.Dir, p.Files = "", []string{mutant}
	rec.collect(func() { testscript.RunT(rec, p) })
	if !rec.failed {
		t.Errorf("%s passes without its directive %q:\n%s", file, name, rec.log.String())
	}
}

// without returns the configuration less every directive of that name.
func without(file string, text []byte, name string) ([]byte, int, error) {
	root, err := config.Parse(file, text)
	if err != nil {
		return nil, 0, err
	}
	n := removeNodes(root, name)
	var out bytes.Buffer
	err = config.Print(&out, root)
	return out.Bytes(), n, err
}

func removeNodes(n *config.Node, name string) int {
	before := len(n.Children)
	n.Children = slices.DeleteFunc(n.Children, func(c *config.Node) bool { return c.Name == name })
	removed := before - len(n.Children)
	for _, c := range n.Children {
		removed += removeNodes(c, name)
	}
	return removed
}

// recorder is a testscript.T that notes failures instead of failing.
type recorder struct {
	mu     sync.Mutex
	log    bytes.Buffer
	failed bool
}

type stopRun struct{}

func (r *recorder) collect(f func()) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(stopRun); !ok {
				panic(v)
			}
		}
	}()
	f()
}

func (r *recorder) Skip(args ...any)  { panic(stopRun{}) }
func (r *recorder) Fatal(args ...any) { r.Log(args...); r.FailNow() }
func (r *recorder) Parallel()         {}
func (r *recorder) Verbose() bool     { return false }

func (r *recorder) Log(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(&r.log, args...)
}

func (r *recorder) FailNow() {
	r.failed = true
	panic(stopRun{})
}

func (r *recorder) Run(name string, f func(t testscript.T)) { r.collect(func() { f(r) }) }
