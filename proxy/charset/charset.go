// Package charset is the half of nginx's charset module that says in Content-Type which
// charset a text has. It converts no text: where a response has one charset and another
// is wanted, that is an error, as in nginx without charset_map.
//
// A response that names its own charset keeps it, unless override_charset is on.
// Redirects with 301 and 302 have no charset, as in nginx. Lists of folders are in utf-8
// where there is no charset.
package charset

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	name     *proxy.Template // nil: off
	source   *proxy.Template // nil: off
	types    config.List[string]
	override bool
}

// usualTypes are the types without charset_types.
var usualTypes = []string{"text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	k.Leave = func(s *config.Scope, c *settings) error { return c.check(s) }
	const anywhere = config.AnyLevel | config.LocationIf
	return proxy.Module{
		Name:     "charset",
		Settings: k,
		Directives: []config.Directive{
			{Name: "charset", In: anywhere, Args: config.OneArg, Syntax: "NAME | off", Default: "off", Set: setName(k, func(c *settings) **proxy.Template { return &c.name }),
				Help: "Adds the charset to the Content-Type of responses whose type is one of charset_types and which name none themselves. It may be a variable; an empty one adds none. No text is converted."},
			{Name: "charset_types", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "TYPE ...", Default: strings.Join(usualTypes, " "),
				Set:  config.Strings(k, func(c *settings) *config.List[string] { return &c.types }),
				Help: "The content types that charset is for, besides text/html, which it is always for; * is every type."},
			{Name: "override_charset", In: anywhere, Args: config.OneArg, Syntax: "on | off", Default: "off",
				Set:  config.Flag(k, func(c *settings) *bool { return &c.override }),
				Help: "Whether charset is also for the answers of applications and other servers that name a charset themselves. Where that is another one the answer stays as it is, and the error log says so: no text is converted."},
			{Name: "source_charset", In: anywhere, Args: config.OneArg, Syntax: "NAME | off", Default: "off", Set: setName(k, func(c *settings) **proxy.Template { return &c.source }),
				Help: "The charset that responses without one have. It must be that of charset, because no text is converted. It may be a variable: where it then is another one, the response gets no charset, and the error log says so."},
		},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			if c := k.In(s); c.name != nil {
				l.FilterHeader(newFilter(c).apply)
			}
			return nil
		},
	}
}

func setName(k *config.Key[settings], field func(c *settings) **proxy.Template) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		t := field(k.In(s))
		if *t = nil; n.Arg(0) != "off" {
			*t = proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))
		}
		return nil
	}
}

// check refuses two charsets that differ, in the block that brings them together.
func (c *settings) check(s *config.Scope) error {
	if c.name == nil || c.source == nil || s.Own("charset") == nil && s.Own("source_charset") == nil {
		return nil
	}
	n := s.Nearest("source_charset")
	name, source := s.Nearest("charset").Arg(0), n.Arg(0)
	if strings.Contains(name+source, "$") || strings.EqualFold(name, source) {
		return nil
	}
	return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("charset is %q and source_charset is %q: no text is converted from one to the other; name the same one, or leave source_charset out", name, source)}
}

// filter is the settings of one location, ready for use.
type filter struct {
	name, source *proxy.Template
	types        proxy.TypeSet
	override     bool
}

func newFilter(c *settings) *filter {
	f := &filter{name: c.name, source: c.source, override: c.override, types: proxy.NewTypeSet(usualTypes...)}
	if c.types.Given() {
		f.types = proxy.NewTypeSet(append([]string{"text/html"}, c.types.Items()...)...)
	}
	return f
}

// apply is the header filter.
func (f *filter) apply(x *proxy.Exchange) error {
	r := &x.Res
	if r.ContentType == "" || r.Charset != "" {
		return nil
	}
	kind, own, named := split(r.ContentType)
	switch {
	case named && (!f.override || own == ""), !named && (strings.Contains(kind, ";") || !f.types.Has(kind)):
		return nil
	case !named && f.source != nil:
		own = f.source.String(x)
	}
	name := f.name.String(x)
	if own != "" && !strings.EqualFold(own, name) {
		x.Log(proxy.LevelError, "cannot convert a text from the charset %q to %q; its Content-Type stays as it is", own, name)
		return nil
	}
	if r.ContentType = kind; r.Status != 301 && r.Status != 302 {
		r.Charset = name
	}
	return nil
}

// split returns a content type before its charset, and the charset, as nginx reads
// them.
func split(contentType string) (kind, charset string, named bool) {
	const parameter = "charset="
	for i := 0; ; i++ {
		next := strings.IndexByte(contentType[i:], ';')
		if next < 0 {
			return contentType, "", false
		}
		i += next
		rest := strings.TrimLeft(contentType[i+1:], " ")
		if len(rest) >= len(parameter) && strings.EqualFold(rest[:len(parameter)], parameter) {
			return contentType[:i], strings.TrimSuffix(strings.TrimPrefix(rest[len(parameter):], `"`), `"`), true
		}
	}
}
