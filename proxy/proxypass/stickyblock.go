package proxypass

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// setSticky reads sticky, as nginx does.
func setSticky(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		var words []string
		for _, a := range n.Args {
			words = append(words, a.Text)
		}
		st := &sticky{text: strings.Join(words, " ")}
		c.group.sticky = st
		switch args := n.Args[1:]; n.Arg(0) {
		case "cookie":
			return st.readCookie(s, args)
		case "route":
			return st.readRoute(s, args)
		case "learn":
			if err := st.readLearn(s, args); err != nil {
				return err
			}
			if other := c.all.learning(st); other != nil {
				return &config.Error{Pos: n.Pos, Msg: fmt.Sprintf("sticky zone %q is already used in upstream %q", st.zone, other.name)}
			}
			return nil
		}
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("sticky: unknown parameter %q; the first one is cookie, route or learn", n.Arg(0))}
	}
}

// learning returns another upstream whose "sticky learn" has the zone of st; nil: there is
// none.
func (d *definitions) learning(st *sticky) *definition {
	for _, o := range d.list {
		if o.sticky != nil && o.sticky != st && st.zone != "" && o.sticky.zone == st.zone {
			return o
		}
	}
	return nil
}

// addVariable adds the variable with the name text, which begins with "$", to a list.
func addVariable(s *config.Scope, pos config.Pos, text string, list *[]proxy.Getter) error {
	name, ok := strings.CutPrefix(text, "$")
	if !ok || name == "" {
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("sticky: invalid variable name %q; it must begin with \"$\"", text)}
	}
	i := len(*list)
	*list = append(*list, nil)
	of := list
	proxy.ParseVariable(s.Load(), pos, name, func(g proxy.Getter) { (*of)[i] = g })
	return nil
}

func (st *sticky) readRoute(s *config.Scope, args []config.Arg) error {
	for _, a := range args {
		if err := addVariable(s, a.Pos, a.Text, &st.lookup); err != nil {
			return err
		}
	}
	return nil
}

func (st *sticky) readCookie(s *config.Scope, args []config.Arg) error {
	c := &stickyCookie{name: args[0].Text}
	if !proxy.IsToken(c.name) {
		return &config.Error{Pos: args[0].Pos, Msg: fmt.Sprintf("sticky: invalid cookie name %q", c.name)}
	}
	st.cookie = c
	seen := map[string]bool{}
	for _, a := range args[1:] {
		word, value, given := strings.Cut(a.Text, "=")
		err := c.parameter(s, a.Pos, word, value, given)
		if seen[word] {
			err = fmt.Errorf("parameter %q is duplicate", word)
		}
		seen[word] = true
		if err != nil {
			return &config.Error{Pos: a.Pos, Msg: "sticky: " + err.Error()}
		}
	}
	return addVariable(s, args[0].Pos, "$cookie_"+c.name, &st.lookup)
}

// parameter reads one parameter of "sticky cookie".
func (c *stickyCookie) parameter(s *config.Scope, pos config.Pos, word, value string, given bool) (err error) {
	switch {
	case !given && word == "httponly":
		c.httpOnly = true
		return nil
	case !given && word == "secure":
		c.secure = true
		return nil
	case !given || word != "expires" && word != "domain" && word != "path" && word != "samesite":
		return fmt.Errorf("unknown parameter %q; cookie takes expires=, domain=, httponly, samesite=, secure and path=", word)
	case value == "" || !isAttribute(value):
		return fmt.Errorf("invalid value %q of %q", value, word)
	}
	switch word {
	case "expires":
		if c.forever = value == "max"; c.forever {
			return nil
		}
		if c.expires, err = config.ParseTime(value); err != nil || c.expires < time.Second {
			return fmt.Errorf("invalid value %q of \"expires\"; it is a time of a second or more, or \"max\"", value)
		}
	case "domain":
		c.domain = proxy.ParseTemplate(s.Load(), pos, value)
	case "path":
		c.path = value
	case "samesite":
		if !strings.Contains(value, "$") && !isSameSite(value) {
			return fmt.Errorf("invalid value %q of \"samesite\"; it is strict, lax, none or a variable", value)
		}
		c.sameSite = proxy.ParseTemplate(s.Load(), pos, value)
	}
	return nil
}

// memory has the size and the timeout of "sticky learn".
type memory struct {
	size    int64 // bytes
	timeout time.Duration
}

const defaultLearnTime = 10 * time.Minute

func (st *sticky) readLearn(s *config.Scope, args []config.Arg) (err error) {
	var l memory
	for _, a := range args {
		if err := st.learnParameter(s, &l, a); err != nil {
			var placed *config.Error
			if errors.As(err, &placed) {
				return err
			}
			return &config.Error{Pos: a.Pos, Msg: "sticky: " + err.Error()}
		}
	}
	for _, p := range []struct {
		word  string
		given bool
	}{{"create", len(st.create) > 0}, {"lookup", len(st.lookup) > 0}, {"zone", st.zone != ""}} {
		if !p.given {
			return fmt.Errorf("sticky: %q parameter is not specified: learn needs create=, lookup= and zone=", p.word)
		}
	}
	l.timeout = cmp.Or(l.timeout, defaultLearnTime)
	key := fmt.Sprintf("sticky zone %s %d %s", st.zone, l.size, l.timeout)
	st.sessions, err = config.Hold(s.Load().Resources, key, func() (*sessions, error) { return newSessions(l.size, l.timeout), nil })
	return err
}

// learnParameter reads one parameter of "sticky learn".
func (st *sticky) learnParameter(s *config.Scope, l *memory, a config.Arg) (err error) {
	word, value, _ := strings.Cut(a.Text, "=")
	switch {
	case a.Text == "header":
		st.atHead = true
	case word == "create":
		return addVariable(s, a.Pos, value, &st.create)
	case word == "lookup":
		return addVariable(s, a.Pos, value, &st.lookup)
	case word == "timeout" && l.timeout != 0:
		return errors.New("duplicate timeout")
	case word == "timeout":
		if l.timeout, err = config.ParseTime(value); err != nil || l.timeout <= 0 {
			return fmt.Errorf("invalid timeout %q", value)
		}
	case word == "zone" && st.zone != "":
		return errors.New("duplicate zone")
	case word == "zone":
		name, size, sized := strings.Cut(value, ":")
		if !sized || name == "" {
			return fmt.Errorf("invalid zone %q; it is zone=NAME:SIZE", value)
		}
		if l.size, err = config.ParseSize(size); err != nil {
			return fmt.Errorf("invalid zone size %q", size)
		}
		if st.zone = name; l.size < smallestZone {
			return fmt.Errorf("zone %q is too small; it needs at least 32k", name)
		}
	default:
		return fmt.Errorf("unknown parameter %q; learn takes create=, lookup=, zone=, timeout= and header", a.Text)
	}
	return nil
}
