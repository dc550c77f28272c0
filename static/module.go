// Package static serves files, in locations that have no other content.
//
//	site       the compiled settings of one location
//	lookup     finds and opens the file of one request
//	openCache  open_file_cache: names of recent requests, each with a snapshot
//	snapshot   one version of the file that has a name
//
// Without open_file_cache nothing is kept, and each request sees the present file. With it a
// response is made from one snapshot, so that its head and its bytes are of the same version.
// Files are opened without blocking, so that a FIFO cannot hold up a request, and only regular
// files are served. If fewer bytes can be sent than the head has announced, the connection
// closes.
package static

// Files, in the order of the story:
//
//   - module.go cachedirectives.go mapping.go links.go try.go: directives, and the file names of requests
//   - files.go autoindex.go expires.go emptygif.go: content
//   - lookup.go openfile_linux.go hidden.go: from a path to an open file
//   - snapshot.go descriptor.go encoded.go validators.go: what is known of a file
//   - condition.go ranges.go: the part of a file that is sent
//   - opencache.go opencache_list.go memory.go: the files that are kept open or in memory

import (
	"path/filepath"
	"slices"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// settings are the settings of the directives about files.
type settings struct {
	root      root
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
	opened    cacheUse
	links     linkSettings
	gif       bool // empty_gif
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

type module struct {
	k     *config.Key[settings]
	table *validatorTable
	sites *proxy.LocationSlot[*site] // for variables, also of locations with another content
	named *proxy.ExchangeSlot[named]
}

// named is the file that try_files has found, if the path does not name it. It is valid until
// the path changes.
type named struct {
	file string // "": none
	uri  int    // the Exchange.URIChanges at that time
}

// Module returns the feature. It is the last one in the list of modules, because it is the
// content of locations that have no other.
func Module() proxy.Module {
	m := module{config.NewKey(func() settings {
		return settings{exactSize: true, etag: true, maxRanges: -1, opened: cacheUse{valid: time.Minute, minUses: 1}}
	}), new(validatorTable), new(proxy.LocationSlot[*site]), new(proxy.ExchangeSlot[named])}
	m.k.Enter = func(s *config.Scope, c *settings) { c.try, c.gif = nil, false }
	return proxy.Module{
		Name:       "static",
		Settings:   m.k,
		Directives: slices.Concat(m.mapping(), m.answers(), m.caching(), []config.Directive{m.links(), m.emptyGIF()}, withoutEffect()),
		State:      []proxy.Slot{m.sites, m.named},
		Content:    []string{"empty_gif"},
		Variables:  m.variables(),
		Compile:    m.compile,
		Generation: func(s *config.Scope, g *proxy.Generation) error {
			closeCaches(s, g)
			hiddenOf(s.Load()).find(s.Load().Hidden())
			return nil
		},
	}
}

// site is the compiled settings of one location, and its content.
type site struct {
	settings
	indexes []*proxy.Template
	table   *validatorTable
	named   *proxy.ExchangeSlot[named]
	hidden  *hidden
}

func (m module) compile(s *config.Scope, l *proxy.Location) error {
	c := m.k.In(s)
	st := &site{settings: *c, indexes: c.index.Items(), table: m.table, named: m.named, hidden: hiddenOf(s.Load())}
	if st.root.path == nil {
		st.root.path = proxy.ParseTemplate(s.Load(), s.Node.Pos, s.Load().Path("html"))
	}
	if len(st.indexes) == 0 {
		st.indexes = []*proxy.Template{proxy.ParseTemplate(s.Load(), s.Node.Pos, "index.html")}
	}
	if st.opened.cache != nil && st.opened.memory == nil {
		st.opened.memory = st.opened.cache.memory
	}
	if c.try != nil {
		l.On(proxy.PreContent, func(x *proxy.Exchange) error { return c.try.run(st, x) })
	}
	m.sites.Set(l, st)
	if c.gif {
		l.SetContent(proxy.HandlerFunc(st.serveGIF))
	}
	l.SetContent(st)
	return nil
}

// answers returns the directives about the response.
func (m module) answers() []config.Directive {
	k := m.k
	flag := func(name, def, help string, field func(c *settings) *bool) config.Directive {
		return config.Directive{Name: name, In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: def, Help: help, Set: config.Flag(k, field)}
	}
	return []config.Directive{
		flag("autoindex", "off", "Answers with a list of the folder, if the folder has no index file. The list has up to 100000 names.", func(c *settings) *bool { return &c.autoindex }),
		{Name: "autoindex_format", In: config.AnyLevel, Args: config.OneArg, Syntax: "html | json", Default: "html",
			Help: "The format of folder lists. nginx's xml and jsonp are not available.",
			Set: config.Enum(k, []config.Choice[listFormat]{{Word: "html", Value: listHTML}, {Word: "json", Value: listJSON}},
				func(c *settings) *listFormat { return &c.format })},
		flag("autoindex_exact_size", "on", "Folder lists have exact sizes. off rounds them to K, M and G.", func(c *settings) *bool { return &c.exactSize }),
		flag("autoindex_localtime", "off", "Folder lists have times in the local time zone instead of UTC.", func(c *settings) *bool { return &c.localTime }),
		flag("etag", "on", "Sends an ETag, made of the file's time and size.", func(c *settings) *bool { return &c.etag }),
		{Name: "if_modified_since", In: config.AnyLevel, Args: config.OneArg, Syntax: "off | exact | before", Default: "exact",
			Help: "When a request with If-Modified-Since is answered with 304: exact if it has exactly the file's time, before if it has that time or a later one, off never.",
			Set: config.Enum(k, []config.Choice[modifiedSince]{{Word: "exact", Value: modifiedExact}, {Word: "before", Value: modifiedBefore}, {Word: "off", Value: modifiedOff}},
				func(c *settings) *modifiedSince { return &c.modified })},
		{Name: "max_ranges", In: config.AnyLevel, Args: config.OneArg, Syntax: "NUMBER", Default: "no bound",
			Help: "How many ranges a request may ask for. If it asks for more, the whole file is sent. 0 ignores ranges.",
			Set:  config.Int(k, 0, 1<<20, func(c *settings) *int { return &c.maxRanges })},
		{Name: "gzip_static", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off | always", Default: "off",
			Help: "on sends FILE.gz, if it exists, in place of FILE to clients that accept gzip, and Vary: Accept-Encoding with either. always sends FILE.gz to all clients. Clients may ask for ranges of FILE.gz. For .br and .zst files see precompressed.",
			Set: config.Enum(k, []config.Choice[gzipStatic]{{Word: "off", Value: gzipOff}, {Word: "on", Value: gzipOn}, {Word: "always", Value: gzipAlways}},
				func(c *settings) *gzipStatic { return &c.gzip })},
		flag("precompressed", "off", "Sends FILE.zst, FILE.br or FILE.gz, if they exist, in place of FILE: the one with the highest weight in the client's Accept-Encoding, the first of these with equal weights. FILE is sent if identity has a higher weight. Responses for a file with such a variant have Vary: Accept-Encoding. nginx does not have this directive.",
			func(c *settings) *bool { return &c.encoded }),
	}
}

// withoutEffect returns nginx's directives about how bytes get from the disk to the socket.
func withoutEffect() (all []config.Directive) {
	for _, d := range []struct{ name, why string }{
		{"sendfile", "files above 32 KiB are sent by the kernel, and smaller ones are copied."},
		{"aio", "a read that waits for the disk does not hold up other requests."},
		{"aio_write", "a write that waits for the disk does not hold up other requests."},
		{"directio", "files go through the system's cache."},
		{"directio_alignment", "files go through the system's cache."},
		{"read_ahead", "the system reads ahead by itself."},
	} {
		all = append(all, config.Directive{Name: d.name, In: config.AnyLevel | config.LocationIf, Args: config.OneArg, NoEffect: true, Help: d.why})
	}
	return all
}

func (m module) variables() []proxy.Variable {
	of := func(name string, get func(st *site, x *proxy.Exchange, dst []byte) ([]byte, bool)) proxy.Variable {
		return proxy.Variable{Name: name, Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			l := x.Location
			if l == nil {
				l = x.Server.Root
			}
			st := m.sites.Of(l)
			if st == nil {
				return dst, false
			}
			return get(st, x, dst)
		}}
	}
	return []proxy.Variable{
		of("document_root", (*site).documentRoot),
		of("realpath_root", func(st *site, x *proxy.Exchange, dst []byte) ([]byte, bool) {
			real, err := filepath.EvalSymlinks(st.rootText(x))
			return append(dst, real...), err == nil
		}),
		of("request_filename", func(st *site, x *proxy.Exchange, dst []byte) ([]byte, bool) {
			name, ok := st.appendName(x, dst, x.Req.Path)
			if !ok {
				return dst, false
			}
			return name, true
		}),
	}
}

// documentRoot appends $document_root: the root without its last slash, or the alias as it is.
func (st *site) documentRoot(x *proxy.Exchange, dst []byte) ([]byte, bool) {
	start := len(dst)
	dst, ok := st.appendRoot(x, dst)
	if !ok {
		return dst[:start], false
	}
	if st.root.kind == rootPlain && len(dst) > start && dst[len(dst)-1] == '/' {
		dst = dst[:len(dst)-1]
	}
	return dst, true
}

func (st *site) rootText(x *proxy.Exchange) string {
	text, _ := st.documentRoot(x, nil)
	return string(text)
}
