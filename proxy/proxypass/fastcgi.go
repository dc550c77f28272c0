package proxypass

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/cgi"
	"alicorn/proxy/upstream"
)

func fastcgiDirectives(k *key) []config.Directive {
	in := config.AnyLevel
	return append(gatewayDirectives(k, "fastcgi", "", "HOST:PORT | unix:PATH | UPSTREAM", "FastCGI server"),
		config.Directive{Name: "fastcgi_index", In: in, Args: config.OneArg, Syntax: "NAME",
			Set:  config.String(k, func(c *settings) *string { return &c.gateway.index }),
			Help: "The name that $fastcgi_script_name appends to a path that ends with a slash, such as index.php."},
		config.Directive{Name: "fastcgi_split_path_info", In: in, Args: config.OneArg, Repeat: true, Syntax: "REGEX", Set: setSplit(k),
			Help: "Splits the path of a request: the first group of REGEX is $fastcgi_script_name, the second $fastcgi_path_info. If REGEX does not match, $fastcgi_script_name is the whole path, and $fastcgi_path_info is empty. If a block has several, the last one counts, as after snippets/fastcgi-php.conf."},
		config.Directive{Name: "fastcgi_keep_conn", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.gateway.keepConn }),
			Help: "Whether connections to the servers are kept for further requests, as many as keepalive of the upstream allows. A process of php-fpm serves one connection at a time, and a kept connection occupies it: if there are not more processes than kept connections, other requests wait."},
		config.Directive{Name: "fastcgi_catch_stderr", In: in, Args: config.OneArg, Repeat: true, Syntax: "TEXT", Set: addCatch(k),
			Help: "A text that makes an answer invalid (see fastcgi_next_upstream) if the application has written it to its standard error before the answer. The error log gets the standard error of each request, at most 64 KiB, and the number of bytes beyond that."})
}

func newFastCGIEncoder(c *settings, _ string) encoder {
	return newParamEncoder(c, &cgi.FastCGI{Keep: c.gateway.keepConn}, upstream.Framing{Head: cgi.AppendBodyPart, End: cgi.EndOfBody})
}

func setSplit(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		re, err := proxy.CompileRegexp(n.Args[0].Pos, n.Arg(0), false)
		switch {
		case err != nil:
			return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
		case re.Backtracking():
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: pattern %q needs backtracking, which is not supported here; use no lookaround and no back-references", n.Name, n.Arg(0))}
		case re.NumGroups() != 2:
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: pattern %q must have 2 captures", n.Name, n.Arg(0))}
		}
		k.In(s).gateway.split = re
		return nil
	}
}

func addCatch(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if n.Arg(0) == "" {
			return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": the text is empty; every answer would be invalid"}
		}
		k.In(s).gateway.catch.Add(s, n.Arg(0))
		return nil
	}
}

// splitPath splits the path of x's request by fastcgi_split_path_info of its location. index
// is fastcgi_index.
func (st *state) splitPath(x *proxy.Exchange) (script, info, index string) {
	path := x.Req.Path
	if x.Location == nil {
		return path, "", ""
	}
	g := st.fastcgi.Of(x.Location)
	if g == nil {
		return path, "", ""
	}
	if g.split != nil {
		if groups := g.split.Groups(path); groups != nil {
			return groups[1], groups[2], g.index
		}
	}
	return path, "", g.index
}

func (st *state) scriptName(x *proxy.Exchange, dst []byte) ([]byte, bool) {
	script, _, index := st.splitPath(x)
	dst = append(dst, script...)
	if strings.HasSuffix(script, "/") {
		dst = append(dst, index...)
	}
	return dst, true
}

func (st *state) pathInfo(x *proxy.Exchange, dst []byte) ([]byte, bool) {
	_, info, _ := st.splitPath(x)
	return append(dst, info...), true
}
