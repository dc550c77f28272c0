package proxypass

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/cgi"
	"alicorn/proxy/upstream"
)

// gateway has the settings of a block for uwsgi, FastCGI and SCGI.
type gateway struct {
	params config.List[param] // uwsgi_param and its like

	// of uwsgi
	modifier1 int
	modifier2 int

	// of FastCGI
	index    string              // fastcgi_index
	split    *proxy.Regexp       // fastcgi_split_path_info
	keepConn bool                // fastcgi_keep_conn
	catch    config.List[string] // fastcgi_catch_stderr
}

// param is one parameter of a request.
type param struct {
	name    string
	value   *proxy.Template
	present bool // if_not_empty: the parameter is left out if its value is empty
}

func setParam(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		p := param{name: n.Arg(0), value: proxy.ParseTemplate(s.Load(), n.Args[1].Pos, n.Arg(1))}
		if len(n.Args) == 3 {
			if n.Arg(2) != "if_not_empty" {
				return &config.Error{Pos: n.Args[2].Pos, Msg: fmt.Sprintf("%s: invalid parameter %q; it takes \"if_not_empty\"", n.Name, n.Arg(2))}
			}
			p.present = true
		}
		if p.name == "" || len(p.name) > maxParamName || strings.Contains(p.name, "\x00") {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: invalid name %.40q; it must have 1 to %d characters, and no NUL", n.Name, p.name, maxParamName)}
		}
		k.In(s).gateway.params.Add(s, p)
		return nil
	}
}

// maxParamName bounds the name of a parameter.
const maxParamName = 1000

// parseGateway returns the parser for the value of uwsgi_pass and its like: an address, or the
// name of an upstream block. scheme:// may stand before it; "": there is no scheme.
func parseGateway(directive, scheme string) func(text string) (*target, error) {
	return func(text string) (*target, error) {
		rest, secure := text, false
		if scheme != "" {
			if rest, secure = cutScheme(text, "s"+scheme); !secure {
				rest, _ = cutScheme(text, scheme)
			}
		}
		_, http := cutScheme(rest, "http")
		_, https := cutScheme(rest, "https")
		switch {
		case secure && scheme != "uwsgi":
			return nil, fmt.Errorf("invalid address %q of %s: only uwsgi_pass and proxy_pass reach servers by TLS", text, directive)
		case http, https:
			return nil, fmt.Errorf("invalid address %q of %s: for a server that speaks HTTP use proxy_pass", text, directive)
		case strings.ContainsAny(rest, "/") && !strings.HasPrefix(rest, "unix:"):
			return nil, fmt.Errorf("invalid address %q of %s; it is HOST:PORT, unix:PATH or the name of an upstream", text, directive)
		}
		addr, err := parseAddress(rest, defaultPort)
		if err != nil {
			return nil, fmt.Errorf("invalid address %q of %s: %w", text, directive, err)
		}
		t := &target{name: addr.host, addr: addr, secure: secure}
		if addr.path != "" {
			t.name = rest
		}
		return t, nil
	}
}

func passHelp(what string) string {
	return "Passes the location's requests on to the " + what + " at that address, or to the servers of the upstream block of that name. Host names are looked up when the configuration is read; all addresses of a name take turns. The server gets a request as parameters: those of PROTOCOL_param, and the client's header fields, X-A as HTTP_X_A. Transfer-Encoding is left out, because a body of unknown length is read first, and so is Proxy, because applications take HTTP_PROXY for their own proxy. The answer has the form of CGI: the field Status has its status, and an answer with a Location and without a Status is a 302." + variablesHelp
}

const paramHelp = "A parameter of the requests that are passed on. VALUE may have variables; with if_not_empty the parameter is left out where it is empty. A block's own replace those that it inherits. One whose name begins with HTTP_ takes the place of the client's field; with an empty VALUE neither is sent."

// gatewayDirectives returns the directives that each gateway has beside those of all protocols.
func gatewayDirectives(k *key, name, scheme, syntax, what string) []config.Directive {
	return []config.Directive{
		{Name: name + "_pass", In: config.Location | config.LocationIf, Args: config.OneArg, Syntax: syntax, Set: setPass(k, parseGateway(name+"_pass", scheme)),
			Help: strings.ReplaceAll(passHelp(what), "PROTOCOL", name)},
		{Name: name + "_param", In: config.AnyLevel, Args: config.Arity{Min: 2, Max: 3}, Repeat: true, Syntax: "NAME VALUE [if_not_empty]", Set: setParam(k), Help: paramHelp},
	}
}

func uwsgiDirectives(k *key) []config.Directive {
	in := config.AnyLevel
	return append(gatewayDirectives(k, "uwsgi", "uwsgi", "[uwsgi://|suwsgi://]HOST:PORT | unix:PATH | UPSTREAM", "uWSGI server"),
		config.Directive{Name: "uwsgi_modifier1", In: in, Args: config.OneArg, Syntax: "N", Default: "0",
			Set:  config.Int(k, 0, 255, func(c *settings) *int { return &c.gateway.modifier1 }),
			Help: "The first modifier of the uwsgi protocol, 0 to 255: the plugin of the uWSGI server that answers. 0 is Python."},
		config.Directive{Name: "uwsgi_modifier2", In: in, Args: config.OneArg, Syntax: "N", Default: "0",
			Set:  config.Int(k, 0, 255, func(c *settings) *int { return &c.gateway.modifier2 }),
			Help: "The second modifier of the uwsgi protocol, 0 to 255."})
}

func scgiDirectives(k *key) []config.Directive {
	return gatewayDirectives(k, "scgi", "scgi", "HOST:PORT | unix:PATH | UPSTREAM", "SCGI server")
}

func newSCGIEncoder(c *settings, _ string) encoder {
	e := newParamEncoder(c, &cgi.SCGI{}, upstream.Framing{})
	e.zeros = true
	return e
}

func newUwsgiEncoder(c *settings, _ string) encoder {
	return newParamEncoder(c, &cgi.Uwsgi{Modifier1: byte(c.gateway.modifier1), Modifier2: byte(c.gateway.modifier2)}, upstream.Framing{})
}
