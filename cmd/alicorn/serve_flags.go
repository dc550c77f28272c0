package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// serveFlags are the settings of `alicorn serve`, named as gunicorn names
// them, or uvicorn where gunicorn has no such setting. Each layer of settings (environment, gunicorn.conf.py,
// GUNICORN_CMD_ARGS, command line) is one serveFlags; merge puts a higher
// layer over a lower one. Settings that no layer has are zero.
type serveFlags struct {
	set *pflag.FlagSet

	binds       []string // HOST:PORT, :PORT, PORT or unix:PATH
	backlog     int      // connections that wait for accept
	reusePort   bool
	workers     int
	threads     int
	timeout     int // seconds, 0: none
	grace       int // seconds
	keepalive   int // seconds
	maxRequests int
	jitter      int
	chdir       string
	pythonpath  []string
	env         []string // NAME=VALUE
	user, group string
	daemon      bool
	pid         string
	accessLog   string // "-" is standard output
	logFormat   string // of its lines, in gunicorn's atoms
	errorLog    string // "-" is standard error
	noRequests  bool   // no requests on a terminal
	onTerminal  bool   // requests are shown on a terminal
	logLevel    string
	certificate string
	key         string
	authorities string   // CAs of clients' certificates
	requests    int      // whether clients are asked for one: ssl.CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED
	proxies     string   // forwarded_allow_ips
	proxied     bool     // connections may begin with a PROXY protocol header
	proxyPeers  string   // proxy_allow_ips
	fields      int      // most header fields of a request
	requestLine int      // most bytes of a request line
	fieldSize   int      // most bytes of a header field
	domains     []string // names to obtain certificates for
	email       string
	authority   string // URL of an ACME directory
	https       bool   // with a certificate of the local authority
	config      string
	static      []string // URL=DIR
	workerClass string
	capture     bool
	printConfig bool
	checkConfig bool
	umask       string
	schemes     []string // secure_scheme_headers, NAME=VALUE; with has("secure-scheme-headers")
	wsgiApp     string
	uvicorn     uvicornFlags

	where string            // the layer's place, to append to a setting's name: "", " in FILE"
	given map[string]string // for messages: the name and the place of each flag that was given
	notes []note            // of settings that do nothing here
	hooks []string          // hooks that the file has
	file  *confFile         // the file of a layer that comes from one
}

// note is a given setting of gunicorn's that has no effect here.
type note struct {
	name, reason string
	guards       bool // the setting is about security
	value        bool // the setting has an effect, but not with this value
}

// newServeFlags declares the flags in set.
func newServeFlags(set *pflag.FlagSet) *serveFlags {
	f := &serveFlags{set: set, given: map[string]string{}}
	set.SortFlags = false
	set.StringArrayVarP(&f.binds, "bind", "b", nil, "`address` to listen on: HOST:PORT, :PORT or unix:PATH; repeatable (default 127.0.0.1:8000, or 0.0.0.0:$PORT)")
	set.VarP(newCount(&f.workers, 1), "workers", "w", "worker processes (default $WEB_CONCURRENCY, or one for each CPU, at least 2)")
	set.Var(newCount(&f.threads, 0), "threads", "threads of each worker, requests it runs at once (default 1)")
	set.VarP(newCount(&f.timeout, 0), "timeout", "t", "`seconds` a request may take, or, with threads or an ASGI application, its worker may give no sign of life; 0: as long as it likes (default 30)")
	set.Var(newCount(&f.grace, 0), "graceful-timeout", "`seconds` that requests have to finish when a worker stops (default 30), or the server (default as long as they take)")
	set.Var(newCount(&f.maxRequests, 0), "max-requests", "requests after which a worker is replaced; 0: never (default 0)")
	set.Var(newCount(&f.jitter, 0), "max-requests-jitter", "random part added to --max-requests (default 0)")
	set.StringVar(&f.chdir, "chdir", "", "`directory` of the application (default the current one)")
	set.StringArrayVar(&f.pythonpath, "pythonpath", nil, "`directories` to import from as well, separated by commas")
	set.StringArrayVarP(&f.env, "env", "e", nil, "`NAME=VALUE` in the application's environment; repeatable")
	set.StringArrayVar(&f.static, "static", nil, "`URL=DIR` served from disk, without the application; repeatable (default what Django or Flask says)")
	set.StringVarP(&f.user, "user", "u", "", "`user` to run as; needs root")
	set.StringVarP(&f.group, "group", "g", "", "`group` to run as; needs root")
	set.BoolVarP(&f.daemon, "daemon", "D", false, "go to the background")
	set.StringVarP(&f.pid, "pid", "p", "", "`file` for the process id")
	set.StringVar(&f.accessLog, "access-logfile", "", "`file` for a line about each request, - for standard output (default none, but a short line where standard output is a terminal)")
	set.Var(&accessFormat{&f.logFormat, f}, "access-logformat", "`format` of those lines, in gunicorn's words, as in '%(h)s %(r)s %(s)s'; %(T)s and %(L)s are seconds with decimals, and a format that begins with { is written as JSON (default nginx's combined)")
	set.BoolVar(&f.noRequests, "no-request-log", false, "show no requests on a terminal")
	set.StringVar(&f.errorLog, "error-logfile", "", "`file` for messages, - for standard error (default -)")
	set.Var(&level{&f.logLevel, f}, "log-level", "least important messages to log: debug, info, warning, error or critical (default info)")
	set.StringVar(&f.certificate, "certfile", "", "`file` with the TLS certificate and its chain")
	set.StringVar(&f.key, "keyfile", "", "`file` with the TLS certificate's key")
	set.StringVar(&f.authorities, "ca-certs", "", "`file` with the authorities of clients' certificates")
	set.Var(newCount(&f.requests, 0), "cert-reqs", "whether clients show a certificate: 0 no, 1 if they have one, 2 always (default 0)")
	set.StringVar(&f.proxies, "forwarded-allow-ips", "", "`addresses` of proxies whose X-Forwarded headers are believed, separated by commas, or * (default $FORWARDED_ALLOW_IPS, or loopback and private ones)")
	set.BoolVar(&f.proxied, "proxy-protocol", false, "connections may begin with a header of the PROXY protocol, version 1 or 2, which names the client")
	set.StringVar(&f.proxyPeers, "proxy-allow-from", "127.0.0.1", "`addresses` of proxies whose header is believed, separated by commas, or *; others get 403")
	set.Var(newCount(&f.fields, 0), "limit-request-fields", "header fields that a request may have (default 1000)")
	set.Var(newCount(&f.requestLine, 0), "limit-request-line", "bytes that a request's first line may have; 0: as many as may be (8190, the default)")
	set.Var(newCount(&f.fieldSize, 0), "limit-request-field_size", "bytes that a header field may have; 0: 64 KB (default 8190)")
	set.StringArrayVar(&f.domains, "domain", nil, "`name` to serve with https://, on ports 443 and 80, with a certificate that is obtained and renewed automatically; repeatable")
	set.StringVar(&f.email, "email", "", "`address` where the certificate authority of --domain reaches you (default none)")
	set.StringVar(&f.authority, "acme-ca", "", "`URL` of the authority's ACME directory for --domain (default Let's Encrypt)")
	set.BoolVar(&f.https, "https", false, "serve by https:// with a certificate of a local authority, for development")
	set.Var(newCount(&f.keepalive, 0), "keep-alive", "`seconds` an idle connection is kept (default 75)")
	set.Var(newCount(&f.backlog, 0), "backlog", "connections that may wait to be accepted (default 511)")
	set.BoolVar(&f.reusePort, "reuse-port", false, "set SO_REUSEPORT on listening sockets")
	set.VarP(&workerClass{&f.workerClass}, "worker-class", "k", "sync or gthread, which is how workers of a WSGI application run, or uvicorn.workers.UvicornWorker for an ASGI application")
	set.VarP(&mask{&f.umask}, "umask", "m", "`permissions` to withhold from unix sockets of --bind, as in 007 (default 0)")
	set.BoolVar(&f.capture, "capture-output", false, "write the application's output to --error-logfile instead of standard error")
	set.StringVarP(&f.config, "config", "c", "", "gunicorn's configuration: a `file`, or python:MODULE (default ./gunicorn.conf.py if it exists)")
	set.BoolVar(&f.checkConfig, "check-config", false, "load the configuration and the application, and exit")
	set.BoolVar(&f.printConfig, "print-config", false, "print the configuration that this command line stands for, and exit")
	set.StringVar(&f.errorLog, "log-file", "", "as --error-logfile")
	set.MarkHidden("log-file")
	f.declareUvicorn(set)
	f.declareNoted()
	set.SetNormalizeFunc(abbreviations())
	return f
}

// declareNoted declares gunicorn's flags that have no effect here, so that each gets
// its own message instead of "unknown flag".
func (f *serveFlags) declareNoted() {
	for _, g := range gunicornSettings {
		if g.why == "" || g.flag == "" || f.set.Lookup(g.flag) != nil {
			continue
		}
		flag := f.set.VarPF(&notedFlag{setting: g, into: f}, g.flag, g.short, "")
		flag.Hidden = true
		if g.kind == boolean {
			flag.NoOptDefVal = "true"
		}
	}
	f.set.Var(&pairs{&f.schemes}, schemesFlag, "")
	f.set.MarkHidden(schemesFlag)
}

// schemesFlag stands for secure_scheme_headers, which gunicorn takes in files only.
const schemesFlag = "secure-scheme-headers"

// abbreviations completes a flag's name that is the beginning of only one of
// gunicorn's flags, as gunicorn's command line does. uvicorn's names stand for gunicorn's.
func abbreviations() func(*pflag.FlagSet, string) pflag.NormalizedName {
	return func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if own := uvicornNames[name]; own != "" {
			return pflag.NormalizedName(own)
		}
		full := ""
		for _, g := range gunicornSettings {
			switch {
			case g.flag == name:
				return pflag.NormalizedName(name)
			case name != "" && strings.HasPrefix(g.flag, name) && full != "":
				return pflag.NormalizedName(name)
			case name != "" && strings.HasPrefix(g.flag, name):
				full = g.flag
			}
		}
		if own := slices.Contains([]string{"static", "domain", "email", "acme-ca", "https", "log-file", "help", schemesFlag}, name); own || isUvicorns(name) || full == "" {
			full = name
		}
		return pflag.NormalizedName(full)
	}
}

// merge replaces the settings of f that upper has. As in gunicorn, lists replace lists.
func (f *serveFlags) merge(upper *serveFlags) error {
	var failed error
	upper.set.Visit(func(flag *pflag.Flag) {
		f.given[flag.Name] = upper.label(flag.Name)
		mine := f.set.Lookup(flag.Name)
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			if err := mine.Value.(pflag.SliceValue).Replace(list.GetSlice()); err != nil {
				failed = err
			}
		} else if _, ok := flag.Value.(*notedFlag); !ok {
			if err := f.set.Set(flag.Name, flag.Value.String()); err != nil {
				failed = err
			}
		}
		mine.Changed = true
	})
	f.notes = append(f.notes, upper.notes...)
	f.hooks = append(f.hooks, upper.hooks...)
	if upper.file != nil {
		f.file = upper.file
	}
	if upper.wsgiApp != "" {
		f.wsgiApp = upper.wsgiApp
	}
	return failed
}

// label names a setting and its place: "--bind", "bind in FILE".
func (f *serveFlags) label(flag string) string {
	if l := f.given[flag]; l != "" {
		return l
	}
	if f.file == nil {
		return "--" + flag + f.where
	}
	for _, g := range gunicornSettings {
		if g.flag == flag && g.name != "" {
			flag = g.name
		}
	}
	return strings.ReplaceAll(flag, "-", "_") + f.where
}

// note notes that a flag has no effect here.
func (f *serveFlags) note(flag, reason string, guards bool) {
	f.notes = append(f.notes, note{name: f.label(flag), reason: reason, guards: guards})
}

// noteValue notes that a flag's value is not used as it is.
func (f *serveFlags) noteValue(flag, reason string) {
	f.notes = append(f.notes, note{name: f.label(flag), reason: reason, value: true})
}

// has reports whether a layer has the flag.
func (f *serveFlags) has(name string) bool { return f.set.Changed(name) }
