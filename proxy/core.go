package proxy

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"alicorn/config"
)

// Version is this program's version. $alicorn_version, the Server field and status pages
// show it.
const Version = "0.1.0"

// nginxVersion is $nginx_version: the version of nginx whose configuration language this
// program reads. nginx's fastcgi_params and its like send it to applications.
const nginxVersion = "1.29.7"

// Options are defaults that depend on how the program was started.
type Options struct {
	// TempDir is the default of client_body_temp_path.
	TempDir string
	// Port is the port on which a server without listen listens, on all IPv4 addresses;
	// 0: 80.
	Port int
}

// serverBlock has the settings of a server block that are not in Core.
type serverBlock struct {
	listens config.List[*Listen]
	names   config.List[serverName]
}

// locationBlock has the name of a location block, and the methods of limit_except.
type locationBlock struct {
	kind    LocationKind
	name    string
	regex   *Regexp
	methods config.List[string] // of a limit_except block
}

// core is the module of this package's own directives.
type core struct {
	settings *config.Key[coreSettings]
}

type coreSettings struct {
	Core
	server   serverBlock
	location locationBlock
	port     int // Options.Port
}

// NewCore returns the module that declares http, server, location, listen, server_name and
// the settings in Core. It must be the first in the list of modules.
func NewCore(o Options) Module {
	k := config.NewKey(func() coreSettings { return coreSettings{Core: defaultCore(o), port: cmp.Or(o.Port, 80)} })
	k.Enter = func(s *config.Scope, c *coreSettings) {
		c.scope = s
		c.Internal = false
		if s.Context == config.Server {
			c.server = serverBlock{}
		}
	}
	m := core{k}
	return Module{
		Name:       "core",
		Settings:   k,
		Directives: append(m.blocks(), m.simple()...),
		Variables:  coreVariables(),
	}
}

func defaultCore(o Options) Core {
	return Core{
		MaxBodySize: 1 << 20, BodyBufferSize: 16 << 10, BodyTempPath: o.TempDir,
		HeaderTimeout: 60 * time.Second, BodyTimeout: 60 * time.Second, SendTimeout: 60 * time.Second,
		KeepaliveTimeout: 75 * time.Second, KeepaliveRequests: 1000, KeepaliveTime: time.Hour,
		LingeringTime: 30 * time.Second, LingeringTimeout: 5 * time.Second,
		HeaderBufferSize: 1 << 10, LargeBuffers: 4, LargeBufferSize: 8 << 10, MaxHeaders: 1000,
		IgnoreInvalid: true, MergeSlashes: true, ServerTokens: true, ChunkedEncoding: true,
		AbsoluteRedirect: true, PortInRedirect: true, LogNotFound: true,
		DefaultType: "text/plain", types: builtinTypes,
	}
}

// coreOf returns the core's settings in scope s. modules[0] is the core. Only Compile
// needs it.
func coreOf(s *config.Scope, modules []Module) *coreSettings {
	return modules[0].Settings.(*config.Key[coreSettings]).In(s)
}

func (m core) blocks() []config.Directive {
	return []config.Directive{
		{Name: "http", In: config.Main, Block: true, Opens: config.HTTP, Args: config.NoArgs,
			Help: "Has the servers and the settings that they share. The block is optional: server, and all that may stand in http, may also stand at the top of the file."},
		{Name: "server", In: config.HTTP, Block: true, Opens: config.Server, Args: config.NoArgs, Repeat: true,
			Help: "A virtual server: the addresses it listens on, its names and its locations."},
		{Name: "location", In: config.Server | config.Location, Block: true, Opens: config.Location, Repeat: true,
			Args: config.Arity{Min: 1, Max: 2}, Syntax: "[= | ~ | ~* | ^~] URI | @NAME", Set: m.setLocation,
			Help: "Settings for the paths that match. URI alone is a prefix of the path; with = it is the whole path; with ^~ it is a prefix that regular expressions do not override; with ~ it is a regular expression, with ~* one that ignores case. @NAME is a location for internal redirects only. An exact path wins. Otherwise the first regular expression in the file that matches wins, and if none matches the longest prefix."},
		{Name: "limit_except", In: config.Location, Block: true, Opens: config.LimitExcept, Args: config.SomeArg, Syntax: "METHOD ...", Set: m.setLimitExcept,
			Help: "Settings of the location for requests with any other method than these. GET includes HEAD. The block inherits the location's settings and content but, as in nginx, neither its rewriting nor its try_files."},
		{Name: "listen", In: config.Server, Args: config.SomeArg, Repeat: true, Set: m.setListen,
			Syntax:  "ADDRESS[:PORT] | PORT | unix:PATH [default_server] [ssl] [proxy_protocol | proxy_protocol_from=ADDRESS|CIDR,...|*|none] [reuseport] [backlog=N] [ipv6only=on|off] [mode=OCTAL] [deferred] [fastopen=N] [rcvbuf=SIZE] [sndbuf=SIZE] [so_keepalive=on|off|IDLE:INTERVAL:COUNT] [bind]",
			Default: "*:80, or *:8000 without root",
			Help:    "An address on which the server accepts connections. default_server makes this server the one for hosts that no server_name matches; without it that is the first server in the file with this address. With proxy_protocol each connection begins with a header of the PROXY protocol, version 1 or 2; a connection without one is closed. $proxy_protocol_addr and its like show the header. With proxy_protocol_from, as under gunicorn, connections from these addresses and over unix sockets may begin with a header, and $remote_addr is the address in it; a header from any other peer is answered with 403. mode has the permissions of a unix socket, as in mode=0660."},
		{Name: "http2", In: config.HTTP | config.Server, Args: config.OneArg, Syntax: "on | off", Default: "off", NoEffect: true, Help: insteadOfHTTP2},
		{Name: "server_name", In: config.Server, Args: config.SomeArg, Repeat: true, Set: m.setServerName, Syntax: "NAME ...",
			Help: "The hosts that this server is for: exact names, *.example.com, .example.com, www.example.*, or ~REGEX, whose named groups become variables."},
		{Name: "error_page", In: config.AnyLevel | config.LocationIf, Args: config.Arity{Min: 2, Max: -1}, Repeat: true, Set: m.setErrorPage,
			Syntax: "CODE ... [=[RESPONSE]] URI | @NAME",
			Help:   "What answers in place of the status page of these codes: an internal redirect to a path (as GET) or to a named location, or a redirect to a URL. =CODE changes the status; = keeps the status of the answer. The answer's handler gets the request's body, too."},
	}
}

func (m core) setLocation(s *config.Scope, n *config.Node) error {
	c := &m.settings.In(s).location
	*c = locationBlock{}
	mod, name := "", n.Arg(0)
	if len(n.Args) == 2 {
		mod, name = n.Arg(0), n.Arg(1)
	} else {
		mod, name = splitModifier(name)
	}
	if at := s.Parent.Enclosing(config.Location); at != nil {
		if err := checkNested(m.settings.In(at).location, mod, name); err != nil {
			return err
		}
	}
	c.name = name
	switch mod {
	case "":
		if c.kind = LocationPrefix; strings.HasPrefix(name, "@") {
			c.kind = LocationNamed
		}
	case "=":
		c.kind = LocationExact
	case "^~":
		c.kind = LocationPrefixStop
	case "~", "~*":
		c.kind = LocationRegex
		re, err := ParseRegexp(s.Load(), n.Pos, name, mod == "~*")
		c.regex = re
		return err
	default:
		return fmt.Errorf("invalid location modifier %q; it is one of =, ~, ~*, ^~", mod)
	}
	return nil
}

// splitModifier splits a word such as "=/path" or "~*re", which has no space after the
// modifier.
func splitModifier(word string) (mod, name string) {
	for _, m := range []string{"=", "^~", "~*", "~"} {
		if rest, ok := strings.CutPrefix(word, m); ok {
			return m, rest
		}
	}
	return "", word
}

func checkNested(outer locationBlock, mod, name string) error {
	switch {
	case outer.kind == LocationExact:
		return fmt.Errorf("location %q cannot be inside the exact location %q", name, outer.name)
	case outer.kind == LocationNamed:
		return fmt.Errorf("location %q cannot be inside the named location %q", name, outer.name)
	case mod == "" && strings.HasPrefix(name, "@"):
		return fmt.Errorf("named location %q can be on the server level only", name)
	case mod != "~" && mod != "~*" && outer.kind != LocationRegex && !strings.HasPrefix(name, outer.name):
		return fmt.Errorf("location %q is outside location %q", name, outer.name)
	}
	return nil
}

func (m core) setServerName(s *config.Scope, n *config.Node) error {
	c := m.settings.In(s)
	for _, a := range n.Args {
		name := strings.ToLower(a.Text)
		if pattern, ok := strings.CutPrefix(a.Text, "~"); ok {
			re, err := ParseRegexp(s.Load(), a.Pos, pattern, true)
			if err != nil {
				return err
			}
			c.server.names.Add(s, serverName{name: a.Text, regex: re})
			continue
		}
		if name == "$hostname" {
			name = hostname()
		}
		if err := checkServerName(s, a.Pos, name); err != nil {
			return err
		}
		c.server.names.Add(s, serverName{name: strings.TrimSuffix(name, ".")})
	}
	return nil
}

// checkServerName returns an error for an invalid name, and warns of a name that matches no
// request.
func checkServerName(s *config.Scope, pos config.Pos, name string) error {
	switch bad := strings.Trim(name, "*"); {
	case strings.ContainsAny(name, "/ "):
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("invalid server name %q; it is a host alone, without a scheme, a port or a path", name)}
	case strings.Contains(bad, "*") || strings.Contains(name, "*") && !strings.HasPrefix(name, "*.") && !strings.HasSuffix(name, ".*"):
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("invalid server name %q; an asterisk must be the whole first or last label: *.example.com, www.example.*", name)}
	case strings.Contains(name, ",") || strings.Contains(name, ":") && !strings.HasPrefix(name, "["):
		s.Load().Warn(pos, "no request is for the server name %q: a name has no port, and spaces, not commas, separate names", name)
	case strings.Contains(name, "$"):
		s.Load().Warn(pos, "no request is for the server name %q: $hostname alone is the only variable that a name may be", name)
	}
	return nil
}
