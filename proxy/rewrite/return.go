// Package rewrite is nginx's rewrite module: what decides a request's way
// before its content is looked for.
//
// return ends a request with a status, a text or a redirect. It stands in a
// server, before a location is found, or in a location.
package rewrite

import (
	"fmt"
	"strconv"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	answer *answer // return of this very block
}

// answer is one return directive.
type answer struct {
	code int
	text *proxy.Template // nil: a status page; for redirects the target
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	k.Enter = func(s *config.Scope, c *settings) { c.answer = nil }
	return proxy.Module{
		Name:     "rewrite",
		Settings: k,
		Directives: []config.Directive{{
			Name: "return", In: config.Server | config.Location | config.LocationIf, Args: config.Arity{Min: 1, Max: 2}, Repeat: true,
			Syntax: "CODE [TEXT] | CODE URL | URL", Set: set(k),
			Help: "Ends the request: with a status page (or its error_page), with a text, or with a redirect for 301, 302, 303, 307, 308 and for a URL alone (302). 444 closes the connection without an answer.",
		}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			a := k.In(s).answer
			if a == nil {
				return nil
			}
			phase := proxy.Rewrite
			if l.Kind == proxy.LocationServer {
				phase = proxy.ServerRewrite
			}
			l.On(phase, a.give)
			return nil
		},
	}
}

func set(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		if c.answer != nil {
			return nil // the first return is reached, later ones never, as in nginx
		}
		code, err := strconv.Atoi(n.Arg(0))
		switch {
		case err != nil && len(n.Args) == 1 && isURL(n.Arg(0)):
			c.answer = &answer{302, proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))}
		case err != nil || code < 0 || code > 999:
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid return code %q", n.Arg(0))}
		case len(n.Args) == 2:
			c.answer = &answer{code, proxy.ParseTemplate(s.Load(), n.Args[1].Pos, n.Arg(1))}
		default:
			c.answer = &answer{code, nil}
		}
		return nil
	}
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "$scheme")
}

// give responds. A text has the content type of the path, and a redirect is
// subject to error_page, as in nginx.
func (a *answer) give(x *proxy.Exchange) error {
	text := ""
	if a.text != nil {
		text = a.text.String(x)
	}
	switch a.code {
	case 301, 302, 303, 307, 308:
		if text == "" {
			return proxy.Status(a.code)
		}
		return &proxy.Fail{Status: proxy.Status(a.code), Field: proxy.Field{Name: "Location", Value: x.AbsoluteLocation(text)}}
	}
	if a.text == nil && (a.code >= 400 || a.code == 0) {
		return proxy.Status(a.code)
	}
	contentType := ""
	if a.code != 204 {
		contentType = x.Core().TypeOf(x.Req.Path)
	}
	if err := x.Res.Reply(a.code, contentType, []byte(text)); err != nil {
		return err
	}
	return proxy.Done
}
