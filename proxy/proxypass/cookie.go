package proxypass

import (
	"fmt"
	"slices"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// cookieSettings are the settings of a block about cookies that servers set.
type cookieSettings struct {
	domains config.List[edit]
	paths   config.List[edit]
	flags   config.List[cookieRule]
}

// cookieRule is one proxy_cookie_flags.
type cookieRule struct {
	name   *proxy.Template
	regexp *proxy.Regexp // used in place of name; nil: name is used
	flags  []*proxy.Template
}

func (c *cookieSettings) given() bool {
	return len(c.domains.Items())+len(c.paths.Items())+len(c.flags.Items()) > 0
}

// flagged are the attributes that flags change, in the order in which they are added.
var flagged = [3]string{"Secure", "HttpOnly", "SameSite"}

// cookieFlags are the flags of proxy_cookie_flags.
var cookieFlags = []struct {
	word  string
	of    int    // the index of its attribute in flagged
	value string // of the attribute
	no    bool   // the flag removes the attribute
}{
	{"secure", 0, "", false}, {"nosecure", 0, "", true}, {"httponly", 1, "", false}, {"nohttponly", 1, "", true},
	{"samesite=strict", 2, "Strict", false}, {"samesite=lax", 2, "Lax", false}, {"samesite=none", 2, "None", false}, {"nosamesite", 2, "", true},
}

// cookieFlag returns the index of the flag word in cookieFlags; -1: there is none.
func cookieFlag(word string) int {
	for i := range cookieFlags {
		if strings.EqualFold(cookieFlags[i].word, word) {
			return i
		}
	}
	return -1
}

func cookieDirectives(k *key) []config.Directive {
	in := config.AnyLevel
	return []config.Directive{
		{Name: "proxy_cookie_domain", In: in, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "off | DOMAIN REPLACEMENT",
			Set:  addEdit(k, func(c *settings) *config.List[edit] { return &c.cookies.domains }, true),
			Help: "Replaces the domain DOMAIN of cookies in answers by REPLACEMENT. Case and a dot before the domain do not matter. After \"~\" DOMAIN is a regular expression, which ignores case, and REPLACEMENT may have its groups. Both may have variables. The first directive that matches counts. off drops those that the block inherits."},
		{Name: "proxy_cookie_path", In: in, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "off | PATH REPLACEMENT",
			Set:  addEdit(k, func(c *settings) *config.List[edit] { return &c.cookies.paths }, false),
			Help: "Replaces PATH at the beginning of the path of cookies in answers by REPLACEMENT. After \"~\", or \"~*\" to ignore case, PATH is a regular expression, and REPLACEMENT, which may have its groups, replaces the whole path. Both may have variables. The first directive that matches counts. off drops those that the block inherits."},
		{Name: "proxy_cookie_flags", In: in, Args: config.SomeArg, Repeat: true, Syntax: "off | COOKIE [secure | nosecure | httponly | nohttponly | samesite=strict | samesite=lax | samesite=none | nosamesite] ...", Set: addCookieFlags(k),
			Help: "Adds flags to the cookies named COOKIE in answers, or, with \"no\" before the flag, removes them. After \"~\" COOKIE is a regular expression, which ignores case. Both may have variables; an empty flag has no effect. The first directive that matches counts. off drops those that the block inherits."},
	}
}

func addCookieFlags(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c, load := &k.In(s).cookies.flags, s.Load()
		if len(n.Args) == 1 {
			if n.Arg(0) == "off" {
				c.Clear(s)
				return nil
			}
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: invalid parameter %q; it takes \"off\", or a cookie and flags", n.Name, n.Arg(0))}
		}
		r := cookieRule{name: proxy.ParseTemplate(load, n.Args[0].Pos, n.Arg(0))}
		if expr, ok := strings.CutPrefix(n.Arg(0), "~"); ok {
			var err error
			if r.regexp, err = proxy.ParseRegexp(load, n.Args[0].Pos, expr, true); err != nil {
				return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
			}
			r.name = nil
		}
		for _, a := range n.Args[1:] {
			if !strings.Contains(a.Text, "$") && cookieFlag(a.Text) < 0 {
				return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("%s: invalid flag %q", n.Name, a.Text)}
			}
			r.flags = append(r.flags, proxy.ParseTemplate(load, a.Pos, a.Text))
		}
		c.Add(s, r)
		return nil
	}
}

// attribute is a part of a cookie. The first part is the cookie's own name and value.
type attribute struct {
	name, value string
	valued      bool // it has "=" and a value, which may be empty
}

func parseCookie(text string) (all []attribute) {
	for part := range strings.SplitSeq(text, ";") {
		var a attribute
		a.name, a.value, a.valued = strings.Cut(part, "=")
		a.name, a.value = strings.Trim(a.name, " \t"), strings.Trim(a.value, " \t")
		all = append(all, a)
	}
	return all
}

// rewrite returns a cookie as the client gets it.
func (c *cookieSettings) rewrite(x *proxy.Exchange, text string) (string, error) {
	all, changed := parseCookie(text), false
	if !all[0].valued {
		return text, nil // not a cookie, as in nginx
	}
	for i := range all {
		a := &all[i]
		if i == 0 || !a.valued {
			continue
		}
		var to string
		var ok bool
		var err error
		switch {
		case strings.EqualFold(a.name, "domain"):
			to, ok, err = wholeDomain(x, c.domains.Items(), a.value)
		case strings.EqualFold(a.name, "path"):
			to, ok, err = beginning(x, c.paths.Items(), a.value)
		}
		if err != nil {
			return "", err
		}
		if ok {
			a.value, changed = to, true
		}
	}
	rule, err := c.ruleFor(x, all[0].name)
	if rule != nil {
		all, changed = rule.apply(x, all), true
	}
	if err != nil || !changed {
		return text, err
	}
	return joinCookie(all), nil
}

// ruleFor returns the first rule for the cookie of that name; nil: there is none.
func (c *cookieSettings) ruleFor(x *proxy.Exchange, name string) (*cookieRule, error) {
	rules := c.flags.Items()
	for i := range rules {
		r := &rules[i]
		if r.regexp == nil && strings.EqualFold(r.name.String(x), name) {
			return r, nil
		}
		if r.regexp != nil {
			if ok, err := r.regexp.Match(x, name); ok || err != nil {
				return r, err
			}
		}
	}
	return nil, nil
}

// apply sets and removes the rule's flags. Of two flags for one attribute the last counts.
func (r *cookieRule) apply(x *proxy.Exchange, all []attribute) []attribute {
	chosen := [len(flagged)]int{-1, -1, -1}
	for _, t := range r.flags {
		word := t.String(x)
		if word == "" {
			continue
		}
		n := cookieFlag(word)
		if n < 0 {
			x.Log(proxy.LevelError, "invalid proxy_cookie_flags flag %q", word)
			continue
		}
		chosen[cookieFlags[n].of] = n
	}
	for _, n := range chosen {
		if n >= 0 {
			all = setFlag(all, n)
		}
	}
	return all
}

// setFlag applies the flag of index n.
func setFlag(all []attribute, n int) []attribute {
	f := &cookieFlags[n]
	name := flagged[f.of]
	is := func(a attribute) bool { return strings.EqualFold(a.name, name) }
	at := slices.IndexFunc(all[1:], is) + 1
	switch {
	case f.no:
		all = append(all[:1], slices.DeleteFunc(all[1:], is)...)
	case at == 0:
		all = append(all, attribute{name, f.value, f.value != ""})
	case f.value != "":
		all[at].value, all[at].valued = f.value, true
	}
	return all
}

func joinCookie(all []attribute) string {
	var b strings.Builder
	for i, a := range all {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(a.name)
		if a.valued {
			b.WriteByte('=')
			b.WriteString(a.value)
		}
	}
	return b.String()
}
