package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// names lists a tree's directives with their positions.
func names(n *Node) []string {
	var out []string
	for _, c := range n.Children {
		out = append(out, c.Name+"@"+c.Pos.String())
		out = append(out, names(c)...)
	}
	return out
}

func TestIncludesTakeTheirPlace(t *testing.T) {
	src := Memory{
		"/etc/a/main.conf":           []byte("a;\nhttp {\n  include conf.d/*.conf;\n  map $x $y { include more/map; }\n  b;\n}\n"),
		"/etc/a/conf.d/2.conf":       []byte("two;"),
		"/etc/a/conf.d/10.conf":      []byte("\nten {\n  \"include\" 'more/in ten';\n}"),
		"/etc/a/conf.d/Z.conf":       []byte("zet;"),
		"/etc/a/conf.d/.hidden.conf": []byte("hidden;"),
		"/etc/a/conf.d/sub/3.conf":   []byte("three;"),
		"/etc/a/more/in ten":         []byte("deep;"),
		"/etc/a/more/map":            []byte("k v; \\include w;"),
	}
	tree, err := LoadFile("/etc/a/main.conf", src, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a@/etc/a/main.conf:1:1", "http@/etc/a/main.conf:2:1",
		"ten@/etc/a/conf.d/10.conf:2:1", "deep@/etc/a/more/in ten:1:1",
		"two@/etc/a/conf.d/2.conf:1:1", "zet@/etc/a/conf.d/Z.conf:1:1",
		"map@/etc/a/main.conf:4:3", "k@/etc/a/more/map:1:1", `\include@/etc/a/more/map:1:6`,
		"b@/etc/a/main.conf:5:3",
	}
	if got := names(tree.Root); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	files := []string{"/etc/a/main.conf", "/etc/a/conf.d/10.conf", "/etc/a/more/in ten", "/etc/a/conf.d/2.conf", "/etc/a/conf.d/Z.conf", "/etc/a/more/map"}
	if !slices.Equal(tree.Files, files) {
		t.Errorf("files are %q, want %q", tree.Files, files)
	}
}

func TestIncludesStartAtPrefix(t *testing.T) {
	src := Memory{"/run/x.conf": []byte("include a;"), "/run/a": []byte("run;"), "/etc/a": []byte("etc;")}
	for prefix, want := range map[string]string{"": "run", "/etc": "etc", "/run": "run"} {
		tree, err := LoadFile("/run/x.conf", src, prefix)
		if err != nil || tree.Root.Children[0].Name != want {
			t.Errorf("%q: got %v, %v; want Name %v", prefix, names(tree.Root), err, want)
		}
	}
}

func TestMistakesOfIncludeAreNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		src  Memory
		want string
	}{
		{"missing file", Memory{"m": []byte("a;\n include x/y;")}, `m:2:10: cannot include "x/y": file does not exist`},
		{"itself", Memory{"m": []byte("include m;")}, "m:1:9: files include each other in a circle: m -> m"},
		{"a circle", Memory{"m": []byte("include a;"), "a": []byte("x { include b; }"), "b": []byte("\ninclude a;")},
			"b:2:9: files include each other in a circle: a -> b -> a"},
		{"a circle through a pattern", Memory{"m": []byte("include *;")}, "m:1:9: files include each other in a circle: m -> m"},
		{"two names", Memory{"m": []byte("include a b;")}, `m:1:1: directive "include" takes one file name, not 2`},
		{"no name", Memory{"m": []byte("include;")}, `m:1:1: directive "include" takes one file name, not 0`},
		{"block", Memory{"m": []byte("include a { }")}, `m:1:1: directive "include" takes no block; it ends with ";"`},
		{"mistakes in order of files", Memory{"m": []byte("include a;\n;include b;"), "a": []byte("}"), "b": []byte("x")},
			"m:2:1: unexpected \";\": there is no directive before it\n" +
				"a:1:1: unexpected \"}\": no block is open\n" +
				"b:1:2: directive \"x\" is not terminated by \";\""},
		{"a file twice, its mistakes once", Memory{"m": []byte("include a;include a;"), "a": []byte(";")},
			`a:1:1: unexpected ";": there is no directive before it`},
		{"nested too deep over files", Memory{
			"m": []byte(strings.Repeat("a{", maxDepth) + "include b;" + strings.Repeat("}", maxDepth)),
			"b": []byte("c;\nd { }")}, "b:2:1: blocks are nested deeper than 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, err := LoadFile("m", c.src, "")
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if tree == nil || tree.Root == nil {
				t.Errorf("tree %v, want one with a root", tree)
			}
		})
	}
}

func TestIncludeWithoutSemicolonHints(t *testing.T) {
	_, err := LoadFile("m", Memory{"m": []byte("include a\nb c;")}, "")
	var e *Error
	if !errors.As(err, &e) || e.Hint != `is the ";" missing at the end of line 1?` {
		t.Errorf("got %+v, want the hint that the ; is missing at the end of line 1", e)
	}
}

func TestAMissingMainFileIsNamed(t *testing.T) {
	for name, src := range map[string]Source{"none": Memory{}, filepath.Join(t.TempDir(), "none"): OS()} {
		tree, err := LoadFile(name, src, "")
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), name) || tree.Root == nil {
			t.Errorf("got %v, want ErrNotExist with %q, and a tree", err, name)
		}
	}
}

func TestBuiltinStandsInForAMissingFile(t *testing.T) {
	builtin := map[string][]byte{"mime.types": []byte("types {\n text/html html; }")}
	for _, c := range []struct {
		name, main string
		src        Memory
		want       string
	}{
		{"missing", "include mime.types;", Memory{}, "types@mime.types (built in):1:1"},
		{"missing elsewhere", "include /etc/nginx/mime.types;", Memory{}, "types@mime.types (built in):1:1"},
		{"on disk", "include mime.types;", Memory{"/c/mime.types": []byte("own;")}, "own@/c/mime.types:1:1"},
	} {
		c.src["/c/m"] = []byte(c.main)
		tree, err := Loader{Source: c.src, Builtin: builtin}.Load("/c/m")
		if err != nil || names(tree.Root)[0] != c.want {
			t.Errorf("%s: got %v, %v; want %q first", c.name, names(tree.Root), err, c.want)
		}
	}
	if _, err := (Loader{Source: Memory{"m": []byte("include mime.type;")}, Builtin: builtin}).Load("m"); err == nil {
		t.Error("a misspelt name was found")
	}
}

// TestGlobAsNginx has the files that nginx 1.22 includes for each pattern.
func TestGlobAsNginx(t *testing.T) {
	dir := t.TempDir()
	memory := Memory{}
	for _, name := range []string{"a.conf", "b.conf", "B.conf", ".h.conf", "[z.conf", "]q.conf"} {
		name = filepath.Join(dir, "d.x", name)
		memory[name] = nil
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		pattern string
		want    []string
	}{
		{"d.x/*.conf", []string{"B.conf", "[z.conf", "]q.conf", "a.conf", "b.conf"}},
		{"d.x/[!a].conf", []string{"B.conf", "b.conf"}},
		{"d.x/[^a].conf", []string{"B.conf", "b.conf"}},
		{"d.x/[.conf*", nil},
		{"d.x/[z*", []string{"[z.conf"}},
		{"d.x/.*.conf", []string{".h.conf"}},
		{"d.x/[.]h.conf", nil},
		{"d.x/[]]q.*", []string{"]q.conf"}},
		{`d.x/\[z.con?`, []string{"[z.conf"}},
		{"d.x/?.conf", []string{"B.conf", "a.conf", "b.conf"}},
		{"*/a.conf", []string{"a.conf"}},
		{"nope/*.conf", nil},
		{"d.x/[ab", nil},
	} {
		for name, src := range map[string]Source{"OS": OS(), "Memory": memory} {
			got, err := src.Glob(filepath.Join(dir, c.pattern))
			if err != nil {
				t.Errorf("%s %s: %v", name, c.pattern, err)
			}
			for i := range got {
				got[i] = filepath.Base(got[i])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s %s: got %q, want %q", name, c.pattern, got, c.want)
			}
		}
	}
}

func TestDumpWritesEachFileOnce(t *testing.T) {
	src := Memory{"/m": []byte("include a;\ninclude a;\n# end"), "/a": []byte("x;\n")}
	tree, err := LoadFile("/m", src, "")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := Dump(&buf, tree); err != nil {
		t.Fatal(err)
	}
	want := "# configuration file /m:\ninclude a;\ninclude a;\n# end\n# configuration file /a:\nx;\n\n"
	if buf.String() != want {
		t.Errorf("got (want %s):\n%s", want, buf.String())
	}
}

func TestAConfigurationIsReadFromRegularFilesOfABoundedSize(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(write("huge", ""), 1<<40); err != nil {
		t.Fatal(err)
	}
	write("half", "#"+strings.Repeat("x", 15<<20))
	for i := range 30 {
		write(fmt.Sprint("twice", i), fmt.Sprintf("include twice%d; include twice%d;", i+1, i+1))
	}
	write("twice30", "")
	for _, c := range []struct{ main, text, err string }{
		{"/dev/zero", "", "it is a device"},
		{pipe, "", "it is a named pipe"},
		{dir, "", "is a directory"},
		{filepath.Join(dir, "huge"), "", "larger than 16 MiB"},
		{"", "include pipe;", "/main:1:9: cannot include \"" + pipe + "\": it is a named pipe"},
		{"", "include /dev/zero;", "it is a device"},
		{"", "include huge;", "larger than 16 MiB"},
		{"", "include half;\ninclude half;\ninclude half; include half;", "/main:3:9: cannot include \"" + filepath.Join(dir, "half") + "\": the configuration has more than 32 MiB with it"},
		{"", "include twice1;", "the configuration has included 200000 files before"},
		{"/dev/null", "", ""},
		{"", "include /dev/null; include half; include half; a b;", ""},
	} {
		main := c.main
		if main == "" {
			main = write("main", c.text)
		}
		_, err := LoadFile(main, OS(), dir)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s %q: %v; want no error", c.main, c.text, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s %q: error %v; want one with %q", c.main, c.text, err, c.err)
		}
	}
}
