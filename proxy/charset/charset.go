// Package charset is nginx's charset module: it says in Content-Type which charset a text
// has, and converts texts from one charset to another where a charset_map tells how.
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
	tables   *tables // one for the whole configuration
}

// usualTypes are the types without charset_types.
var usualTypes = []string{"text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{tables: &tables{}} })
	k.Leave = func(s *config.Scope, c *settings) error { return c.check(s) }
	const anywhere = config.AnyLevel | config.LocationIf
	return proxy.Module{
		Name:     "charset",
		Settings: k,
		Directives: []config.Directive{
			{Name: "charset", In: anywhere, Args: config.OneArg, Syntax: "NAME | off", Default: "off", Set: setName(k, func(c *settings) **proxy.Template { return &c.name }),
				Help: "Adds the charset to the Content-Type of responses whose type is one of charset_types and which name none themselves. It may be a variable; an empty one adds none. A text in another charset (source_charset) is converted, by charset_map."},
			{Name: "charset_map", In: config.HTTP, Block: true, Args: config.TwoArgs, Repeat: true, Syntax: "CHARSET1 CHARSET2 { BYTE VALUE; ... }", Set: setMap(k),
				Help: "How texts are converted from CHARSET1, which has a byte for each character, to CHARSET2, and back: each line has a byte of CHARSET1 and what it is in CHARSET2, in hexadecimal: a byte, or, where that is utf-8, a character of up to three bytes. Bytes below 80 are the same in both unless a line says otherwise; any other byte without a line becomes a question mark, and a character of utf-8 that CHARSET1 does not have is written as &#NUMBER;."},
			{Name: "charset_types", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "TYPE ...", Default: strings.Join(usualTypes, " "),
				Set:  config.Strings(k, func(c *settings) *config.List[string] { return &c.types }),
				Help: "The content types that charset is for, besides text/html, which it is always for; * is every type."},
			{Name: "override_charset", In: anywhere, Args: config.OneArg, Syntax: "on | off", Default: "off",
				Set:  config.Flag(k, func(c *settings) *bool { return &c.override }),
				Help: "Whether charset is also for the answers of applications and other servers that name a charset themselves. Such an answer is converted where it names another charset, by charset_map; without one it stays as it is, and the error log says so."},
			{Name: "source_charset", In: anywhere, Args: config.OneArg, Syntax: "NAME | off", Default: "off", Set: setName(k, func(c *settings) **proxy.Template { return &c.source }),
				Help: "The charset of responses that name none. Where it is another one than charset, the response is converted, by a charset_map that must be there. It may be a variable: where there is no charset_map for its value, the response stays as it is, and the error log says so."},
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

// check refuses two charsets that differ and have no charset_map, in the block that brings them together.
func (c *settings) check(s *config.Scope) error {
	if c.name == nil || c.source == nil || s.Own("charset") == nil && s.Own("source_charset") == nil {
		return nil
	}
	n := s.Nearest("source_charset")
	name, source := s.Nearest("charset").Arg(0), n.Arg(0)
	if strings.Contains(name+source, "$") || strings.EqualFold(name, source) || c.tables.find(source, name) != nil {
		return nil
	}
	return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("no \"charset_map\" between the charsets %q and %q", source, name)}
}

// filter is the settings of one location, ready for use.
type filter struct {
	name, source *proxy.Template
	types        proxy.TypeSet
	override     bool
	tables       *tables
}

func newFilter(c *settings) *filter {
	f := &filter{name: c.name, source: c.source, override: c.override, tables: c.tables, types: proxy.NewTypeSet(usualTypes...)}
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
	if own != "" && !strings.EqualFold(own, name) && !f.convert(x, own, name) {
		return nil
	}
	if r.ContentType = kind; r.Status != 301 && r.Status != 302 {
		r.Charset = name
	}
	return nil
}

// convert has the body converted. It returns false for a response that stays as it is: one
// that is compressed, the part of one that would have another length, or one for which
// there is no charset_map.
func (f *filter) convert(x *proxy.Exchange, from, to string) bool {
	r, t := &x.Res, f.tables.find(from, to)
	switch {
	case t == nil:
		x.Log(proxy.LevelError, "no \"charset_map\" between the charsets %q and %q", from, to)
		return false
	case r.Header.Value(proxy.FieldContentEncoding) != "", !t.keepsLength() && r.Status == 206:
		return false
	case !t.keepsLength():
		r.Length = -1
		r.Header.Del("Accept-Ranges")
	}
	if !r.Bodyless() {
		r.Use(newConverter(t))
	}
	return true
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
