package proxypass

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// redirect is one proxy_redirect: what begins with pattern begins with replacement instead.
type redirect struct {
	standard    bool // "default": see standardRedirect
	pattern     *proxy.Template
	replacement *proxy.Template
}

func setRedirect(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		load := s.Load()
		switch {
		case len(n.Args) == 1 && n.Arg(0) == "off":
			c.redirects.Clear(s)
		case len(n.Args) == 1 && n.Arg(0) == "default":
			c.redirects.Add(s, redirect{standard: true})
		case len(n.Args) == 1:
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("proxy_redirect: %q is not one of \"default\", \"off\"; or it takes two URLs", n.Arg(0))}
		case strings.HasPrefix(n.Arg(0), "~"):
			return &config.Error{Pos: n.Args[0].Pos, Msg: "proxy_redirect with a regular expression is not here yet"}
		default:
			c.redirects.Add(s, redirect{
				pattern:     proxy.ParseTemplate(load, n.Args[0].Pos, n.Arg(0)),
				replacement: proxy.ParseTemplate(load, n.Args[1].Pos, n.Arg(1)),
			})
		}
		return nil
	}
}

// redirectsOf returns the redirects of a location. location is its name where proxy_pass
// has a URI.
func redirectsOf(c *settings, location string) []redirect {
	given := c.redirects.Items()
	if !c.redirects.Given() && c.pass.value == nil {
		given = []redirect{{standard: true}}
	}
	rs := make([]redirect, len(given))
	for i, r := range given {
		if r.standard {
			from, to := c.pass.origin+"/", "/"
			if c.pass.uri != "" {
				from, to = c.pass.origin+separator(c.pass)+c.pass.uri, location
			}
			r.pattern, r.replacement = proxy.FixedTemplate(from), proxy.FixedTemplate(to)
		}
		rs[i] = r
	}
	return rs
}

// separator stands between a unix socket and the URI.
func separator(t *target) string {
	if t.addr.path != "" {
		return ":"
	}
	return ""
}

// rewriteLocation returns the value of Location as the first redirect that fits has it.
func rewriteLocation(x *proxy.Exchange, redirects []redirect, value string) string {
	if to, ok := redirectedTo(x, redirects, value); ok {
		return x.AbsoluteLocation(to)
	}
	return value
}

// redirectedTo returns what the first redirect that fits makes of a URL; ok is false
// where none fits.
func redirectedTo(x *proxy.Exchange, redirects []redirect, url string) (to string, ok bool) {
	for i := range redirects {
		r := &redirects[i]
		if rest, ok := strings.CutPrefix(url, r.pattern.String(x)); ok {
			return r.replacement.String(x) + rest, true
		}
	}
	return "", false
}

// rewriteRefresh does so with the URL in Refresh: "5; url=http://...".
func rewriteRefresh(x *proxy.Exchange, redirects []redirect, value string) string {
	i := strings.Index(strings.ToLower(value), "url=")
	if i < 0 {
		return value
	}
	i += len("url=")
	if to, ok := redirectedTo(x, redirects, value[i:]); ok {
		return value[:i] + to
	}
	return value
}
