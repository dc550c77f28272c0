// Package header is the add_header directive.
package header

import (
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	added config.List[field]
}

type field struct {
	name   string
	value  *proxy.Template
	always bool
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	return proxy.Module{
		Name:     "header",
		Settings: k,
		Directives: []config.Directive{{
			Name: "add_header", In: config.AnyLevel | config.LocationIf, Args: config.Arity{Min: 2, Max: 3}, Repeat: true,
			Syntax: "NAME VALUE [always]", Set: set(k),
			Help: "Adds a field to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308, and with always to every response. A value that is empty adds none. A block that has its own add_header does not inherit those of the block around it.",
		}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			added := k.In(s).added.Items()
			if len(added) > 0 {
				l.FilterHeader(func(x *proxy.Exchange) error { add(x, added); return nil })
			}
			return nil
		},
	}
}

func set(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		f := field{name: n.Arg(0), value: proxy.ParseTemplate(s.Load(), n.Args[1].Pos, n.Arg(1))}
		if len(n.Args) == 3 {
			if n.Arg(2) != "always" {
				return &config.Error{Pos: n.Args[2].Pos, Msg: "the third argument of add_header can only be \"always\""}
			}
			f.always = true
		}
		k.In(s).added.Add(s, f)
		return nil
	}
}

// ordinary are the statuses that add_header is for without always.
func ordinary(status int) bool {
	switch status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return false
}

func add(x *proxy.Exchange, added []field) {
	for i := range added {
		f := &added[i]
		if !f.always && !ordinary(x.Res.Status) {
			continue
		}
		value := f.value.String(x)
		switch {
		case strings.EqualFold(f.name, "Last-Modified") || strings.EqualFold(f.name, "ETag"):
			x.Res.Header.Del(f.name)
			if value != "" {
				x.Res.Header.Add(f.name, value)
			}
		case strings.EqualFold(f.name, "Content-Type"):
			x.Res.ContentType = value
		case value != "":
			x.Res.Header.Add(f.name, value)
		}
	}
}
