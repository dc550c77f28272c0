// Package authrequest is nginx's auth_request module: the answer to a subrequest decides
// whether a request is let in. The location of the subrequest may be an application's, or pass
// it on to another server.
//
//	answer      the client's request
//	2xx         goes on
//	401, 403    gets the same status; with 401 the answer's WWW-Authenticate
//	other       gets 500
//
// It belongs to the access phase: rewriting, limits and redirects come before. As in nginx, a
// subrequest skips that phase, and so makes no subrequest of its own here.
package authrequest

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	asked string // the path of the subrequest; "": off
	sets  config.List[assignment]
}

// assignment is one auth_request_set directive.
type assignment struct {
	slot  int
	value *proxy.Template
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	return proxy.Module{
		Name:     "auth_request",
		Settings: k,
		Directives: []config.Directive{
			{Name: "auth_request", In: config.AnyLevel, Args: config.OneArg, Syntax: "PATH | off", Default: "off", Set: setTarget(k),
				Help: "Asks another location of the server whether a request is let in: the location for PATH gets a GET with the request's header and without its body. If it answers with 2xx, the request is let in. If it answers with 401 or 403, the request is answered with the same status, and with the WWW-Authenticate of a 401. After any other answer the request is answered with 500. The location is often internal. In it $request_uri and $request_method are those of the client's request."},
			{Name: "auth_request_set", In: config.AnyLevel, Args: config.TwoArgs, Repeat: true, Syntax: "$NAME VALUE", Set: setVariable(k),
				Help: "Sets a variable after the answer to auth_request, whatever that is. VALUE may have variables of the subrequest, such as $upstream_http_x_user or $sent_http_x_user. A block with auth_request_set does not inherit those of the block around it."},
		},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := k.In(s)
			if c.asked != "" {
				g := &gate{path: c.asked, sets: c.sets.Items()}
				l.On(proxy.Access, func(x *proxy.Exchange) error { return x.Ask(g.path, "", g.judge) })
			}
			return nil
		},
	}
}

func setTarget(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c, path, pos := k.In(s), n.Arg(0), n.Args[0].Pos
		switch {
		case path == "off":
			c.asked = ""
			return nil
		case strings.Contains(path, "$"):
			return &config.Error{Pos: pos, Msg: fmt.Sprintf("auth_request %q has a variable; it takes a path without any, or \"off\"", path)}
		case !strings.HasPrefix(path, "/"):
			return &config.Error{Pos: pos, Msg: fmt.Sprintf("%q is no path of this server; auth_request takes one that begins with \"/\", or \"off\"", path)}
		case strings.Contains(path, "?"):
			s.Load().Warn(pos, "auth_request %q has no arguments: as in nginx the \"?\" and what follows belong to the path", path)
		}
		c.asked = path
		return nil
	}
}

func setVariable(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		name, err := proxy.VariableName(n.Arg(0))
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
		}
		slot, err := proxy.Define(s.Load(), name)
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
		}
		k.In(s).sets.Add(s, assignment{slot, proxy.ParseTemplate(s.Load(), n.Args[1].Pos, n.Arg(1))})
		return nil
	}
}

// gate is the auth_request of one location.
type gate struct {
	path string
	sets []assignment
}

// judge returns the result for x after the answer to sub.
func (g *gate) judge(x, sub *proxy.Exchange) error {
	for _, a := range g.sets {
		x.SetVar(a.slot, a.value.String(sub))
	}
	switch status := sub.Res.Status; {
	case status >= 200 && status < 300:
		return proxy.Granted
	case status == 401:
		return &proxy.Fail{Status: 401, Level: proxy.LevelInfo, Field: challenge(&sub.Res.Header)}
	case status == 403:
		return proxy.Status(403)
	default:
		return &proxy.Fail{Status: 500, Level: proxy.LevelError, Reason: fmt.Sprintf("auth request unexpected status: %d", status)}
	}
}

// challenge returns the answer's WWW-Authenticate. Several lines become one list (RFC 9110
// section 11.6.1).
func challenge(h *proxy.Header) proxy.Field {
	const name = "WWW-Authenticate"
	var all []string
	for f := range h.All() {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	if len(all) == 0 {
		return proxy.Field{}
	}
	return proxy.Field{Name: name, Value: strings.Clone(strings.Join(all, ", "))}
}
