// Package charset is nginx's charset module: it adds the charset of a text to Content-Type, and
// converts texts from one charset to another if there is a charset_map for both.
//
// A response that names its own charset keeps it, unless override_charset is on. As in nginx,
// redirects with 301 and 302 have no charset.
package charset

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	name     *proxy.Template // charset; nil: off
	source   *proxy.Template // source_charset; nil: off
	types    config.List[string]
	override bool
	tables   *tables // one for the whole configuration
}

// usualTypes is the default of charset_types.
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
				Help: "Adds the charset to the Content-Type of responses whose type is in charset_types and that name no charset themselves. NAME may be a variable; an empty value adds nothing. A text in another charset (source_charset) is converted with charset_map."},
			{Name: "charset_map", In: config.HTTP, Block: true, Args: config.TwoArgs, Repeat: true, Syntax: "CHARSET1 CHARSET2 { BYTE VALUE; ... }", Set: setMap(k),
				Help: "How texts are converted from CHARSET1, which has one byte for each character, to CHARSET2, and back. Each line has, in hexadecimal, a byte of CHARSET1 and the same character in CHARSET2: a byte, or, if CHARSET2 is utf-8, up to three bytes. Bytes below 80 are the same in both charsets, unless a line changes that. Any other byte without a line becomes a question mark. A character of utf-8 that CHARSET1 does not have becomes &#NUMBER;."},
			{Name: "charset_types", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "TYPE ...", Default: strings.Join(usualTypes, " "),
				Set:  config.Strings(k, func(c *settings) *config.List[string] { return &c.types }),
				Help: "The content types to which charset adds a charset. text/html is always one of them. * is every type."},
			{Name: "override_charset", In: anywhere, Args: config.OneArg, Syntax: "on | off", Default: "off",
				Set:  config.Flag(k, func(c *settings) *bool { return &c.override }),
				Help: "With on, charset also applies to responses of applications and other servers that name a charset themselves. If that is another charset, the response is converted with charset_map. Without a charset_map for both it stays as it is, and the error log says so."},
			{Name: "source_charset", In: anywhere, Args: config.OneArg, Syntax: "NAME | off", Default: "off", Set: setName(k, func(c *settings) **proxy.Template { return &c.source }),
				Help: "The charset of responses that name none. If it is not the same as charset, responses are converted, and there must be a charset_map for both. NAME may be a variable: if there is no charset_map for its value, the response stays as it is, and the error log says so."},
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

// check returns an error for two different charsets without a charset_map, in a block that has
// one of the two directives.
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

// filter is the compiled settings of one location.
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

// convert makes a body filter convert the body. It returns false for a response that stays as
// it is: one that is compressed, one without a charset_map, and a part (206) if the conversion
// changes the length.
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

// split returns the part of a content type before its charset, and the charset, as nginx reads
// them. named reports whether there is a charset.
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
