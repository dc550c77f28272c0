// Package static serves files: a location that has no other content.
//
//	module     directives and variables; what a location compiles to
//	mapping    path -> file name: root, alias
//	files      open, judge, send; directories, index, autoindex
//	try        try_files
//	condition  If-* preconditions, RFC 9110 section 13
//	ranges     Range, RFC 9110 section 14
//	encoded    precompressed files beside a file
//	expires    Expires and Cache-Control
//	refusal    which part of a path refuses, for the log
//
// Nothing is cached: a changed file is seen by the next request. A file is
// opened without blocking, so that a FIFO cannot hold the request, and only
// regular files are served. What is announced is sent or the connection ends.
package static

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// settings is what blocks say about files.
type settings struct {
	root      *proxy.Template
	rootPos   config.Pos
	alias     bool // root is an alias
	aliasOf   *config.Scope
	index     config.List[*proxy.Template]
	try       *tryFiles
	autoindex bool
	format    listFormat
	exactSize bool
	localTime bool
	etag      bool
	modified  modifiedSince
	maxRanges int // -1: no bound
	gzip      gzipStatic
	encoded   bool
	expires   *expires
}

type modifiedSince uint8

const (
	modifiedExact modifiedSince = iota
	modifiedBefore
	modifiedOff
)

type gzipStatic uint8

const (
	gzipOff gzipStatic = iota
	gzipOn
	gzipAlways
)

type module struct{ k *config.Key[settings] }

// Module returns the feature. It stands last in the list: it is the content
// of locations that have none.
func Module() proxy.Module {
	m := module{config.NewKey(func() settings {
		return settings{exactSize: true, etag: true, maxRanges: -1}
	})}
	m.k.Enter = func(s *config.Scope, c *settings) { c.try = nil }
	return proxy.Module{
		Name:       "static",
		Settings:   m.k,
		Directives: append(m.mapping(), m.answers()...),
		Variables:  variables(),
		Compile:    m.compile,
	}
}

// site is one location's files, compiled.
type site struct {
	settings
	indexes  []*proxy.Template
	location *proxy.Location
}

func (m module) compile(s *config.Scope, l *proxy.Location) error {
	c := m.k.In(s)
	st := &site{settings: *c, indexes: c.index.Items(), location: l}
	if st.root == nil {
		st.root = proxy.ParseTemplate(s.Load(), s.Node.Pos, s.Load().Path("html"))
	}
	if len(st.indexes) == 0 {
		st.indexes = []*proxy.Template{proxy.ParseTemplate(s.Load(), s.Node.Pos, "index.html")}
	}
	if st.alias && c.aliasOf != s && l.Kind != proxy.LocationServer && c.aliasOf.Context == config.Location {
		// a nested location inherits its parent's alias, as in nginx: the
		// parent's name is what the alias replaces
		st.location = nil
	}
	if c.expires != nil {
		l.FilterHeader(c.expires.filter)
	}
	if c.try != nil {
		l.On(proxy.PreContent, func(x *proxy.Exchange) error { return c.try.run(st, x) })
	}
	l.Files = st
	l.SetContent(st)
	return nil
}

func (m module) mapping() []config.Directive {
	return []config.Directive{
		{Name: "root", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, Syntax: "DIRECTORY", Default: "html", Set: m.setRoot,
			Help: "The folder that paths are looked up in: root /www; serves /a/b from /www/a/b. Relative to the prefix directory; may have variables."},
		{Name: "alias", In: config.Location, Args: config.OneArg, Syntax: "PATH", Set: m.setAlias,
			Help: "Replaces the location's name in the path: location /i/ { alias /www/images/; } serves /i/a.png from /www/images/a.png. In a regular expression location it is the whole file name. Unlike nginx's, the result stays under the alias: location /i { alias /www/images/; } does not serve /i../x."},
		{Name: "index", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "FILE ...", Default: "index.html", Set: m.setIndex,
			Help: "The files that answer for a folder, the first that exists; a last one that begins with / is an internal redirect."},
		{Name: "try_files", In: config.Server | config.Location, Args: config.Arity{Min: 2, Max: -1}, Syntax: "FILE ... URI | =CODE | @NAME", Set: m.setTry,
			Help: "Serves the first file that exists (a folder, when the name ends in /), else redirects internally to the last word or answers with its status."},
	}
}

func (m module) setRoot(s *config.Scope, n *config.Node) error {
	c := m.k.In(s)
	if s.Own("alias") != nil {
		return errors.New("\"root\" and \"alias\" cannot stand in one location")
	}
	c.root, c.rootPos, c.alias = pathTemplate(s, n), n.Pos, false
	return nil
}

func pathTemplate(s *config.Scope, n *config.Node) *proxy.Template {
	text := n.Arg(0)
	if !strings.HasPrefix(text, "$") {
		text = s.Load().Path(text)
	}
	if strings.HasSuffix(n.Arg(0), "/") && !strings.HasSuffix(text, "/") {
		text += "/"
	}
	return proxy.ParseTemplate(s.Load(), n.Args[0].Pos, text)
}

func (m module) setAlias(s *config.Scope, n *config.Node) error {
	c := m.k.In(s)
	if s.Own("root") != nil {
		return errors.New("\"root\" and \"alias\" cannot stand in one location")
	}
	name := s.Node.Arg(len(s.Node.Args) - 1)
	if strings.HasPrefix(name, "@") {
		return errors.New("\"alias\" cannot be used inside a named location")
	}
	if len(s.Node.Args) == 1 && strings.HasSuffix(n.Arg(0), "/") != strings.HasSuffix(name, "/") {
		s.Load().Warn(n.Pos, "location %q and alias %q should both end in a slash, or neither", name, n.Arg(0))
	}
	c.root, c.rootPos, c.alias, c.aliasOf = pathTemplate(s, n), n.Pos, true, s
	return nil
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

// answers is the table of directives about the response.
func (m module) answers() []config.Directive {
	k := m.k
	flag := func(name, def, help string, field func(c *settings) *bool) config.Directive {
		return config.Directive{Name: name, In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: def, Help: help, Set: config.Flag(k, field)}
	}
	return []config.Directive{
		flag("autoindex", "off", "Lists a folder that has no index file.", func(c *settings) *bool { return &c.autoindex }),
		{Name: "autoindex_format", In: config.AnyLevel, Args: config.OneArg, Syntax: "html | json", Default: "html",
			Help: "The form of folder lists. nginx's xml and jsonp are not there.",
			Set: config.Enum(k, []config.Choice[listFormat]{{Word: "html", Value: listHTML}, {Word: "json", Value: listJSON}},
				func(c *settings) *listFormat { return &c.format })},
		flag("autoindex_exact_size", "on", "Lists exact sizes; off rounds them to K, M and G.", func(c *settings) *bool { return &c.exactSize }),
		flag("autoindex_localtime", "off", "Lists times in the local zone instead of UTC.", func(c *settings) *bool { return &c.localTime }),
		flag("etag", "on", "Sends an ETag made of time and size.", func(c *settings) *bool { return &c.etag }),
		{Name: "sendfile", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, NoEffect: true,
			Help: "files above 64 KiB are sent by the kernel and smaller ones copied, which measured best."},
		{Name: "if_modified_since", In: config.AnyLevel, Args: config.OneArg, Syntax: "off | exact | before", Default: "exact",
			Help: "When If-Modified-Since makes the answer 304: for exactly the file's time, for its time or later, or never.",
			Set: config.Enum(k, []config.Choice[modifiedSince]{{Word: "exact", Value: modifiedExact}, {Word: "before", Value: modifiedBefore}, {Word: "off", Value: modifiedOff}},
				func(c *settings) *modifiedSince { return &c.modified })},
		{Name: "max_ranges", In: config.AnyLevel, Args: config.OneArg, Syntax: "NUMBER", Default: "no bound",
			Help: "How many ranges one request may ask for; with more the whole file is sent. 0 ignores ranges.",
			Set:  config.Int(k, 0, 1<<20, func(c *settings) *int { return &c.maxRanges })},
		{Name: "gzip_static", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off | always", Default: "off",
			Help: "Sends FILE.gz in place of FILE to clients that take gzip, or to all.",
			Set: config.Enum(k, []config.Choice[gzipStatic]{{Word: "off", Value: gzipOff}, {Word: "on", Value: gzipOn}, {Word: "always", Value: gzipAlways}},
				func(c *settings) *gzipStatic { return &c.gzip })},
		flag("precompressed", "off", "Sends FILE.zst, FILE.br or FILE.gz in place of FILE, the one that the client's Accept-Encoding likes best. nginx has only gzip_static.",
			func(c *settings) *bool { return &c.encoded }),
		{Name: "expires", In: config.AnyLevel | config.LocationIf, Args: config.Arity{Min: 1, Max: 2}, Syntax: "[modified] TIME | @TIME | epoch | max | off", Default: "off", Set: m.setExpires,
			Help: "Sets Expires and Cache-Control on responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308: a time from now, or from the file's change; @TIME is a time of day; epoch says not to cache, max for ten years."},
	}
}

func variables() []proxy.Variable {
	name := func(f func(st *site, x *proxy.Exchange) string) proxy.Getter {
		return func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			l := x.Location
			if l == nil {
				l = x.Server.Root
			}
			st, ok := l.Files.(*site)
			if !ok {
				return dst, false
			}
			return append(dst, f(st, x)...), true
		}
	}
	return []proxy.Variable{
		{Name: "document_root", Get: name(func(st *site, x *proxy.Exchange) string { return strings.TrimSuffix(st.root.String(x), "/") })},
		{Name: "request_filename", Get: name(func(st *site, x *proxy.Exchange) string { f, _ := st.filename(x, x.Req.Path); return f })},
		{Name: "realpath_root", Get: name(func(st *site, x *proxy.Exchange) string {
			real, err := filepath.EvalSymlinks(st.root.String(x))
			if err != nil {
				return ""
			}
			return real
		})},
	}
}

// filename maps path to a file's name. ok is false for paths that an alias
// does not cover.
func (st *site) filename(x *proxy.Exchange, path string) (name string, ok bool) {
	root := st.root.String(x)
	if !st.alias {
		return strings.TrimSuffix(root, "/") + path, true
	}
	l := st.location
	if l == nil {
		l = x.Location
	}
	if l.Kind == proxy.LocationRegex {
		return root, !strings.Contains(root, "/../") && !strings.HasSuffix(root, "/..")
	}
	rest, found := strings.CutPrefix(path, l.Name)
	if !found {
		return "", false
	}
	if rest == "" {
		return root, true
	}
	if !strings.HasSuffix(l.Name, "/") && rest[0] != '/' {
		// "/static../secret" would leave the alias; "/staticfile" never meant it
		return "", false
	}
	return strings.TrimSuffix(root, "/") + "/" + strings.TrimPrefix(rest, "/"), true
}

// open opens name for reading without waiting, whatever it is.
func open(name string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot stat %s: %w", name, err)
	}
	return f, st, nil
}
