package static

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// root is a root or alias directive.
type root struct {
	path *proxy.Template
	kind rootKind
	name string // for an alias: the name of its location
}

type rootKind uint8

const (
	rootPlain   rootKind = iota
	aliasPrefix          // an alias that replaces the location's name in the path
	aliasWhole           // an alias in a regular expression location: the whole file name
)

func (m module) mapping() []config.Directive {
	return []config.Directive{
		{Name: "root", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, Syntax: "DIRECTORY", Default: "html", Set: m.setRoot,
			Help: "The folder of the files: with root /www; the path /a/b is the file /www/a/b. A relative folder is in the prefix directory. It may have variables, whose values must not have \"..\"."},
		{Name: "alias", In: config.Location, Args: config.OneArg, Syntax: "PATH", Set: m.setAlias,
			Help: "Replaces the location's name in the path: in location /i/ { alias /www/images/; } the path /i/a.png is the file /www/images/a.png. In a regular expression location PATH is the whole file name, which may have captures. Unlike in nginx, files are always below PATH: location /i { alias /www/images/; } serves neither /i../x nor /ix."},
		{Name: "index", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "FILE ...", Default: "index.html", Set: m.setIndex,
			Help: "The files that answer for a folder. The request is redirected internally to the first one that exists. A last one that begins with / is used without a check. They may have variables."},
		{Name: "try_files", In: config.Server | config.Location, Args: config.Arity{Min: 2, Max: -1}, Syntax: "FILE ... URI | =CODE | @NAME", Set: m.setTry,
			Help: "Serves the first FILE that exists; a name that ends in / is a folder. If none exists, the request is redirected internally to URI, whose arguments replace the request's, or to @NAME, or is answered with the status CODE. The directive is not inherited. Unlike in nginx, names are normalised, and cannot lead out of the root with \"..\"."},
	}
}

func (m module) setRoot(s *config.Scope, n *config.Node) error {
	if s.Own("alias") != nil {
		return errors.New("\"root\" and \"alias\" cannot stand in one location")
	}
	path, err := pathTemplate(s, n)
	if err != nil {
		return err
	}
	m.k.In(s).root = root{path: path}
	return nil
}

func (m module) setAlias(s *config.Scope, n *config.Node) error {
	if s.Own("root") != nil {
		return errors.New("\"root\" and \"alias\" cannot stand in one location")
	}
	name, kind := locationName(s.Node)
	if strings.HasPrefix(name, "@") {
		return errors.New("\"alias\" cannot be used inside a named location")
	}
	if kind == aliasPrefix && strings.HasSuffix(n.Arg(0), "/") != strings.HasSuffix(name, "/") {
		s.Load().Warn(n.Pos, "location %q and alias %q should both end in a slash, or neither", name, n.Arg(0))
	}
	path, err := pathTemplate(s, n)
	if err != nil {
		return err
	}
	m.k.In(s).root = root{path, kind, name}
	return nil
}

// locationName returns the name of the location n without its modifier, and the kind of an
// alias in it.
func locationName(n *config.Node) (name string, kind rootKind) {
	mod, name := "", n.Arg(len(n.Args)-1)
	if len(n.Args) == 2 {
		mod = n.Arg(0)
	} else {
		for _, m := range []string{"=", "^~", "~*", "~"} {
			if rest, ok := strings.CutPrefix(name, m); ok {
				mod, name = m, rest
				break
			}
		}
	}
	if strings.HasPrefix(mod, "~") {
		return name, aliasWhole
	}
	return name, aliasPrefix
}

// circular are the variables whose values depend on the root.
var circular = []string{"document_root", "realpath_root", "request_filename"}

func pathTemplate(s *config.Scope, n *config.Node) (*proxy.Template, error) {
	text := n.Arg(0)
	for _, v := range circular {
		if strings.Contains(text, "$"+v) || strings.Contains(text, "${"+v) {
			return nil, &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("the variable $%s cannot be used in %q: its value depends on that directive", v, n.Name)}
		}
	}
	if !strings.HasPrefix(text, "$") {
		text = s.Load().Path(text)
	}
	t := proxy.ParseTemplate(s.Load(), n.Args[0].Pos, withoutParents(text, strings.HasSuffix(n.Arg(0), "/")))
	if path, ok := t.Static(); ok && filepath.IsAbs(path) {
		s.Load().Enters(n.Args[0].Pos, path)
	}
	return t, nil
}

// withoutParents resolves the ".." in a name. With slash the result ends in one.
func withoutParents(name string, slash bool) string {
	if strings.Contains(name+"/", "/../") {
		name = filepath.Clean(name)
	}
	if slash && !strings.HasSuffix(name, "/") {
		name += "/"
	}
	return name
}

func (m module) setIndex(s *config.Scope, n *config.Node) error {
	for i, a := range n.Args {
		if strings.HasPrefix(a.Text, "/") && i < len(n.Args)-1 {
			s.Load().Warn(a.Pos, "only the last index parameter should be \"absolute\"")
		}
		m.k.In(s).index.Add(s, proxy.ParseTemplate(s.Load(), a.Pos, a.Text))
	}
	return nil
}

// appendRoot appends the root or alias. ok is false if the value of a variable has a "..".
func (st *site) appendRoot(x *proxy.Exchange, dst []byte) (_ []byte, ok bool) {
	if text, static := st.root.path.Static(); static {
		return append(dst, text...), true
	}
	start := len(dst)
	dst = st.root.path.Append(x, dst)
	return dst, !climbs(dst[start:])
}

// climbs reports whether a name has a ".." segment or a NUL.
func climbs[T string | []byte](name T) bool {
	for i := range len(name) {
		switch name[i] {
		case 0:
			return true
		case '.':
			if i+1 < len(name) && name[i+1] == '.' && (i == 0 || name[i-1] == '/') && (i+2 == len(name) || name[i+2] == '/') {
				return true
			}
		}
	}
	return false
}

// appendName appends the name of the file that path maps to. ok is false for a path that leads
// out of the root, or that the alias does not cover.
func (st *site) appendName(x *proxy.Exchange, dst []byte, path string) (_ []byte, ok bool) {
	if st.root.kind == aliasWhole {
		if n := st.named.In(x); n.file != "" && n.uri == x.URIChanges() {
			return append(dst, n.file...), true
		}
	}
	start := len(dst)
	if dst, ok = st.appendRoot(x, dst); !ok {
		return dst, false
	}
	if st.root.kind == aliasWhole {
		return dst, true
	}
	if x.Internal && (climbs(path) || !strings.HasPrefix(path, "/")) { // the target of a redirect may have variables
		return dst, false
	}
	if st.root.kind == aliasPrefix {
		rest, ok := st.root.below(path)
		if !ok || rest == "" {
			return dst, ok
		}
		return join(dst, start, rest), true
	}
	return join(dst, start, path), true
}

// below returns the part of path behind the location's name. ok is false if the alias does not
// cover path. An alias of the location "/static" covers neither "/static../secret", which
// would lead out of it, nor "/staticfile".
func (r root) below(path string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, r.name)
	return rest, ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(r.name, "/"))
}

// join appends rest to the folder dst[start:], with one slash between them.
func join(dst []byte, start int, rest string) []byte {
	if len(dst) > start && dst[len(dst)-1] == '/' {
		dst = dst[:len(dst)-1]
	}
	if !strings.HasPrefix(rest, "/") {
		dst = append(dst, '/')
	}
	return append(dst, rest...)
}
