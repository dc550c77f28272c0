package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"alicorn/config"
)

// serveFlags are the settings of `alicorn serve`, named as gunicorn names
// them. Each layer of settings (environment, gunicorn.conf.py,
// GUNICORN_CMD_ARGS, command line) is one serveFlags; merge puts a higher
// layer over a lower one. What no layer says is a zero value.
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
	errorLog    string // "-" is standard error
	logLevel    string
	certificate string
	key         string
	authorities string   // of clients' certificates
	requests    int      // whether clients are asked for one: ssl.CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED
	proxies     string   // forwarded_allow_ips
	fields      int      // of a request's header
	domains     []string // names to obtain certificates for
	email       string
	authority   string // URL of an ACME directory
	https       bool   // by the local authority
	config      string
	static      []string // URL=DIR
	workerClass string
	capture     bool
	printConfig bool
	refused     []refusal
	wsgiApp     string
}

// refusal is a setting of gunicorn's that was given and has no equivalent.
type refusal struct {
	name, reason string
	guards       bool // the setting is one of security
}

// newServeFlags declares the flags in set.
func newServeFlags(set *pflag.FlagSet) *serveFlags {
	f := &serveFlags{set: set}
	set.SortFlags = false
	set.StringArrayVarP(&f.binds, "bind", "b", nil, "`address` to listen on: HOST:PORT, :PORT or unix:PATH; repeatable (default 127.0.0.1:8000, or 0.0.0.0:$PORT)")
	set.VarP(newCount(&f.workers, 1), "workers", "w", "worker processes (default $WEB_CONCURRENCY, or one for each CPU, at least 2)")
	set.Var(newCount(&f.threads, 1), "threads", "threads of each worker, requests it runs at once (default 1)")
	set.VarP(newCount(&f.timeout, 0), "timeout", "t", "`seconds` a request may take, or, with threads, its worker may give no sign of life; 0: as long as it likes (default 30)")
	set.Var(newCount(&f.grace, 1), "graceful-timeout", "`seconds` that requests have to finish when a worker stops (default 30), or the server (default as long as they take)")
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
	set.StringVar(&f.accessLog, "access-logfile", "", "`file` for a line about each request, - for standard output (default none)")
	set.StringVar(&f.errorLog, "error-logfile", "", "`file` for messages, - for standard error (default -)")
	set.Var(&choice{value: &f.logLevel, of: []string{"debug", "info", "warning", "error", "critical"}}, "log-level", "least important messages to log: debug, info, warning, error or critical (default info)")
	set.StringVar(&f.certificate, "certfile", "", "`file` with the TLS certificate and its chain")
	set.StringVar(&f.key, "keyfile", "", "`file` with the TLS certificate's key")
	set.StringVar(&f.authorities, "ca-certs", "", "`file` with the authorities of clients' certificates")
	set.Var(newCount(&f.requests, 0), "cert-reqs", "whether clients show a certificate: 0 no, 1 if they have one, 2 always (default 0)")
	set.StringVar(&f.proxies, "forwarded-allow-ips", "", "`addresses` of proxies whose X-Forwarded headers are believed, separated by commas, or * (default $FORWARDED_ALLOW_IPS, or loopback and private ones)")
	set.Var(newCount(&f.fields, 0), "limit-request-fields", "header fields that a request may have (default 1000)")
	set.StringArrayVar(&f.domains, "domain", nil, "`name` to serve by https://, with a certificate that is obtained and renewed, on ports 443 and 80; repeatable")
	set.StringVar(&f.email, "email", "", "`address` where the certificate authority of --domain reaches you (default none)")
	set.StringVar(&f.authority, "acme-ca", "", "`URL` of the authority's ACME directory for --domain (default Let's Encrypt)")
	set.BoolVar(&f.https, "https", false, "serve by https:// with a certificate of a local authority, for development")
	set.Var(newCount(&f.keepalive, 0), "keep-alive", "`seconds` an idle connection is kept (default 75)")
	set.Var(newCount(&f.backlog, 1), "backlog", "connections that may wait to be accepted (default 511)")
	set.BoolVar(&f.reusePort, "reuse-port", false, "set SO_REUSEPORT on listening sockets")
	set.VarP(&choice{value: &f.workerClass, of: []string{"sync", "gthread"}, other: "this version runs WSGI applications in processes and threads: leave -k out, and use --threads for more requests at once"},
		"worker-class", "k", "sync or gthread, which is how workers run")
	set.BoolVar(&f.capture, "capture-output", false, "what the application prints goes to --error-logfile, too; else it goes to standard error")
	set.StringVarP(&f.config, "config", "c", "", "gunicorn's configuration `file` (default ./gunicorn.conf.py if it exists)")
	set.BoolVar(&f.printConfig, "print-config", false, "print the configuration that this command line stands for, and exit")
	set.StringVar(&f.errorLog, "log-file", "", "as --error-logfile")
	set.MarkHidden("log-file")
	f.declareRefused()
	return f
}

// declareRefused declares gunicorn's flags that have no equivalent, so that
// each gets its own sentence instead of "unknown flag".
func (f *serveFlags) declareRefused() {
	for _, g := range gunicornSettings {
		if g.refusal == "" || g.flag == "" {
			continue
		}
		v := &refusedFlag{name: g.flag, reason: g.refusal, into: f}
		flag := f.set.VarPF(v, g.flag, g.short, "")
		flag.Hidden = true
		if g.boolean {
			flag.NoOptDefVal = "true"
		}
	}
}

// merge puts what upper says over f: lists replace lists, as in gunicorn.
func (f *serveFlags) merge(upper *serveFlags) error {
	var failed error
	upper.set.Visit(func(flag *pflag.Flag) {
		mine := f.set.Lookup(flag.Name)
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			if err := mine.Value.(pflag.SliceValue).Replace(list.GetSlice()); err != nil {
				failed = err
			}
		} else if _, ok := flag.Value.(*refusedFlag); !ok {
			if err := f.set.Set(flag.Name, flag.Value.String()); err != nil {
				failed = err
			}
		}
		mine.Changed = true
	})
	f.refused = append(f.refused, upper.refused...)
	if upper.wsgiApp != "" {
		f.wsgiApp = upper.wsgiApp
	}
	return failed
}

// has tells whether a layer has given the flag.
func (f *serveFlags) has(name string) bool { return f.set.Changed(name) }

// count is a flag that takes a whole number of at least min.
type count struct {
	value *int
	min   int
}

func newCount(value *int, min int) *count { return &count{value, min} }

// Set reads a whole number.
func (c *count) Set(text string) error {
	n, err := config.ParseInt(text, c.min, math.MaxInt32)
	if err != nil {
		return fmt.Errorf("it takes a whole number of at least %d", c.min)
	}
	*c.value = n
	return nil
}

// String gives the number as Set takes it; help shows no default that is 0.
func (c *count) String() string {
	if c.value == nil {
		return ""
	}
	return strconv.Itoa(*c.value)
}

// Type is what help calls the value.
func (c *count) Type() string { return "N" }

// choice is a flag that takes one of a few words.
type choice struct {
	value *string
	of    []string
	other string // why nothing else
}

// Set takes one of the words.
func (c *choice) Set(text string) error {
	for _, word := range c.of {
		if text == word {
			*c.value = text
			return nil
		}
	}
	if c.other != "" {
		return fmt.Errorf("%s", c.other)
	}
	return fmt.Errorf("it is one of %s", strings.Join(c.of, ", "))
}

// String gives the word.
func (c *choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Type is what help calls the value.
func (c *choice) Type() string { return "NAME" }

// refusedFlag notes that a flag without an equivalent was given.
type refusedFlag struct {
	name, reason string
	into         *serveFlags
}

// Set notes the flag.
func (r *refusedFlag) Set(string) error {
	r.into.refused = append(r.into.refused, refusal{"--" + r.name, r.reason, true})
	return nil
}

// String gives nothing: the value does not matter.
func (r *refusedFlag) String() string { return "" }

// Type is never shown.
func (r *refusedFlag) Type() string { return "VALUE" }
