package deploy_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// image is what a stage of a Dockerfile makes.
type image struct {
	base       base
	root       string // its own files, with those of the base where they are not bound
	variables  map[string]string
	dir        string
	user       string
	stop       string
	ports      []string
	entrypoint []string
	cmd        []string
}

// base stands for an image of a registry.
type base struct {
	binds     map[string]string // see container.Binds
	variables map[string]string
	caches    map[string]string // volumes for RUN alone
	uid       int               // who runs RUN
	make      func(root string) // puts files of its own there
}

// dockerfile carries out the instructions of a Dockerfile, those that ours
// use, as an engine would.
type dockerfile struct {
	t       *testing.T
	context string          // folder with what .dockerignore leaves
	bases   map[string]base // by the image's name
	taken   map[string]*image
	args    map[string]string
	stages  map[string]*image
	current *image
}

// build carries out all of the file and returns the last stage. taken are
// images that COPY --from may name.
func build(t *testing.T, file, context string, bases map[string]base, taken map[string]*image, args map[string]string) *image {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &dockerfile{t: t, context: context, bases: bases, taken: taken, args: maps.Clone(args), stages: map[string]*image{}}
	if d.args == nil {
		d.args = map[string]string{}
	}
	for _, line := range instructions(string(text)) {
		name, rest, _ := strings.Cut(line, " ")
		d.instruction(name, strings.TrimSpace(rest))
	}
	return d.current
}

// instructions are the lines of a Dockerfile, joined where they go on.
func instructions(text string) (out []string) {
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// expand replaces variables as Docker does: of the image, then of ARG.
func (d *dockerfile) expand(text string) string {
	return os.Expand(text, func(name string) string {
		if d.current != nil {
			if v, ok := d.current.variables[name]; ok {
				return v
			}
		}
		v, ok := d.args[name]
		if !ok {
			d.t.Errorf("%q: there is no variable %q", text, name)
		}
		return v
	})
}

func (d *dockerfile) instruction(name, rest string) {
	d.t.Helper()
	switch name {
	case "ARG":
		name, value, given := strings.Cut(rest, "=")
		if _, ok := d.args[name]; !ok && given {
			d.args[name] = value
		}
	case "FROM":
		d.from(strings.Fields(d.expand(rest)))
	case "ENV":
		for pair := range strings.FieldsSeq(rest) {
			name, value, _ := strings.Cut(pair, "=")
			d.current.variables[name] = d.expand(value)
		}
	case "WORKDIR":
		d.current.dir = d.expand(rest)
		d.must(os.MkdirAll(d.current.at(d.current.dir), 0o755))
	case "USER":
		d.current.user = rest
	case "EXPOSE":
		d.current.ports = strings.Fields(rest)
	case "STOPSIGNAL":
		d.current.stop = rest
	case "ENTRYPOINT":
		d.must(json.Unmarshal([]byte(rest), &d.current.entrypoint))
	case "CMD":
		d.must(json.Unmarshal([]byte(rest), &d.current.cmd))
	case "COPY":
		d.copy(strings.Fields(d.expand(rest)))
	case "RUN":
		d.run(rest)
	default:
		d.t.Fatalf("the test does not know the instruction %s", name)
	}
}

func (d *dockerfile) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (i *image) at(place string) string { return filepath.Join(i.root, place) }

// from begins a stage: [--platform=...] IMAGE [AS NAME].
func (d *dockerfile) from(words []string) {
	d.t.Helper()
	if strings.HasPrefix(words[0], "--") {
		words = words[1:]
	}
	b, ok := d.bases[words[0]]
	if !ok {
		d.t.Fatalf("the test has nothing that stands for the image %s", words[0])
	}
	d.current = &image{base: b, root: d.t.TempDir(), variables: maps.Clone(b.variables), dir: "/"}
	if d.current.variables == nil {
		d.current.variables = map[string]string{}
	}
	for _, dir := range []string{d.current.root, filepath.Dir(d.current.root)} {
		d.must(os.Chmod(dir, 0o755))
	}
	if b.make != nil {
		b.make(d.current.root)
	}
	if len(words) == 3 {
		d.stages[words[2]] = d.current
	}
}

// copy is COPY [--from=IMAGE] [--chown=USER:GROUP] SOURCE... TARGET.
func (d *dockerfile) copy(words []string) {
	d.t.Helper()
	root, owner := d.context, "0:0"
	for ; strings.HasPrefix(words[0], "--"); words = words[1:] {
		name, value, _ := strings.Cut(words[0], "=")
		switch name {
		case "--from":
			root = d.image(value).root
		case "--chown":
			owner = value
		default:
			d.t.Fatalf("the test does not know COPY %s", name)
		}
	}
	last := len(words) - 1
	target := words[last]
	folder := strings.HasSuffix(target, "/") || target == "." || strings.HasPrefix(target, "./")
	if !path.IsAbs(target) {
		target = path.Join(d.current.dir, target)
	}
	for _, word := range words[:last] {
		source, place := filepath.Join(root, word), d.current.at(target)
		st, err := os.Stat(source)
		d.must(err)
		if st.IsDir() {
			source, folder = source+"/.", true
		}
		if folder {
			d.must(os.MkdirAll(place, 0o755))
		}
		if out, err := exec.Command("cp", "-a", "--no-preserve=ownership", source, place).CombinedOutput(); err != nil {
			d.t.Fatalf("COPY %v: %v: %s", words, err, out)
		}
		if !folder || st.IsDir() { // else they are root's by the way they were copied
			d.must(exec.Command("chown", "-R", owner, place).Run())
		}
	}
}

// image is the one that COPY --from names.
func (d *dockerfile) image(name string) *image {
	d.t.Helper()
	if i := d.stages[name]; i != nil {
		return i
	}
	if d.taken[name] == nil {
		d.t.Fatalf("COPY --from=%s: there is no such image", name)
	}
	return d.taken[name]
}

// run is RUN [--mount=...]... COMMAND.
func (d *dockerfile) run(command string) {
	d.t.Helper()
	for strings.HasPrefix(command, "--mount=") {
		_, command, _ = strings.Cut(command, " ")
		command = strings.TrimSpace(command)
	}
	i := d.current
	c := i.container("/bin/sh", "-c", command)
	c.UID, c.GID, c.Writable, c.Temp = i.base.uid, i.base.uid, true, true
	c.Volumes = i.base.caches
	for name, value := range d.args {
		c.Env = append(c.Env, name+"="+value)
	}
	if i.base.uid != 0 {
		d.must(exec.Command("chown", "-R", itoa(i.base.uid), i.root).Run())
	}
	<-c.start(d.t).ended
	if c.err != nil {
		d.t.Fatalf("RUN %s: %v: %s%s", command, c.err, &c.stdout, &c.stderr)
	}
}

// container runs the image, or a command in it, as an engine does by default.
func (i *image) container(command ...string) *container {
	args := append(append([]string(nil), i.entrypoint...), i.cmd...)
	if len(command) > 0 {
		args = command
	}
	c := &container{Root: i.root, Binds: i.base.binds, Dir: i.dir, Args: args}
	home := "/root"
	if i.user != "" {
		home = "/" // of a user without an entry in /etc/passwd
		fmt.Sscanf(i.user, "%d:%d", &c.UID, &c.GID)
	}
	c.Env = append(c.Env, "HOME="+home)
	for name, value := range i.variables {
		c.Env = append(c.Env, name+"="+value)
	}
	return c
}

// context is a folder with what .dockerignore leaves of another one.
func context(t *testing.T, folder string) string {
	t.Helper()
	rules, err := os.ReadFile(filepath.Join(folder, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	out := proxytest.PublicDir(t)
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && e.Name() == ".git" {
			return errOr(err, fs.SkipDir)
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || e.IsDir() || ignored(string(rules), filepath.ToSlash(name)) {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			write(t, filepath.Join(out, name), string(text), 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// ignored says whether .dockerignore leaves the file out: the last pattern
// that matches it, or a folder above it, decides.
func ignored(rules, name string) (out bool) {
	for rule := range strings.FieldsSeq(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(rules, "")) {
		pattern, included := strings.CutPrefix(rule, "!")
		pattern = strings.NewReplacer(`\*\*/`, `(.*/)?`, `\*`, `[^/]*`).Replace(regexp.QuoteMeta(pattern))
		if regexp.MustCompile("^" + pattern + "(/.*)?$").MatchString(name) {
			out = !included
		}
	}
	return out
}
