package proxypass

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

func setRedirect(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		switch {
		case len(n.Args) == 1 && n.Arg(0) == "off":
			c.redirects.Clear(s)
		case len(n.Args) == 1 && n.Arg(0) == "default":
			c.redirects.Add(s, edit{standard: true})
		case len(n.Args) == 1:
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("proxy_redirect: %q is not one of \"default\", \"off\"; or it takes two URLs", n.Arg(0))}
		default:
			e, err := parseEdit(s, n, false)
			if err == nil {
				c.redirects.Add(s, e)
			}
			return err
		}
		return nil
	}
}

// redirectsOf returns the redirects of a location. location is its name if proxy_pass has a
// URI, otherwise "".
func redirectsOf(c *settings, location string) []edit {
	given := c.redirects.Items()
	if !c.redirects.Given() && c.pass.value == nil {
		given = []edit{{standard: true}}
	}
	rs := make([]edit, len(given))
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

// separator returns the text between t's address and the URI.
func separator(t *target) string {
	if t.addr.path != "" {
		return ":"
	}
	return ""
}

// rewriteLocation applies the first redirect that matches to the value of Location.
func rewriteLocation(x *proxy.Exchange, redirects []edit, value string) (string, error) {
	to, ok, err := beginning(x, redirects, value)
	if !ok || err != nil {
		return value, err
	}
	return x.AbsoluteLocation(to), nil
}

// rewriteRefresh is rewriteLocation for the URL in a Refresh: "5; url=http://...".
func rewriteRefresh(x *proxy.Exchange, redirects []edit, value string) (string, error) {
	i := strings.Index(strings.ToLower(value), "url=")
	if i < 0 {
		return value, nil
	}
	i += len("url=")
	to, ok, err := beginning(x, redirects, value[i:])
	if !ok || err != nil {
		return value, err
	}
	return value[:i] + to, nil
}
