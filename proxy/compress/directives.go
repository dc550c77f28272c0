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
			Help: "Compresses responses with status 200, 403 or 404 for clients whose Accept-Encoding accepts gzip. Responses that are already compressed, too short (gzip_min_length) or of another type (gzip_types) are left alone. Unlike in nginx, a HEAD gets the fields of the GET."},
		{Name: "gzip_types", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "TYPE ...", Default: "text/html",
			Set:  config.Strings(k, func(c *settings) *config.List[string] { return &c.types }),
			Help: "The content types to compress besides text/html, which is always compressed; * is every type."},
		{Name: "gzip_min_length", In: config.AnyLevel, Args: config.OneArg, Syntax: "SIZE", Default: "20",
			Set:  config.Size(k, func(c *settings) *int64 { return &c.minLength }),
			Help: "Does not compress responses whose Content-Length is less. Responses without a Content-Length are compressed."},
		{Name: "gzip_vary", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.vary }),
			Help: "Adds \"Vary: Accept-Encoding\" to responses that may be compressed, so that caches keep both forms."},
		{Name: "gzip_comp_level", In: config.AnyLevel, Args: config.OneArg, Syntax: "1 .. 9", Default: "1",
			Set:  config.Int(k, 1, 9, func(c *settings) *int { return &c.level }),
			Help: "The level of compression, from 1 (fastest) to 9 (smallest)."},
		{Name: "gzip_http_version", In: config.AnyLevel, Args: config.OneArg, Syntax: "1.0 | 1.1", Default: "1.1",
			Set:  config.Enum(k, []config.Choice[uint8]{{Word: "1.0", Value: 0}, {Word: "1.1", Value: 1}}, func(c *settings) *uint8 { return &c.minor }),
			Help: "The lowest version of HTTP at which clients get gzip."},
		{Name: "gzip_proxied", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Default: "off", Set: setProxied(k),
			Syntax: "off | expired | no-cache | no-store | private | no_last_modified | no_etag | auth | any ...",
			Help:   "Compresses for requests that came through a proxy (they have a Via field): when the response has expired, when its Cache-Control has the parameter, when it has no Last-Modified or no ETag, when the request has an Authorization field, or always."},
		{Name: "gzip_disable", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "REGEX ...", Set: setDisable(k),
			Help: "Sends no gzip to clients whose User-Agent matches one of the regular expressions, without case. The word msie6 stands for Internet Explorer 4 to 6 before SV1."},
		{Name: "gzip_buffers", In: config.AnyLevel, Args: config.TwoArgs, Syntax: "NUMBER SIZE", NoEffect: true,
			Help: "The compressor's output is sent as it is made, from buffers of its own."},
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
