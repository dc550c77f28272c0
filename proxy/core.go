package proxy

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"alicorn/config"
)

// Version is this program's version, as $alicorn_version and server_tokens show it.
const Version = "0.1.0"

// nginxVersion is $nginx_version: the nginx whose language this program reads. Files that
// come with nginx tell applications of it.
const nginxVersion = "1.29.7"

// Options are what the program, not the configuration, decides.
type Options struct {
	// TempDir is client_body_temp_path's default.
	TempDir string
	// Port is where a server without listen listens on all IPv4 addresses;
	// 0: 80.
	Port int
}

// serverBlock is what a server block says besides its Core settings.
type serverBlock struct {
	listens config.List[*Listen]
	names   config.List[serverName]
}

// locationBlock is what a location block says of its own name.
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
	port     int // of a server without listen
}

// NewCore returns the module that declares http, server, location, listen,
// server_name and the settings in Core. It stands first in the list.
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
		DefaultType: "text/plain", types: builtinTypes(),
	}
}

// coreOf returns the settings of scope s. It exists for Compile only.
func coreOf(s *config.Scope, modules []Module) *coreSettings {
	return modules[0].Settings.(*config.Key[coreSettings]).In(s)
}

func (m core) blocks() []config.Directive {
	return []config.Directive{
		{Name: "http", In: config.Main, Block: true, Opens: config.HTTP, Args: config.NoArgs,
			Help: "Holds the servers and what they share. Optional: server and everything that may stand in http may stand at the top of the file as well."},
		{Name: "server", In: config.HTTP, Block: true, Opens: config.Server, Args: config.NoArgs, Repeat: true,
			Help: "A virtual server: the addresses it listens on, its names and its locations."},
		{Name: "location", In: config.Server | config.Location, Block: true, Opens: config.Location, Repeat: true,
			Args: config.Arity{Min: 1, Max: 2}, Syntax: "[= | ~ | ~* | ^~] URI | @NAME", Set: m.setLocation,
			Help: "Settings for the paths it matches: = exactly, a prefix, ^~ a prefix that regular expressions do not override, ~ and ~* a regular expression with and without regard to case, @ a name for internal redirects. The longest prefix wins unless a regular expression, in the order of the file, matches."},
		{Name: "limit_except", In: config.Location, Block: true, Opens: config.LimitExcept, Args: config.SomeArg, Syntax: "METHOD ...", Set: m.setLimitExcept,
			Help: "Settings of the location for requests with other methods than these; GET allows HEAD as well. Where the block says nothing the location's settings and content apply, but, as in nginx, neither its rewriting nor its try_files."},
		{Name: "listen", In: config.Server, Args: config.SomeArg, Repeat: true, Set: m.setListen,
			Syntax:  "ADDRESS[:PORT] | PORT | unix:PATH [default_server] [ssl] [proxy_protocol | proxy_protocol_from=ADDRESS|CIDR,...|*|none] [reuseport] [backlog=N] [ipv6only=on|off] [deferred] [fastopen=N] [rcvbuf=SIZE] [sndbuf=SIZE] [so_keepalive=on|off|IDLE:INTERVAL:COUNT] [bind]",
			Default: "*:80, or *:8000 without root",
			Help:    "An address the server accepts connections on. default_server makes it the one for hosts that no server_name matches; otherwise the first in the file is. With proxy_protocol each connection begins with a header of the PROXY protocol, version 1 or 2, and one without is closed: $proxy_protocol_addr and its like tell what it says. With proxy_protocol_from it may begin with one, and $remote_addr is the address that it names, as under gunicorn, where the peer is one of these or a unix socket; from any other peer a header is answered with 403."},
		{Name: "http2", In: config.HTTP | config.Server, Args: config.OneArg, Syntax: "on | off", Default: "off", NoEffect: true, Help: insteadOfHTTP2},
		{Name: "server_name", In: config.Server, Args: config.SomeArg, Repeat: true, Set: m.setServerName, Syntax: "NAME ...",
			Help: "The hosts this server answers: exact names, *.example.com, .example.com, www.example.*, or ~REGEX whose groups become variables."},
		{Name: "error_page", In: config.AnyLevel | config.LocationIf, Args: config.Arity{Min: 2, Max: -1}, Repeat: true, Set: m.setErrorPage,
			Syntax: "CODE ... [=[RESPONSE]] URI | @NAME",
			Help:   "What answers in place of a status page: an internal redirect to a path (as GET) or a named location, or a redirect to a URL. =CODE changes the status, = takes that of whatever answers. The request's body goes to that, too."},
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

// splitModifier reads "=/path" and "~*re", written without a space.
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

// checkServerName refuses what is no name, and warns of one that no request has.
func checkServerName(s *config.Scope, pos config.Pos, name string) error {
	switch bad := strings.Trim(name, "*"); {
	case strings.ContainsAny(name, "/ "):
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("invalid server name %q; it is a host alone, without a scheme, a port or a path", name)}
	case strings.Contains(bad, "*") || strings.Contains(name, "*") && !strings.HasPrefix(name, "*.") && !strings.HasSuffix(name, ".*"):
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("invalid server name %q; an asterisk stands alone at the start or end: *.example.com, www.example.*", name)}
	case strings.Contains(name, ",") || strings.Contains(name, ":") && !strings.HasPrefix(name, "["):
		s.Load().Warn(pos, "no request is for the server name %q: a name has no port, and names stand apart by spaces, without commas", name)
	case strings.Contains(name, "$"):
		s.Load().Warn(pos, "no request is for the server name %q: of the variables only $hostname, alone, can be one", name)
	}
	return nil
}
