package proxypass

import (
	"errors"
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// match is a match block: the conditions of a good answer to a health check.
type match struct {
	name     string
	pos      config.Pos
	statuses []statusRange // nil: any status
	without  bool          // the status must be none of statuses
	headers  []headerTest
	body     *proxy.Regexp // nil: any body
	bodyNot  bool
}

type statusRange struct{ low, high int }

// headerTest is one header directive.
type headerTest struct {
	name  string
	not   bool
	value *string       // the value must equal it; nil: any
	regex *proxy.Regexp // the value must match it; nil: any
}

// usualMatch returns the conditions without a match block, as in nginx.
func usualMatch() *match { return &match{statuses: []statusRange{{200, 399}}} }

func (d *definitions) match(name string) *match {
	for _, m := range d.matches {
		if m.name == name {
			return m
		}
	}
	return nil
}

func matchDirective(k *blockKey) config.Directive {
	return config.Directive{Name: "match", In: config.HTTP, Block: true, Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: openMatch(k), Inside: []config.Directive{
		{Name: "status", Args: config.SomeArg, Syntax: "[!] CODE | CODE-CODE ...", Set: setMatchStatus(k),
			Help: "The status of a good answer is one of these, or with ! none of them. Without this directive any status is good."},
		{Name: "header", Args: config.Arity{Min: 1, Max: 3}, Repeat: true, Syntax: "[!] NAME | NAME = VALUE | NAME != VALUE | NAME ~ REGEX | NAME !~ REGEX", Set: addMatchHeader(k),
			Help: "A good answer has this field, with a value that equals VALUE or matches REGEX (~* and !~* ignore case). With ! before NAME it does not have the field. If there are several such directives, all must hold."},
		{Name: "body", Args: config.TwoArgs, Syntax: "~ | !~ REGEX", Set: setMatchBody(k),
			Help: "The first 256k of a good answer's body match REGEX, or do not match it (~* and !~* ignore case)."},
	},
		Help: "The conditions of a good answer to a health check, for match= of health_check. As in nginx, where it is commercial; \"require\" is not supported."}
}

func openMatch(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		if other := c.all.match(n.Arg(0)); other != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("match %q is duplicate; the first is at %s", n.Arg(0), other.pos)}
		}
		c.match = &match{name: n.Arg(0), pos: n.Pos}
		c.all.matches = append(c.all.matches, c.match)
		return nil
	}
}

func setMatchStatus(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		m, args := k.In(s).match, n.Args
		if args[0].Text == "!" {
			m.without, args = true, args[1:]
		}
		for _, a := range args {
			first, last, ranged := strings.Cut(a.Text, "-")
			if !ranged {
				last = first
			}
			low, err := config.ParseInt(first, 100, 999)
			high, err2 := config.ParseInt(last, low, 999)
			if err := errors.Join(err, err2); err != nil {
				return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("invalid status %q; it is a number from 100 to 999, or a range such as 200-399", a.Text)}
			}
			m.statuses = append(m.statuses, statusRange{low, high})
		}
		if m.statuses == nil {
			return errors.New("status has no number behind \"!\"")
		}
		return nil
	}
}

func addMatchHeader(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		t, args := headerTest{}, n.Args
		if args[0].Text == "!" {
			t.not, args = true, args[1:]
		}
		if len(args) != 1 && (len(args) != 3 || t.not) {
			return errors.New("header takes NAME, \"! NAME\", or NAME with =, !=, ~ or !~ and a value")
		}
		if t.name = args[0].Text; !proxy.IsToken(t.name) {
			return &config.Error{Pos: args[0].Pos, Msg: fmt.Sprintf("invalid header field name %q", t.name)}
		}
		if len(args) == 3 {
			value := args[2].Text
			switch op := args[1].Text; op {
			case "=", "!=":
				t.not, t.value = op == "!=", &value
			default:
				var err error
				if t.regex, t.not, err = matchRegexp(args[1], args[2]); err != nil {
					return err
				}
			}
		}
		m := k.In(s).match
		m.headers = append(m.headers, t)
		return nil
	}
}

func setMatchBody(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) (err error) {
		m := k.In(s).match
		m.body, m.bodyNot, err = matchRegexp(n.Args[0], n.Args[1])
		return err
	}
}

// matchRegexp reads a regular expression behind its operator.
func matchRegexp(op, pattern config.Arg) (re *proxy.Regexp, not bool, err error) {
	kind, not := strings.CutPrefix(op.Text, "!")
	if kind != "~" && kind != "~*" {
		return nil, false, &config.Error{Pos: op.Pos, Msg: fmt.Sprintf("invalid operator %q; header takes \"=\", \"!=\", \"~\", \"!~\", \"~*\" and \"!~*\", body the last four", op.Text)}
	}
	re, err = proxy.CompileRegexp(pattern.Pos, pattern.Text, kind == "~*")
	if err != nil {
		return nil, false, &config.Error{Pos: pattern.Pos, Msg: err.Error()}
	}
	return re, not, nil
}

// why returns why an answer is bad; "": it is good.
func (m *match) why(status int, h *proxy.Header, body []byte) string {
	if m.statuses != nil && m.hasStatus(status) == m.without {
		return fmt.Sprintf("its status %d does not match", status)
	}
	for i := range m.headers {
		if t := &m.headers[i]; t.holds(h) == t.not {
			return fmt.Sprintf("its header field %q does not match", t.name)
		}
	}
	if m.body == nil {
		return ""
	}
	if ok, err := m.body.MatchString(nil, string(body)); err != nil || ok == m.bodyNot {
		return "its body does not match"
	}
	return ""
}

func (m *match) hasStatus(status int) bool {
	for _, r := range m.statuses {
		if status >= r.low && status <= r.high {
			return true
		}
	}
	return false
}

// holds reports whether h has a field of that name whose value equals value or matches regex.
// It does not apply not.
func (t *headerTest) holds(h *proxy.Header) bool {
	for f := range h.All() {
		if !strings.EqualFold(f.Name, t.name) || t.value != nil && f.Value != *t.value {
			continue
		}
		if t.regex == nil {
			return true
		}
		if ok, err := t.regex.MatchString(nil, f.Value); ok && err == nil {
			return true
		}
	}
	return false
}
