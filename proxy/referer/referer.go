// Package referer is nginx's referer module: $invalid_referer shows whether valid_referers
// does not have the Referer of a request.
//
// Anyone can send any Referer: the module keeps off the pages of others that use a site's
// pictures, but no attacker. As in nginx, the case and the port of the host do not matter,
// the case of the path does.
package referer

import (
	"fmt"
	"strings"
	"unsafe"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct{ valid config.List[config.Arg] }

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	compiled := new(proxy.LocationSlot[*referers])
	return proxy.Module{
		Name:     "referer",
		Settings: k,
		Directives: []config.Directive{{
			Name: "valid_referers", In: config.Server | config.Location, Args: config.SomeArg, Repeat: true, Set: set(k),
			Syntax: "none | blocked | server_names | HOST[/PATH] | ~REGEX ...",
			Help:   "The Referer fields for which $invalid_referer is the empty text; for any other it is 1. none is a request without Referer; blocked is a Referer that does not begin with http:// or https://; server_names are the names of the server. HOST is a name without a port, or *.example.com, .example.com or www.example.*; PATH is the beginning of the path. REGEX, whose case does not matter, is matched with the text after http:// or https://. A block with valid_referers does not inherit those of the block around it. Without valid_referers $invalid_referer is empty.",
		}},
		State: []proxy.Slot{compiled},
		Variables: []proxy.Variable{{Name: "invalid_referer", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			l := x.Location
			if l == nil {
				l = x.Server.Root
			}
			if r := compiled.Of(l); r != nil && !r.valid(x) {
				dst = append(dst, '1')
			}
			return dst, true
		}}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			words := k.In(s).valid.Items()
			if len(words) == 0 {
				return nil
			}
			r, err := compile(words, l.Server)
			compiled.Set(l, r)
			return err
		},
	}
}

func set(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		for _, a := range n.Args {
			host, _, _ := strings.Cut(a.Text, "/")
			if !strings.HasPrefix(host, "~") && strings.Contains(host, ":") {
				s.Load().Warn(a.Pos, "no Referer is %q: a referer is a host without a scheme and a port, and perhaps a path", a.Text)
			}
			k.In(s).valid.Add(s, a)
		}
		return nil
	}
}

// referers are the valid referers of one location.
type referers struct {
	none, blocked bool
	hosts         proxy.Hosts[string] // the value is the beginning of the path
	names         []*proxy.Regexp     // match a host
	patterns      []*proxy.Regexp     // match a host and the rest of the Referer
}

func compile(words []config.Arg, sv *proxy.Server) (*referers, error) {
	r, some := &referers{}, false
	for _, w := range words {
		switch w.Text {
		case "none":
			r.none = true
			continue
		case "blocked":
			r.blocked = true
			continue
		}
		some = true
		if err := r.add(w, sv); err != nil {
			return nil, &config.Error{Pos: w.Pos, Msg: err.Error()}
		}
	}
	if !some {
		return nil, &config.Error{Pos: words[0].Pos, Msg: "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid referer"}
	}
	return r, nil
}

func (r *referers) add(w config.Arg, sv *proxy.Server) error {
	if w.Text == "server_names" {
		for _, name := range sv.Names() {
			r.hosts.Add(name, "")
		}
		r.names = append(r.names, sv.NamePatterns()...)
		return nil
	}
	if expr, ok := strings.CutPrefix(w.Text, "~"); ok {
		re, err := proxy.CompileRegexp(w.Pos, expr, true)
		if err == nil && expr == "" {
			err = fmt.Errorf("empty regex in %q", w.Text)
		}
		r.patterns = append(r.patterns, re)
		return err
	}
	host, path := w.Text, ""
	if i := strings.IndexByte(host, '/'); i >= 0 {
		host, path = host[:i], host[i:]
	}
	if host == "" {
		return fmt.Errorf("invalid referer %q; it is none, blocked, server_names, a host, perhaps with a path, or ~ and a regular expression", w.Text)
	}
	if err := proxy.CheckHost(host); err != nil {
		return err
	}
	if _, taken := r.hosts.Add(strings.ToLower(host), path); taken {
		return fmt.Errorf("conflicting parameter %q of valid_referers: an earlier one is for it", w.Text)
	}
	return nil
}

// longestHost is the longest host, in bytes, that can be valid, as in nginx.
const longestHost = 256

// valid reports whether x's Referer is one of r.
func (r *referers) valid(x *proxy.Exchange) bool {
	referer, ok := x.Req.Header.Lookup(proxy.FieldReferer)
	if !ok {
		return r.none
	}
	rest, ok := afterScheme(referer)
	if !ok {
		return r.blocked
	}
	n := strings.IndexAny(rest, "/:")
	if n < 0 {
		n = len(rest)
	}
	if n > longestHost {
		return false
	}
	var buf [longestHost]byte
	host := unsafe.String(&buf[0], copy(buf[:], rest[:n]))
	lower(buf[:n])
	if path, ok := r.hosts.Find(host); ok {
		if i := strings.IndexByte(rest[n:], '/'); i >= 0 {
			return strings.HasPrefix(rest[n+i:], path)
		}
		return path == ""
	}
	if len(r.names) > 0 && matches(x, r.names, string(buf[:n])) {
		return true
	}
	return matches(x, r.patterns, rest)
}

// afterScheme returns the text after http:// or https://. As in nginx, a text that is shorter
// than http://i.ru does not count as having one of them.
func afterScheme(referer string) (string, bool) {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(referer) >= len("http://i.ru") && strings.EqualFold(referer[:len(scheme)], scheme) {
			return referer[len(scheme):], true
		}
	}
	return "", false
}

func lower(text []byte) {
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
}

// matches reports whether one of the patterns matches. An error ends the request.
func matches(x *proxy.Exchange, patterns []*proxy.Regexp, text string) bool {
	for _, p := range patterns {
		ok, err := p.MatchString(x, text)
		if err != nil {
			x.Fault(err)
		}
		if ok || err != nil {
			return ok
		}
	}
	return false
}
