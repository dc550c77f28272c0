// Package header is the add_header directive, which adds fields to the responses
// of every handler.
package header

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	added config.List[field]
}

// field is one add_header directive.
type field struct {
	id     proxy.FieldID
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
			Help: "Adds a field to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308, and to the 416 for a range that a file does not have; with always to all responses. VALUE may have variables. An empty value adds no field. A block with add_header does not inherit those of the block around it.",
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
		name := n.Arg(0)
		if !proxy.IsToken(name) {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid header field name %q", name)}
		}
		f := field{id: proxy.FieldIDOf(name), name: name, value: proxy.ParseTemplate(s.Load(), n.Args[1].Pos, unfold(n.Arg(1)))}
		switch f.id {
		case proxy.FieldConnection, proxy.FieldContentLength, proxy.FieldTransferEncoding, proxy.FieldKeepAlive:
			s.Load().Warn(n.Args[0].Pos, "add_header %s has no effect: the server itself sets this field", name)
		}
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

// unfold joins the lines of a value: HTTP does not allow fields of several lines any more,
// but files often have long policies in several lines.
func unfold(value string) string {
	lines := strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) < 2 {
		return strings.Trim(value, "\r\n")
	}
	for i := range lines {
		lines[i] = strings.Trim(lines[i], " \t")
	}
	return strings.TrimSpace(strings.Join(lines, " "))
}

func add(x *proxy.Exchange, added []field) {
	for i := range added {
		f := &added[i]
		if !f.always && !x.Res.Ordinary() {
			continue
		}
		value := f.value.String(x)
		switch f.id {
		case proxy.FieldLastModified, proxy.FieldETag:
			x.Res.Header.Del(f.name)
		case proxy.FieldContentType:
			x.Res.ContentType = value
			continue
		}
		if value != "" {
			x.Res.Header.AddID(f.id, f.name, value)
		}
	}
}
