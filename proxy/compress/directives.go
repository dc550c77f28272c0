package compress

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

func directives(k *config.Key[settings]) []config.Directive {
	return []config.Directive{
		{Name: "gzip", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.on }),
			Help: "Compresses responses with status 200, 403 or 404 for clients whose Accept-Encoding accepts gzip. Responses that have a Content-Encoding, are too short (gzip_min_length), or are of another type (gzip_types) are not compressed. Unlike in nginx, a response to HEAD has the same fields as one to GET."},
		{Name: "gzip_types", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "TYPE ...", Default: "text/html",
			Set:  config.Strings(k, func(c *settings) *config.List[string] { return &c.types }),
			Help: "The content types to compress, besides text/html, which is always compressed. * is every type."},
		{Name: "gzip_min_length", In: config.AnyLevel, Args: config.OneArg, Syntax: "SIZE", Default: "20",
			Set:  config.Size(k, func(c *settings) *int64 { return &c.minLength }),
			Help: "Does not compress responses with a smaller Content-Length. Responses without a Content-Length are compressed."},
		{Name: "gzip_vary", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.vary }),
			Help: "Adds the field \"Vary: Accept-Encoding\" to responses that gzip may compress, so that caches keep both forms."},
		{Name: "gzip_comp_level", In: config.AnyLevel, Args: config.OneArg, Syntax: "1 .. 9", Default: "1",
			Set:  config.Int(k, 1, 9, func(c *settings) *int { return &c.level }),
			Help: "The level of compression, from 1 (fastest) to 9 (smallest)."},
		{Name: "gzip_http_version", In: config.AnyLevel, Args: config.OneArg, Syntax: "1.0 | 1.1", Default: "1.1",
			Set:  config.Enum(k, []config.Choice[uint8]{{Word: "1.0", Value: 0}, {Word: "1.1", Value: 1}}, func(c *settings) *uint8 { return &c.minor }),
			Help: "The lowest version of HTTP for which responses are compressed."},
		{Name: "gzip_proxied", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Default: "off", Set: setProxied(k),
			Syntax: "off | expired | no-cache | no-store | private | no_last_modified | no_etag | auth | any ...",
			Help:   "Compresses responses to requests that came through a proxy, which have a Via field: expired if the response has expired; no-cache, no-store and private if its Cache-Control has that word; no_last_modified and no_etag if it does not have that field; auth if the request has an Authorization field; any in any case; off never."},
		{Name: "gzip_disable", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "REGEX ...", Set: setDisable(k),
			Help: "Does not compress for clients whose User-Agent matches one of the regular expressions, whose case does not matter. The word msie6 means Internet Explorer 4 to 6 without SV1."},
		{Name: "gzip_buffers", In: config.AnyLevel, Args: config.TwoArgs, Syntax: "NUMBER SIZE", NoEffect: true,
			Help: "the compressor has buffers of its own, and sends its output at once."},
	}
}

func setProxied(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		for _, a := range n.Args {
			flag, ok := proxiedWords[a.Text]
			if !ok {
				return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("gzip_proxied: %q is not one of off, expired, no-cache, no-store, private, no_last_modified, no_etag, auth, any", a.Text)}
			}
			k.In(s).proxied.Add(s, flag)
		}
		return nil
	}
}

func setDisable(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		for _, a := range n.Args {
			if strings.EqualFold(a.Text, "msie6") {
				k.In(s).disabled.Add(s, agent{})
				continue
			}
			re, err := proxy.CompileRegexp(a.Pos, a.Text, true)
			if err != nil {
				return &config.Error{Pos: a.Pos, Msg: err.Error()}
			}
			k.In(s).disabled.Add(s, agent{re})
		}
		return nil
	}
}
