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
	"time"

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
		t.Fatalf("found no scripts: %v", err)
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

// mutant is a script from whose configurations one directive was removed.
type mutant struct{ file, directive string }

// A case that passes without the directive proves nothing about it. Most
// mutants fail by waiting in vain, so that many run at once, and none waits
// for as long as a script that should pass.
func TestEveryCaseFailsWithoutItsDirective(t *testing.T) {
	var all []mutant
	for _, file := range scriptFiles(t) {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range directiveLine.FindAllSubmatch(ar.Comment, -1) {
			all = append(all, mutant{file, string(m[1])})
		}
	}
	const atOnce, patience = 8, 2 * time.Second
	turns := make(chan struct{}, atOnce)
	problems := make([]string, len(all))
	var wg sync.WaitGroup
	dir := t.TempDir()
	for i, m := range all {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			problems[i] = m.survives(t, filepath.Join(dir, fmt.Sprintf("mutant%d.txtar", i)), patience)
		})
	}
	wg.Wait()
	for _, p := range problems {
		if p != "" {
			t.Error(p)
		}
	}
}

// survives says what is wrong when the mutant, written to path, passes.
func (m mutant) survives(t testing.TB, path string, patience time.Duration) string {
	ar, err := txtar.ParseFile(m.file)
	if err != nil {
		return err.Error()
	}
	removed := 0
	for i, f := range ar.Files {
		if !strings.HasSuffix(f.Name, ".conf") {
			continue
		}
		data, n, err := without(f.Name, f.Data, m.directive)
		if err != nil {
			return err.Error()
		}
		ar.Files[i].Data, removed = data, removed+n
	}
	if removed == 0 {
		return fmt.Sprintf("no configuration of %s has the directive %q", m.file, m.directive)
	}
	if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
		return err.Error()
	}
	rec := &recorder{}
	p := scriptParams(t, "", patience)
	p.Dir, p.Files = "", []string{path}
	rec.collect(func() { testscript.RunT(rec, p) })
	if rec.failed {
		return ""
	}
	return fmt.Sprintf("%s passes without its directive %q:\n%s", m.file, m.directive, rec.log.String())
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
