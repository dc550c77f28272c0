package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/tls/acme"
)

// staticDir is a folder that is served under a URL. A folder from a flag is served
// without the application. A folder that the application has reported is served by
// app_static, and the application gets requests for files that are missing or not
// readable. When the application runs as another user than the front, links in its
// folders may only lead to files of the link's owner.
type staticDir struct {
	url, dir  string
	framework string // that has reported the folder; "": it is from a flag
	checked   bool
}

// asks is the named location that passes requests to the application.
const asks = "@app"

// location returns a location block for d with these directives.
func (d staticDir) location(match []string, nodes ...*config.Node) *config.Node {
	if d.checked {
		nodes = append(nodes, config.NewNode("disable_symlinks", "if_not_owner", "from="+d.dir))
	}
	if d.framework != "" {
		nodes = append(nodes, config.NewNode("error_page", "403", "=", asks), config.NewNode("log_not_found", "off"))
	}
	if d.framework == "Flask" {
		nodes = append(nodes, config.NewNode("add_header", "Cache-Control", "no-cache"))
	}
	return config.NewBlock("location", match, nodes...)
}

// appStatic returns the app_static directive for dirs of the application.
func appStatic(dirs []staticDir) *config.Node {
	args := []string{"app", dirs[0].url}
	for _, d := range dirs {
		args = append(args, d.dir)
	}
	return config.NewNode("app_static", append(args, asks)...)
}

// tree builds the configuration for the flags. "alicorn run" runs its text as a file
// in the same way.
func (f *serveFlags) tree(app found, statics []staticDir) (*config.Tree, error) {
	server, err := f.server(app, statics)
	if err != nil {
		return nil, err
	}
	return f.written(append(f.global(app), f.app(app), server))
}

// passing returns a server that passes all requests to the application.
func passing(address string) *config.Node {
	return config.NewBlock("server", nil, config.NewNode("listen", address), config.NewBlock("location", []string{"/"}, config.NewNode("app_pass", "app")))
}

// written returns a tree of nodes that has been printed and read again.
func (f *serveFlags) written(nodes []*config.Node) (*config.Tree, error) {
	root := &config.Node{Block: true, Children: nodes}
	var text bytes.Buffer
	if err := config.Print(&text, root); err != nil {
		return nil, err
	}
	const name = "serve --print-config" // in positions: what prints the lines that they mean
	parsed, err := config.Parse(name, text.Bytes())
	if err == nil {
		f.place(parsed)
	}
	return &config.Tree{Root: parsed, Files: []string{name}, Contents: map[string][]byte{name: text.Bytes()}}, err
}

// requestFormat is the format of requests on a terminal.
const requestFormat = "$request_method $request_uri $status $body_bytes_sent bytes $request_time s"

// global returns the directives at the main level.
func (f *serveFlags) global(app found) []*config.Node {
	nodes := []*config.Node{config.NewNode("client_max_body_size", "0")} // gunicorn has no limit: temp_space bounds bodies
	log := f.errorLog
	if log == "" || log == "-" {
		log = "stderr"
	}
	nodes = append(nodes, config.NewNode("error_log", log, f.level()))
	accessLog := f.accessLog
	if accessLog == "-" || accessLog == "" && f.uvicorn.accessLog == "on" {
		accessLog = "/dev/stdout"
	}
	if accessLog != "" {
		nodes = append(nodes, f.accessNodes(accessLog)...)
	} else if f.onTerminal && f.uvicorn.accessLog != "off" {
		nodes = append(nodes, config.NewNode("log_format", "requests", requestFormat), config.NewNode("access_log", "/dev/stdout", "requests"))
	}
	if f.has("graceful-timeout") {
		nodes = append(nodes, config.NewNode("worker_shutdown_timeout", f.patience()))
	}
	if front := f.frontBeside(app); front != "" {
		nodes = append(nodes, config.NewNode("user", front))
	}
	if f.pid != "" {
		nodes = append(nodes, config.NewNode("pid", f.pid))
	}
	if f.fields > 0 {
		nodes = append(nodes, config.NewNode("max_headers", strconv.Itoa(f.fields)))
	}
	if f.has("limit-request-field_size") && (f.fieldSize == 0 || f.fieldSize > usualField) {
		const most = 64 << 10
		size := min(max(f.fieldSize, usualField), most)
		if f.fieldSize == 0 {
			size = most
		}
		nodes = append(nodes, config.NewNode("large_client_header_buffers", "4", strconv.Itoa((size+1023)>>10)+"k"))
	}
	if f.daemon {
		nodes = append(nodes, config.NewNode("daemon", "on"))
	}
	if f.has("keep-alive") {
		nodes = append(nodes, config.NewNode("keepalive_timeout", strconv.Itoa(f.keepalive)+"s"))
	}
	return nodes
}

// frontBeside returns another user for the front where its default is the
// application's user, which the front may not be; "": the default is right.
func (f *serveFlags) frontBeside(app found) string {
	if os.Geteuid() != 0 {
		return ""
	}
	uid, err := appserver.User(app.directory, f.user)
	if err != nil || uid != keeper.DefaultIdentity().UID {
		return "" // mistakes in the application's user are reported elsewhere
	}
	for _, name := range []string{"alicorn", "www-data", "nobody"} {
		if id, err := keeper.LookupIdentity(name, ""); err == nil && id.UID != uid {
			return name
		}
	}
	return ""
}

func (f *serveFlags) level() string {
	switch f.logLevel {
	case "debug":
		return "debug"
	case "warning":
		return "warn"
	case "error":
		return "error"
	case "critical":
		return "crit"
	}
	return "notice"
}

// printing returns the directives for the application's output. Without
// --capture-output it stays on standard error, as in gunicorn, unless the server is
// a daemon, which has none.
func (f *serveFlags) printing() (n []*config.Node) {
	if f.errorLog != "" && f.errorLog != "-" && !f.capture && !f.daemon {
		n = append(n, config.NewNode("output", "stderr"))
	}
	if f.logLevel != "" && f.logLevel != "info" {
		n = append(n, config.NewNode("logger_level", f.logLevel))
	}
	return n
}

// app returns the app block.
func (f *serveFlags) app(app found) *config.Node {
	n := []*config.Node{config.NewNode(cmp.Or(app.kind, "wsgi"), app.app), config.NewNode("directory", app.directory)}
	n = append(n, f.printing()...)
	number := func(name string, v int, unit string) {
		if v > 0 {
			n = append(n, config.NewNode(name, strconv.Itoa(v)+unit))
		}
	}
	number("workers", f.workers, "")
	if app.kind == "asgi" {
		n = append(n, f.asgiNodes()...)
	} else {
		number("threads", f.threads, "")
	}
	n = append(n, f.timeouts(app.kind)...)
	n = append(n, f.startup(app.kind)...)
	if f.has("graceful-timeout") {
		n = append(n, config.NewNode("graceful_timeout", f.patience()))
	}
	if f.maxRequests > 0 {
		args := []string{strconv.Itoa(f.maxRequests)}
		if f.jitter > 0 {
			args = append(args, strconv.Itoa(f.jitter))
		}
		n = append(n, config.NewNode("max_requests", args...))
	}
	n = append(n, f.python(app)...)
	if f.has(schemesFlag) {
		pairs := f.schemes
		if len(pairs) == 0 {
			pairs = []string{"none"}
		}
		n = append(n, config.NewNode("secure_scheme_headers", pairs...))
	}
	if f.has("forwarded-allow-ips") || f.uvicorn.proxyHeaders == "off" {
		list := addressList(f.proxies)
		if len(list) == 0 || f.uvicorn.proxyHeaders == "off" {
			list = []string{"none"}
		}
		n = append(n, config.NewNode("forwarded_allow_ips", list...))
	}
	n = append(n, config.NewNode("forwarded_for", "keep"))
	if f.user != "" {
		n = append(n, config.NewNode("user", f.user))
	}
	if f.group != "" {
		n = append(n, config.NewNode("group", f.group))
	}
	return config.NewBlock("app", []string{"app"}, n...)
}

// patience returns --graceful-timeout as a time. 0 means at once, which becomes a very
// short time.
func (f *serveFlags) patience() string {
	if f.grace == 0 {
		return "1ms"
	}
	return strconv.Itoa(f.grace) + "s"
}

// python returns the directives of the workers' environment and sys.path, in
// gunicorn's order: first the changes by the file's code, then its settings.
func (f *serveFlags) python(app found) (n []*config.Node) {
	var first, last, set []string
	here, err := os.Getwd()
	moved := err == nil && f.has("chdir") && here != app.directory
	for _, dirs := range f.pythonpath {
		for dir := range strings.SplitSeq(dirs, ",") {
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(app.directory, dir)
			}
			if !slices.Contains(first, dir) {
				first = slices.Insert(first, 0, dir)
			}
		}
	}
	if c := f.file; c != nil {
		if moved && len(c.first) > 0 {
			first = append(first, app.directory) // gunicorn puts it before the folders of the file's code
		}
		first, last, set = append(first, c.first...), c.last, c.environ
		if len(c.removed) > 0 {
			n = append(n, config.NewNode("env_unset", c.removed...))
		}
	}
	if moved {
		last = slices.Insert(slices.Clone(last), 0, here) // after the library, so that it hides no module of the library
	}
	if len(first) > 0 {
		n = append(n, config.NewNode("pythonpath", first...))
	}
	if len(last) > 0 {
		n = append(n, config.NewNode("pythonpath_last", last...))
	}
	if f.uvicorn.envFile != "" {
		n = append(n, config.NewNode("env_file", f.uvicorn.envFile, "defaults"))
	}
	if path := f.rootPath(); path != "" && app.kind != "asgi" {
		n = append(n, config.NewNode("env", "SCRIPT_NAME="+path))
	}
	for _, e := range slices.Concat(set, f.env) {
		n = append(n, config.NewNode("env", e))
	}
	return n
}

// timeouts returns the directives for --timeout: with threads or ASGI it bounds how long the
// worker gives no sign of life, as in gunicorn, else how long a request takes.
func (f *serveFlags) timeouts(kind string) []*config.Node {
	const usual = 30
	none := f.has("timeout") && f.timeout == 0
	switch seconds := strconv.Itoa(cmp.Or(f.timeout, usual)) + "s"; {
	case kind == "asgi" && none:
		return []*config.Node{config.NewNode("timeout", "off"), config.NewNode("stall_timeout", "off")}
	case kind == "asgi":
		return []*config.Node{config.NewNode("timeout", "off"), config.NewNode("stall_timeout", seconds)}
	case f.threads > 1 || f.workerClass == "gthread":
		n := []*config.Node{config.NewNode("timeout", "off")}
		if !none {
			n = append(n, config.NewNode("heartbeat", seconds))
		}
		return n
	case none:
		return []*config.Node{config.NewNode("timeout", "off")}
	case f.timeout > 0:
		return []*config.Node{config.NewNode("timeout", seconds)}
	}
	return nil
}

// startup returns the directive for how long the application may take to start, where that is
// longer than usual. Gunicorn's --timeout bounds it, uvicorn has no bound.
func (f *serveFlags) startup(kind string) []*config.Node {
	const usual, longest = 60, 600
	seconds := f.timeout
	if kind == "asgi" || f.has("timeout") && f.timeout == 0 {
		seconds = max(seconds, longest)
	}
	if seconds <= usual {
		return nil
	}
	return []*config.Node{config.NewNode("startup_timeout", strconv.Itoa(seconds)+"s")}
}

// server returns the server block: addresses, static folders, the application.
func (f *serveFlags) server(app found, statics []staticDir) (*config.Node, error) {
	var n []*config.Node
	listens, err := listenWords(f.binds)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.label("bind"), err)
	}
	allowed, err := f.proxyAllowed()
	if err != nil {
		return nil, err
	}
	for _, args := range listens {
		address := args[0]
		if f.secure() {
			args = append(args, "ssl")
		}
		if f.proxied {
			args = append(args, "proxy_protocol_from="+allowed)
		}
		if f.reusePort {
			args = append(args, "reuseport")
		}
		if f.has("backlog") {
			args = append(args, "backlog="+strconv.Itoa(max(f.backlog, 1)))
		}
		if f.umask != "" && strings.HasPrefix(address, "unix:") {
			mask, err := parseMask(f.umask)
			if err != nil {
				return nil, err
			}
			args = append(args, fmt.Sprintf("mode=%#o", 0o777&^mask))
		}
		n = append(n, config.NewNode("listen", args...))
	}
	if f.certificate != "" {
		key := f.key
		if key == "" {
			key = f.certificate
		}
		n = append(n, config.NewNode("ssl_certificate", f.certificate), config.NewNode("ssl_certificate_key", key))
	}
	n = append(n, f.clientCertificates()...)
	if app.kind == "asgi" {
		n = append(n, config.NewNode("underscores_in_headers", "on")) // as with uvicorn: fields are no variables
	}
	n = append(n, f.automatic()...)
	n = append(n, f.clientNodes(app.kind)...)
	n = append(n, f.websocketNodes(app.kind)...)
	n = append(n, staticLocations(statics)...)
	n = append(n, config.NewBlock("location", []string{"/"}, config.NewNode("app_pass", "app")))
	return config.NewBlock("server", nil, n...), nil
}

// clientCertificates returns the directives for clients' certificates. As with
// gunicorn a client without a good certificate gets no answer.
func (f *serveFlags) clientCertificates() []*config.Node {
	if f.requests == 0 {
		return nil
	}
	verify := "on"
	if f.requests == 1 {
		verify = "optional"
	}
	const refuse = "@no-certificate"
	return []*config.Node{
		config.NewNode("ssl_client_certificate", f.authorities), config.NewNode("ssl_verify_client", verify),
		config.NewNode("error_page", "495", "496", refuse), config.NewBlock("location", []string{refuse}, config.NewNode("return", "444")),
	}
}

// secure reports whether clients speak TLS.
func (f *serveFlags) secure() bool { return f.certificate != "" || len(f.domains) > 0 || f.https }

// automatic returns the directives for automatic certificates.
func (f *serveFlags) automatic() (n []*config.Node) {
	if len(f.domains) > 0 {
		n = append(n, config.NewNode("server_name", f.domains...))
	}
	if f.authority != "" {
		n = append(n, config.NewNode("acme_ca", f.authority))
	}
	if f.email != "" {
		n = append(n, config.NewNode("acme_email", f.email))
	}
	if f.https {
		n = append(n, config.NewNode("tls_internal", "on"))
	}
	return n
}

// judgeHTTPS refuses flags that exclude each other, or have no effect.
func (f *serveFlags) judgeHTTPS() error {
	switch {
	case f.requests > 2:
		return fmt.Errorf("--cert-reqs %d: it takes 0, 1 or 2, as ssl.CERT_NONE, CERT_OPTIONAL and CERT_REQUIRED", f.requests)
	case f.requests > 0 && f.authorities == "":
		return errors.New("--cert-reqs asks clients for certificates, which --ca-certs must judge: it is missing")
	case (f.requests > 0 || f.authorities != "") && !f.secure():
		return errors.New("--ca-certs and --cert-reqs are for TLS: give --certfile, --domain or --https as well")
	case f.https && len(f.domains) > 0:
		return errors.New("--https is for development and --domain for the Internet: give one of them")
	case f.certificate != "" && (f.https || len(f.domains) > 0):
		return errors.New("--certfile names the certificate that --domain or --https would obtain: give one of them")
	case len(f.domains) == 0 && (f.email != "" || f.authority != ""):
		return errors.New("--email and --acme-ca are for --domain, which is missing")
	}
	if u, err := url.Parse(f.authority); f.authority != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("--acme-ca %q: it takes the https:// URL of an ACME directory", f.authority)
	}
	for _, name := range f.domains {
		if strings.HasPrefix(name, "*.") {
			return fmt.Errorf("--domain %q: a certificate for all names below one needs acme_dns_hook, in a configuration", name)
		}
		if err := acme.Orderable(strings.ToLower(name)); err != nil {
			return fmt.Errorf("--domain %q: %w", name, err)
		}
	}
	return nil
}

// staticLocations returns the locations of the folders. Several folders with one URL,
// as Django's finders have in development, are tried in their order.
func staticLocations(statics []staticDir) []*config.Node {
	folders := map[string][]staticDir{}
	var urls []string
	for _, s := range statics {
		if folders[s.url] == nil {
			urls = append(urls, s.url)
		}
		folders[s.url] = append(folders[s.url], s)
	}
	var n []*config.Node
	asked := false
	for i, url := range urls {
		dirs := folders[url]
		var pass []*config.Node
		last := "=404"
		if dirs[0].framework != "" {
			pass, last, asked = []*config.Node{appStatic(dirs)}, asks, true
		}
		if len(dirs) == 1 {
			nodes := append(pass, config.NewNode("alias", dirs[0].dir))
			if last == asks {
				nodes = append(nodes, config.NewNode("try_files", "$uri", asks))
			}
			n = append(n, dirs[0].location([]string{"^~", url}, nodes...))
			continue
		}
		match := []string{"~", "^" + regexp.QuoteMeta(url) + "(?<static_file>.+)$"}
		for j, dir := range dirs {
			next := last
			if j < len(dirs)-1 {
				next = fmt.Sprintf("@static-%d-%d", i+1, j+2)
			}
			n = append(n, dir.location(match, append(pass, config.NewNode("root", dir.dir), config.NewNode("try_files", "/$static_file", next))...))
			match, pass = []string{next}, nil
		}
	}
	if asked {
		n = append(n, config.NewBlock("location", []string{asks}, config.NewNode("app_pass", "app")))
	}
	return n
}

// staticFlags reads --static URL=DIR.
func (f *serveFlags) staticFlags(dir string) ([]staticDir, error) {
	var out []staticDir
	for _, s := range f.static {
		url, folder, ok := strings.Cut(s, "=")
		if !ok || !strings.HasPrefix(url, "/") || folder == "" {
			return nil, fmt.Errorf("--static %q is not URL=DIR, as in --static /static/=./static", s)
		}
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		if !isDirectory(folder) {
			return nil, fmt.Errorf("--static %s: there is no folder %s", s, folder)
		}
		out = append(out, newStaticDir(url, folder))
	}
	return out, nil
}

func newStaticDir(url, dir string) staticDir {
	return staticDir{url: strings.TrimRight(url, "/") + "/", dir: strings.TrimRight(dir, "/") + "/"}
}
