package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"alicorn/config/osfile"
)

// maxTotal is how many bytes the included files of a configuration may have together. A
// file counts as often as it is included.
const maxTotal = 32 << 20

// maxIncludes is how many files a configuration may include. A file counts as often as it
// is included: a few files, of which each includes the next one twice, would take hours.
const maxIncludes = 200_000

// Source is where configuration files are read from.
type Source interface {
	// ReadFile returns a file's content. The error for a missing file is fs.ErrNotExist.
	// A file that is not regular, or larger than osfile.MaxConfig, is an error.
	ReadFile(name string) ([]byte, error)
	// Glob returns the names that match, in the order and by the rules of
	// glob(3) in the C locale, as nginx uses it. No match is not an error.
	Glob(pattern string) ([]string, error)
}

// OS returns the Source of the machine's files.
func OS() Source { return osSource{} }

type osSource struct{}

func (osSource) ReadFile(name string) ([]byte, error) { return osfile.Read(name, osfile.MaxConfig) }

func (osSource) Glob(pattern string) ([]string, error) {
	names, err := filepath.Glob(goPattern(pattern))
	if err != nil {
		return nil, fmt.Errorf("cannot match %q: %w", pattern, err)
	}
	return visible(pattern, names), nil
}

// Memory is a Source of files by name, for tests and generated configurations.
type Memory map[string][]byte

// ReadFile returns the content stored under name.
func (m Memory) ReadFile(name string) ([]byte, error) {
	content, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return content, nil
}

// Glob matches pattern against the stored names.
func (m Memory) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range m {
		ok, err := path.Match(goPattern(pattern), name)
		if err != nil {
			return nil, fmt.Errorf("cannot match %q: %w", pattern, err)
		}
		if ok {
			names = append(names, name)
		}
	}
	return visible(pattern, names), nil
}

// visible sorts the names. It drops those in which a part begins with a dot and
// the pattern's part begins with a wildcard, as glob(3) does.
func visible(pattern string, names []string) []string {
	parts := strings.Split(path.Clean(pattern), "/")
	names = slices.DeleteFunc(names, func(name string) bool {
		for i, part := range strings.Split(name, "/") {
			if i < len(parts) && strings.HasPrefix(part, ".") && strings.IndexAny(parts[i], "*?[") == 0 {
				return true
			}
		}
		return false
	})
	slices.Sort(names)
	return names
}

// goPattern returns the pattern for path.Match that means the same as a pattern of
// glob(3): [!a] becomes [^a], a first ']' in brackets and a '[' without a ']' are escaped.
func goPattern(pattern string) string {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			out.WriteString(pattern[i : i+2])
			i++
		case c == '[' && bracketEnd(pattern, i) > 0:
			end := bracketEnd(pattern, i)
			out.WriteString(goBracket(pattern[i+1 : end]))
			i = end
		case c == '[' || c == '\\':
			out.WriteString(`\` + string(c))
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// bracketEnd returns the offset of the ']' that closes the '[' at i; 0 if there is none.
func bracketEnd(pattern string, i int) int {
	from := i + 1
	if from < len(pattern) && (pattern[from] == '!' || pattern[from] == '^') {
		from++
	}
	from++ // a first ']' is a member
	for j := from; j < len(pattern) && pattern[j] != '/'; j++ {
		switch pattern[j] {
		case '\\':
			j++
		case ']':
			return j
		}
	}
	return 0
}

func goBracket(set string) string {
	out := "["
	if set[0] == '!' || set[0] == '^' {
		out, set = "[^", set[1:]
	}
	if strings.HasPrefix(set, "]") {
		out, set = out+`\]`, set[1:]
	}
	return out + strings.ReplaceAll(set, "[", `\[`) + "]"
}

// Tree is a configuration with its includes followed.
type Tree struct {
	Root     *Node             // included directives are in place of their include
	Files    []string          // every file once, in the order in which they were read
	Contents map[string][]byte // the content of each of Files
}

// Dump writes every file once, each below the line "# configuration file
// NAME:", as nginx -T does.
func Dump(w io.Writer, t *Tree) error {
	for _, name := range t.Files {
		if _, err := fmt.Fprintf(w, "# configuration file %s:\n%s\n", name, t.Contents[name]); err != nil {
			return err
		}
	}
	return nil
}

// Loader reads a configuration that may be spread over files.
type Loader struct {
	Source Source
	// Prefix is the folder from which relative includes start; "": the folder of the main
	// file.
	Prefix string
	// Builtin are files by base name (mime.types), which are used if an included file does
	// not exist. In positions they have the name "NAME (built in)". A Loader does not change
	// them.
	Builtin map[string][]byte
}

// LoadFile reads the configuration in main, and the files that it includes, from src. See
// Loader for prefix.
func LoadFile(main string, src Source, prefix string) (*Tree, error) {
	return Loader{Source: src, Prefix: prefix}.Load(main)
}

// Load reads main and the files that its includes name: all files that match a
// pattern, sorted, or one file, which must exist. The tree is never nil and has the
// directives that could be read. Mistakes in the files are Errors in the order of
// Tree.Files. If main itself cannot be read, the error wraps the Source's.
func (l Loader) Load(main string) (*Tree, error) {
	if l.Prefix == "" {
		l.Prefix = filepath.Dir(main)
	}
	ld := loading{Loader: l, tree: &Tree{Contents: make(map[string][]byte)}}
	content, err := l.Source.ReadFile(main)
	if err != nil {
		ld.tree.Root, _ = Parse(main, nil)
		return ld.tree, fmt.Errorf("cannot read configuration %q: %w", main, osfile.Cause(err))
	}
	ld.tree.Root = ld.parse(main, content, 0)
	ld.errs.Sort(ld.tree.Files...)
	return ld.tree, ld.errs.Err()
}

// loading is one run of a Loader.
type loading struct {
	Loader
	tree  *Tree
	errs  Errors
	chain []string // the files being read, each included by the one before
	size  int      // bytes of included files, each as often as it is included

	included int // included files, each as often as it is included
}

// parse returns the directives of one file, with its includes followed. depth is the number
// of blocks around it.
func (ld *loading) parse(name string, content []byte, depth int) *Node {
	root, err := Parse(name, content)
	if _, again := ld.tree.Contents[name]; !again {
		ld.tree.Files = append(ld.tree.Files, name)
		ld.tree.Contents[name] = content
		if errs, ok := err.(Errors); ok {
			ld.errs = append(ld.errs, errs...)
		}
	}
	ld.chain = append(ld.chain, name)
	root.Children = ld.follow(root.Children, depth)
	ld.chain = ld.chain[:len(ld.chain)-1]
	return root
}

// follow replaces the includes among nodes, and those in their blocks.
func (ld *loading) follow(nodes []*Node, depth int) []*Node {
	out := make([]*Node, 0, len(nodes))
	for _, n := range nodes {
		switch {
		case n.Name == "include":
			out = append(out, ld.include(n, depth)...)
			continue
		case n.Block && depth == maxDepth:
			ld.errs.Add(n.Pos, "blocks are nested deeper than %d", maxDepth)
			continue
		case n.Block:
			n.Children = ld.follow(n.Children, depth+1)
		}
		out = append(out, n)
	}
	return out
}

// Include declares the include directive for the manual. A Loader follows includes, in
// every block, before a Schema sees the tree.
func Include() Directive {
	return Directive{
		Name: "include", In: AnyBlock, Args: OneArg, Repeat: true, Syntax: "FILE | PATTERN",
		Help: "Puts the directives of other files in its place. As in nginx, a relative name starts from the folder of the main configuration file. FILE must exist. Of the files that come with nginx, mime.types, proxy_params, uwsgi_params, scgi_params, fastcgi_params, fastcgi.conf, snippets/fastcgi-php.conf, koi-utf, koi-win and win-utf are built in, and are used if there is no such file. PATTERN has * (any characters), ? (one character), [abc] or [!abc]. It includes all files that match, sorted by name; there may be none. As in a shell, a wildcard matches no slash, and no dot at the beginning of a name. Files may include others, but not in a circle. A configuration may include 200000 files, and 32 MiB. A reload reads all files again.",
		Set: func(*Scope, *Node) error {
			return errors.New(`"include" stands in a file; there is none here`)
		},
	}
}

// include returns the directives of the files that n names.
func (ld *loading) include(n *Node, depth int) []*Node {
	switch {
	case n.Block:
		ld.errs.Add(n.Pos, `directive "include" takes no block; it ends with ";"`)
		return nil
	case len(n.Args) != 1:
		e := &Error{Pos: n.Pos, Msg: fmt.Sprintf(`directive "include" takes one file name, not %d`, len(n.Args))}
		if at, ok := n.UnterminatedAt(); ok {
			e.Hint = fmt.Sprintf(`is the ";" missing at the end of line %d?`, at.Line)
		}
		ld.errs = append(ld.errs, e)
		return nil
	}
	name := n.Arg(0)
	if !filepath.IsAbs(name) {
		name = filepath.Join(ld.Prefix, name)
	}
	if !strings.ContainsAny(n.Arg(0), "*?[") {
		return ld.file(n, name, depth)
	}
	names, err := ld.Source.Glob(name)
	if err != nil {
		ld.errs.Add(n.Args[0].Pos, "%s", err)
	}
	var nodes []*Node
	for _, name := range names {
		nodes = append(nodes, ld.file(n, name, depth)...)
	}
	return nodes
}

// file returns the directives of the file that the node at includes.
func (ld *loading) file(at *Node, name string, depth int) []*Node {
	pos := at.Args[0].Pos
	if i := slices.Index(ld.chain, name); i >= 0 {
		cycle := append(slices.Clone(ld.chain[i:]), name)
		ld.errs.Add(pos, "files include each other in a circle: %s", strings.Join(cycle, " -> "))
		return nil
	}
	if ld.included++; ld.included > maxIncludes {
		if ld.included == maxIncludes+1 {
			ld.errs.Add(pos, "cannot include %q: the configuration has included %d files before", name, maxIncludes)
		}
		return nil
	}
	content, err := ld.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		if builtin, ok := ld.Builtin[filepath.Base(name)]; ok {
			name, content, err = filepath.Base(name)+" (built in)", builtin, nil
		}
	}
	if err != nil {
		ld.errs.Add(pos, "cannot include %q: %s", name, osfile.Cause(err))
		return nil
	}
	before := ld.size
	if ld.size += len(content); ld.size > maxTotal {
		if before <= maxTotal {
			ld.errs.Add(pos, "cannot include %q: the configuration has more than %s with it", name, osfile.SizeText(maxTotal))
		}
		return nil
	}
	return ld.parse(name, content, depth).Children
}

// read reads a file, but only once, however often it is included.
func (ld *loading) read(name string) ([]byte, error) {
	if content, ok := ld.tree.Contents[name]; ok {
		return content, nil
	}
	return ld.Source.ReadFile(name)
}

// Cause returns err without the operation and the path, for a message that already has
// them.
func Cause(err error) error { return osfile.Cause(err) }
