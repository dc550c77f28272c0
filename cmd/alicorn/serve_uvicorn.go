package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"

	"github.com/spf13/pflag"
)

// uvicornFlags are the settings that serve has from uvicorn's command line. A flag that
// gunicorn has too means what it means there.
type uvicornFlags struct {
	host, uds    string
	port, fd     int
	rootPath     string
	proxyHeaders string // "on", "off"; "": on for ASGI applications, as in uvicorn
	factory      bool
	envFile      string
	accessLog    string // "on", "off"; "": nothing is said
	lifespan     string
	loop         string
	appKind      string // --interface: "asgi", "wsgi"; "": auto
	concurrency  int
	messageSize  int // bytes
	pingEvery    string
	pingTimeout  string
}

// The words of --loop and --lifespan.
var (
	loopWords     = []string{"auto", "asyncio", "uvloop"}
	lifespanWords = []string{"auto", "on", "off"}
)

// interfaces are the words of --interface and the kinds of workers that they mean.
var interfaces = map[string]string{"auto": "", "asgi3": "asgi", "asgi2": "asgi", "wsgi": "wsgi"}

// declareUvicorn declares the flags that only uvicorn has.
func (f *serveFlags) declareUvicorn(set *pflag.FlagSet) {
	u := &f.uvicorn
	set.StringVar(&u.host, "host", "", "`address` to listen on, in place of --bind, as with uvicorn (default 127.0.0.1)")
	set.Var(newCount(&u.port, 0), "port", "port of --host, as with uvicorn (default 8000, or $PORT)")
	set.StringVar(&u.uds, "uds", "", "unix socket to listen on: a `path`, as with uvicorn")
	set.Var(newCount(&u.fd, 0), "fd", "descriptor of a listening socket that this process was started with, as with uvicorn")
	set.Var(newChoice(&u.lifespan, lifespanWords), "lifespan", "whether an ASGI application hears of the start and the end of its worker: auto, on or off (default auto)")
	set.Var(newChoice(&u.loop, loopWords), "loop", "event loop of ASGI workers: auto, asyncio or uvloop (default auto)")
	set.StringVar(&u.rootPath, "root-path", "", "`path` below which the application lies, as in /api")
	proxies := set.VarPF(&toggle{&u.proxyHeaders, "on"}, "proxy-headers", "", "take the client's address from X-Forwarded-For of the proxies of --forwarded-allow-ips (default for ASGI)")
	without := set.VarPF(&toggle{&u.proxyHeaders, "off"}, "no-proxy-headers", "", "believe no X-Forwarded header of any proxy")
	logged := set.VarPF(&toggle{&u.accessLog, "on"}, "access-log", "", "a line about each request on standard output, as with uvicorn")
	unlogged := set.VarPF(&toggle{&u.accessLog, "off"}, "no-access-log", "", "no line about requests, not even on a terminal")
	for _, flag := range []*pflag.Flag{proxies, without, logged, unlogged} {
		flag.NoOptDefVal = "true"
	}
	set.BoolVar(&u.factory, "factory", false, "APP names a function that returns the application")
	set.StringVar(&u.envFile, "env-file", "", "`file` with NAME=VALUE lines for the application's environment, where that does not have the names already")
	set.Var(newCount(&u.concurrency, 1), "limit-concurrency", "requests and WebSockets that an ASGI worker runs at a time; further ones wait for their turn, where uvicorn answers 503 at once (default 10000)")
	set.Var(newCount(&u.messageSize, 1), "ws-max-size", "bytes that a message of a WebSocket's client may have (default 16 MB)")
	set.Var(&seconds{&u.pingEvery}, "ws-ping-interval", "`seconds` between pings to a WebSocket's client (default 20)")
	set.Var(&seconds{&u.pingTimeout}, "ws-ping-timeout", "`seconds` that a WebSocket's client may take to answer a ping (default 20)")
	set.Var(newInterfaceKind(&u.appKind), "interface", "kind of the application: auto, asgi3, asgi2 or wsgi (default auto)")
	set.MarkHidden("interface")
	for _, g := range uvicornNoted {
		flag := set.VarPF(&notedFlag{setting: g, into: f}, g.flag, "", "")
		flag.Hidden = true
		if g.kind == boolean {
			flag.NoOptDefVal = "true"
		}
	}
}

// uvicornNames are uvicorn's names for flags that have another one here.
var uvicornNames = map[string]string{
	"limit-max-requests": "max-requests", "timeout-keep-alive": "keep-alive", "timeout-graceful-shutdown": "graceful-timeout",
	"app-dir": "pythonpath", "ssl-keyfile": "keyfile", "ssl-certfile": "certfile", "ssl-ca-certs": "ca-certs", "ssl-cert-reqs": "cert-reqs",
}

// uvicornNoted are uvicorn's flags that have no effect here.
var uvicornNoted = []gunicornSetting{
	{flag: "http", usual: "auto", why: "the front reads requests itself"},
	{flag: "ws", usual: "auto", why: "the front speaks WebSocket itself"},
	{flag: "ws-max-queue", kind: number, why: "each WebSocket has a window of bytes, not of messages"},
	{flag: "ws-per-message-deflate", usual: "true", why: "use websocket_compression in a configuration"},
	{flag: "reload-dir", kind: list, why: "files are not watched yet"},
	{flag: "reload-include", kind: list, why: "files are not watched yet"},
	{flag: "reload-exclude", kind: list, why: "files are not watched yet"},
	{flag: "reload-delay", why: "files are not watched yet"},
	{flag: "use-colors", kind: boolean, why: "logs have no colours"},
	{flag: "no-use-colors", kind: boolean, usual: "true", why: "logs have no colours"},
	{flag: "server-header", kind: boolean, usual: "true", why: "responses have a Server field; use server_tokens in a configuration"},
	{flag: "no-server-header", kind: boolean, why: "responses have a Server field; use server_tokens in a configuration"},
	{flag: "date-header", kind: boolean, usual: "true", why: "responses have a Date field"},
	{flag: "no-date-header", kind: boolean, why: "responses have a Date field"},
	{flag: "header", kind: list, why: "use add_header in a configuration"},
	{flag: "h11-max-incomplete-event-size", kind: number, why: "use --limit-request-line and --limit-request-field_size"},
	{flag: "ssl-keyfile-password", guards: true, why: "use ssl_password_file in a configuration"},
	{flag: "ssl-version", guards: true, why: "TLS is 1.2 or newer; use ssl_protocols in a configuration"},
	{flag: "ssl-ciphers", guards: true, usual: "TLSv1", why: "use ssl_ciphers in a configuration"},
}

// isUvicorns reports whether name is a flag of uvicorn's alone, which is no abbreviation of
// another one.
func isUvicorns(name string) bool {
	return slices.Contains([]string{"host", "port", "uds", "fd", "lifespan", "loop", "root-path", "proxy-headers", "no-proxy-headers", "factory", "env-file", "access-log", "no-access-log",
		"limit-concurrency", "ws-max-size", "ws-ping-interval", "ws-ping-timeout", "interface"}, name) ||
		slices.ContainsFunc(uvicornNoted, func(g gunicornSetting) bool { return g.flag == name })
}

// bindAsUvicorn makes --bind of --host, --port, --uds or --fd.
func (f *serveFlags) bindAsUvicorn() error {
	for _, name := range []string{"host", "port"} {
		if f.has(name) && (f.has("uds") || f.has("fd")) {
			f.noteValue(name, "it has no effect beside --uds or --fd, as with uvicorn")
			f.set.Lookup(name).Changed = false
		}
	}
	var given []string
	for _, name := range []string{"bind", "fd", "uds", "host"} {
		if f.has(name) || name == "host" && f.has("port") {
			given = append(given, f.label(name))
		}
	}
	u := &f.uvicorn
	switch {
	case len(given) > 1:
		return fmt.Errorf("%s both say where to listen: give one of them", strings.Join(given, " and "))
	case len(given) == 0, f.has("bind"):
		return nil
	case f.has("fd") && f.daemon:
		return errors.New("--fd and --daemon exclude each other: the process in the background does not have the descriptor; give --bind")
	case f.has("fd"):
		f.binds = []string{"fd://" + strconv.Itoa(u.fd)}
	case f.has("uds"):
		f.binds = []string{"unix:" + u.uds}
	default:
		port := "8000"
		if f.has("port") {
			port = strconv.Itoa(u.port)
		} else if p := os.Getenv("PORT"); p != "" {
			port = p
		}
		f.binds = []string{net.JoinHostPort(cmp.Or(strings.Trim(u.host, "[]"), "127.0.0.1"), port)}
	}
	return nil
}

// offered returns the address of the socket of --fd, by its descriptor. A process that takes
// over has it from the one before.
func (f *serveFlags) offered() (map[int]string, error) {
	if !f.has("fd") || os.Getenv(upgradeEnv) != "" {
		return nil, nil
	}
	address := keeper.ListeningOn(f.uvicorn.fd)
	if address == "" {
		return nil, fmt.Errorf("--fd %d: this process has no listening socket of that number", f.uvicorn.fd)
	}
	return map[int]string{f.uvicorn.fd: address}, nil
}

// asgiNodes returns the directives of the app block for an ASGI application, and notes what
// has no effect on one.
func (f *serveFlags) asgiNodes() (n []*config.Node) {
	u := &f.uvicorn
	if u.concurrency > 0 {
		n = append(n, config.NewNode("concurrency", strconv.Itoa(u.concurrency)))
	}
	for _, w := range []struct{ name, word string }{{"loop", u.loop}, {"lifespan", u.lifespan}} {
		if w.word != "" {
			n = append(n, config.NewNode(w.name, w.word))
		}
	}
	if path := f.rootPath(); path != "" {
		n = append(n, config.NewNode("root_path", path, "stripped"))
	}
	return n
}

// rootPath returns --root-path as root_path takes it.
func (f *serveFlags) rootPath() string { return strings.TrimRight(f.uvicorn.rootPath, "/") }

// foreign returns a note for each flag that has no effect on an application of that kind.
func (f *serveFlags) foreign(kind string) (all []note) {
	add := func(flag, reason string) {
		if f.has(flag) {
			all = append(all, note{name: f.label(flag), reason: reason, value: true})
		}
	}
	if kind == "asgi" {
		if f.threads > 1 {
			add("threads", "it has no effect on an ASGI application, which runs its requests in one event loop; --limit-concurrency bounds them")
		}
		return all
	}
	for _, flag := range []string{"lifespan", "loop", "limit-concurrency", "ws-max-size", "ws-ping-interval", "ws-ping-timeout"} {
		add(flag, "it has an effect on ASGI applications only, and this one is WSGI")
	}
	return all
}

// clientNodes returns the directives that give requests the address of the client behind a
// trusted proxy, as uvicorn does.
func (f *serveFlags) clientNodes(kind string) (n []*config.Node) {
	if u := f.uvicorn.proxyHeaders; u == "off" || u == "" && kind != "asgi" {
		return nil
	}
	peers := []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7", "fe80::/10"}
	if f.has("forwarded-allow-ips") {
		peers = addressList(f.proxies)
	}
	if slices.Contains(peers, "*") {
		peers = []string{"0.0.0.0/0", "::/0"}
	}
	for _, peer := range append(peers, "unix:") {
		n = append(n, config.NewNode("set_real_ip_from", peer))
	}
	return append(n, config.NewNode("real_ip_header", "X-Forwarded-For"), config.NewNode("real_ip_recursive", "on"))
}

// websocketNodes returns the directives of an ASGI application's WebSockets.
func (f *serveFlags) websocketNodes(kind string) (n []*config.Node) {
	u := &f.uvicorn
	if kind != "asgi" {
		return nil
	}
	if u.messageSize > 0 {
		n = append(n, config.NewNode("websocket_max_message", strconv.Itoa(u.messageSize)))
	}
	if u.pingEvery != "" {
		n = append(n, config.NewNode("websocket_ping_interval", u.pingEvery))
	}
	if u.pingTimeout != "" {
		n = append(n, config.NewNode("websocket_ping_timeout", u.pingTimeout))
	}
	return n
}

// choice is a flag that takes one of a few words.
type choice struct {
	value *string
	words []string
}

func newChoice(value *string, words []string) *choice { return &choice{value, words} }

// Set takes one of the words.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.words, text) {
		return fmt.Errorf("it takes one of %s", strings.Join(c.words, ", "))
	}
	*c.value = text
	return nil
}

// String returns the word.
func (c *choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Type returns the name of the value in help.
func (c *choice) Type() string { return "WORD" }

// interfaceKind is the flag of the kind of the application.
type interfaceKind struct{ value *string }

func newInterfaceKind(value *string) *interfaceKind { return &interfaceKind{value} }

// Set takes one of uvicorn's interfaces, or a kind as String gives it.
func (k *interfaceKind) Set(text string) error {
	if text == "asgi" || text == "" {
		*k.value = text
		return nil
	}
	value, ok := interfaces[text]
	if !ok {
		return errors.New("it takes one of auto, asgi3, asgi2, wsgi")
	}
	*k.value = value
	return nil
}

// String returns the kind.
func (k *interfaceKind) String() string {
	if k.value == nil {
		return ""
	}
	return *k.value
}

// Type returns the name of the value in help.
func (k *interfaceKind) Type() string { return "WORD" }

// toggle is one of two flags that set the same value.
type toggle struct {
	value *string
	word  string // what this one sets
}

// Set takes a boolean, or a value as String gives it.
func (t *toggle) Set(text string) error {
	if text == "on" || text == "off" {
		*t.value = text
		return nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("it takes true or false")
	}
	if *t.value = "off"; on == (t.word == "on") {
		*t.value = "on"
	}
	return nil
}

// String returns the value.
func (t *toggle) String() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Type returns the name of the value in help.
func (t *toggle) Type() string { return "bool" }

// seconds is a flag that takes seconds, with a fraction, and keeps them as a directive takes
// them.
type seconds struct{ value *string }

// Set takes a number of seconds.
func (s *seconds) Set(text string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "ms"), 64)
	if err == nil && strings.HasSuffix(text, "ms") {
		n /= 1000
	}
	if err != nil || !(n > 0 && n <= (365*24*time.Hour).Seconds()) { // what is no number is neither
		return errors.New("it takes a number of seconds above 0")
	}
	*s.value = strconv.Itoa(max(int(n*1000), 1)) + "ms"
	return nil
}

// String returns the time as Set takes it.
func (s *seconds) String() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Type returns the name of the value in help.
func (s *seconds) Type() string { return "SECONDS" }
