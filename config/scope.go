package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"alicorn/config/osfile"
)

// Scope is one block while it is read: its settings, its own directives, and its place
// among the blocks. It can still be used after the Load has ended.
type Scope struct {
	Node    *Node   // the block's directive; the root for the main Scope
	Context Context // 0 in a block with directives of one feature alone
	Parent  *Scope
	// Blocks are the Scopes of the blocks inside, in the order of the file.
	Blocks []*Scope

	opener *Directive // the directive of the block; nil for the main Scope
	load   *Load
	values []any            // the settings of each Key, by index
	own    map[string]*Node // the last directive of each name
}

// Load returns the reading that this Scope belongs to.
func (s *Scope) Load() *Load { return s.load }

// Own returns the directive of this name in this block, the last one if there are
// several; nil if the block has none.
func (s *Scope) Own(name string) *Node { return s.own[name] }

// Nearest returns the directive of this name that is in effect here: this block's or the
// nearest ancestor's, or nil. Messages name its position.
func (s *Scope) Nearest(name string) *Node {
	for ; s != nil; s = s.Parent {
		if n := s.own[name]; n != nil {
			return n
		}
	}
	return nil
}

// Main returns the Scope of the file itself.
func (s *Scope) Main() *Scope {
	for s.Parent != nil {
		s = s.Parent
	}
	return s
}

// Enclosing returns s or its nearest ancestor in one of the contexts, or nil.
func (s *Scope) Enclosing(in Context) *Scope {
	for s != nil && s.Context&in == 0 {
		s = s.Parent
	}
	return s
}

// Load is one reading of a configuration against a Schema.
type Load struct {
	Schema    *Schema
	Resources *Resources
	// Prefix is the folder from which relative paths of logs and roots start (-p). ConfDir
	// is the one for certificates and includes.
	Prefix  string
	ConfDir string

	errs     Errors
	warnings []Warning
	writable []Writable
	hidden   []string
	entered  []Entered
	deferred []func() error
	shared   map[string]any
}

// Warning is advice about a configuration that is accepted. `check` prints it, and a start
// logs it. A Verbose one is printed by `check -v` only.
type Warning struct {
	Pos     Pos
	Msg     string
	Verbose bool
}

// Writable is a folder that the serving user must be able to write to, because
// of the directive at Pos.
type Writable struct {
	Pos    Pos
	Folder osfile.Folder
}

// Writes records that the serving user must be able to write to f.
func (l *Load) Writes(pos Pos, f osfile.Folder) {
	if !slices.ContainsFunc(l.writable, func(w Writable) bool { return w.Folder.Path == f.Path }) {
		l.writable = append(l.writable, Writable{pos, f})
	}
}

// Hides records a folder whose files, such as private keys, must not be sent to clients.
func (l *Load) Hides(path string) { l.hidden = append(l.hidden, path) }

// Hidden returns the folders of Hides.
func (l *Load) Hidden() []string { return l.hidden }

// WritesTemporary records a folder for temporary files. They have no names, or names that
// begin with "alicorn-".
func (l *Load) WritesTemporary(pos Pos, path string) {
	l.Writes(pos, osfile.Folder{Path: path, Mode: 0o700, Holds: func(name string) bool { return strings.HasPrefix(name, "alicorn-") }})
}

// Writable returns the folders of Writes, each once.
func (l *Load) Writable() []Writable { return l.writable }

// Entered is a folder or a file that the serving user must be able to reach,
// because of the directive at Pos.
type Entered struct {
	Pos  Pos
	Path string
	Read bool // Path is a file that the user must be able to read
}

// Enters records that the serving user must be able to reach path.
func (l *Load) Enters(pos Pos, path string) {
	l.entered = append(l.entered, Entered{Pos: pos, Path: path})
}

// Reads records that the serving user must be able to read the file at path.
func (l *Load) Reads(pos Pos, path string) {
	l.entered = append(l.entered, Entered{Pos: pos, Path: path, Read: true})
}

// Entered returns the paths of Enters and Reads.
func (l *Load) Entered() []Entered { return l.entered }

// Warn records a Warning about the place pos.
func (l *Load) Warn(pos Pos, format string, args ...any) {
	l.warnings = append(l.warnings, Warning{Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

// Note records a Verbose Warning about the place pos.
func (l *Load) Note(pos Pos, format string, args ...any) {
	l.warnings = append(l.warnings, Warning{Pos: pos, Msg: fmt.Sprintf(format, args...), Verbose: true})
}

// Warnings returns all Warnings, in the order in which they were found.
func (l *Load) Warnings() []Warning { return l.warnings }

// Fail records a mistake at pos; reading goes on.
func (l *Load) Fail(pos Pos, format string, args ...any) { l.errs.Add(pos, format, args...) }

// FailWith records err: at pos, unless it has positions of its own. err may be nil.
func (l *Load) FailWith(pos Pos, err error) {
	var one *Error
	var many Errors
	switch {
	case err == nil:
	case errors.As(err, &many):
		l.errs = append(l.errs, many...)
	case errors.As(err, &one):
		l.errs = append(l.errs, one)
	default:
		l.errs.Add(pos, "%s", err)
	}
}

// Defer makes Finish call check, once all directives were read. It is for references
// between blocks, variables and combinations. check may call Defer. Its error is reported
// at pos, unless it has a position.
func (l *Load) Defer(pos Pos, check func() error) {
	l.deferred = append(l.deferred, func() error {
		l.FailWith(pos, check())
		return nil
	})
}

// Finish runs the deferred checks, each once. It returns all mistakes that were found so
// far, each once and sorted by place, or nil.
func (l *Load) Finish() error {
	for len(l.deferred) > 0 {
		d := l.deferred
		l.deferred = nil
		for _, f := range d {
			f()
		}
	}
	l.errs.Sort()
	return l.errs.Err()
}

// Read gives the tree its meaning. It calls the Setter of each directive, in each block
// simple directives before blocks, and returns the main Scope. Finish returns the
// mistakes.
func (l *Load) Read(root *Node) *Scope {
	main := &Scope{Node: root, Context: Main | HTTP, load: l, own: map[string]*Node{}}
	main.values = make([]any, len(l.Schema.settings))
	for i, k := range l.Schema.settings {
		main.values[i] = k.defaults()
	}
	main.read(root.Children)
	return main
}

func (s *Scope) read(nodes []*Node) {
	type block struct {
		d *Directive
		n *Node
	}
	var blocks []block
	for _, n := range nodes {
		d := s.check(n)
		switch {
		case d == nil:
		case d.opensScope():
			blocks = append(blocks, block{d, n})
		case d.NoEffect:
			s.load.Note(n.Pos, "%q has no effect here: %s", n.Name, d.Help)
		default:
			s.load.FailWith(n.Pos, d.Set(s, n))
		}
	}
	for _, b := range blocks {
		s.open(b.d, b.n)
	}
	for _, k := range s.load.Schema.settings {
		s.load.FailWith(s.Node.Pos, k.leave(s))
	}
}

// check validates place, arity, block and repetition. If the directive cannot be used,
// check records the mistake and returns nil.
func (s *Scope) check(n *Node) *Directive {
	d, elsewhere := s.load.Schema.lookup(n.Name, s)
	l := s.load
	switch {
	case d == nil && elsewhere != "":
		l.Fail(n.Pos, "directive %q is not allowed in %s (allowed in: %s)", n.Name, s.where(), elsewhere)
	case d == nil:
		l.errs = append(l.errs, l.Schema.unknown(n, s))
	case len(n.Args) < d.Args.Min || d.Args.Max >= 0 && len(n.Args) > d.Args.Max:
		l.errs = append(l.errs, wrongArity(n, d))
	case d.Block && !n.Block:
		l.Fail(n.Pos, "directive %q needs a block: %s { ... }", n.Name, n.Name)
	case !d.Block && n.Block:
		l.Fail(n.Pos, "directive %q takes no block; it ends with \";\"", n.Name)
	case !d.Repeat && s.own[n.Name] != nil:
		l.Fail(n.Pos, "directive %q is duplicate; the first is at %s", n.Name, s.own[n.Name].Pos)
	default:
		s.own[n.Name] = n
		return d
	}
	return nil
}

func (sc *Schema) unknown(n *Node, in *Scope) *Error {
	if sc.Foreign != nil {
		if what := sc.Foreign(n.Name); what != "" {
			return &Error{Pos: n.Pos, Msg: what}
		}
	}
	return &Error{Pos: n.Pos, Msg: fmt.Sprintf("unknown directive %q", n.Name), Hint: sc.meant(n, in)}
}

// meant returns the hint that names the directive that an unknown one most likely is: one
// of this block, of another block, or a foreign one; "" if none is near.
func (sc *Schema) meant(n *Node, in *Scope) string {
	if near := Nearest(n.Name, sc.namesIn(in)); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if near := Nearest(n.Name, slices.Sorted(maps.Keys(sc.directives))); near != "" {
		_, elsewhere := sc.lookup(near, in)
		return fmt.Sprintf("did you mean %q? It is not allowed in %s (allowed in: %s)", near, in.where(), elsewhere)
	}
	if sc.ForeignNear != nil {
		return sc.ForeignNear(n.Name)
	}
	return ""
}

func wrongArity(n *Node, d *Directive) *Error {
	e := &Error{Pos: n.Pos, Msg: fmt.Sprintf("directive %q takes %s, not %d", n.Name, d.Args, len(n.Args))}
	if _, ok := n.SwallowedLine(); ok {
		e.Hint = fmt.Sprintf("is the \";\" missing at the end of line %d?", n.Pos.Line)
		if at, ok := n.UnterminatedAt(); ok {
			e.Pos = at
		}
	}
	return e
}

func (s *Scope) where() string {
	if s.Parent == nil {
		return "main"
	}
	return fmt.Sprintf("%q", s.Node.Name)
}

func (s *Scope) open(d *Directive, n *Node) {
	child := &Scope{Node: n, Context: d.Opens, Parent: s, opener: d, load: s.load, own: map[string]*Node{}}
	child.values = make([]any, len(s.values))
	for i, k := range s.load.Schema.settings {
		child.values[i] = k.copyOf(s.values[i])
	}
	for _, k := range s.load.Schema.settings {
		k.enter(child)
	}
	s.Blocks = append(s.Blocks, child)
	if d.Set != nil {
		s.load.FailWith(n.Pos, d.Set(child, n))
	}
	child.read(n.Children)
}

// Shared returns the T of this Load; the first call makes it. A feature has there what
// belongs to the whole configuration, such as a registry of names.
func Shared[T any](l *Load, make func() *T) *T {
	key := fmt.Sprintf("%T", (*T)(nil))
	if v, ok := l.shared[key]; ok {
		return v.(*T)
	}
	if l.shared == nil {
		l.shared = map[string]any{}
	}
	v := make()
	l.shared[key] = v
	return v
}

// Path returns name as an absolute path. A relative name starts from Prefix, as in nginx
// for roots, logs and temporary paths.
func (l *Load) Path(name string) string { return absolute(l.Prefix, name) }

// ConfPath returns name as an absolute path. A relative name starts from ConfDir, as in
// nginx for certificates and password files.
func (l *Load) ConfPath(name string) string { return absolute(l.ConfDir, name) }

func absolute(dir, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
