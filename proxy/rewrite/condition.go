package rewrite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"alicorn/config"
	"alicorn/proxy"
)

// condition is the condition of an if block. An error ends the request.
type condition interface {
	holds(x *proxy.Exchange, r round) (bool, error)
}

// question is a condition as the configuration has it: a variable, or a test of a file.
type question struct {
	variable config.Arg // "$name"
	operator string     // "=", "~" or "~*"; "": the variable alone
	test     string     // "f", "d", "e" or "x"; "": no test of a file
	operand  config.Arg // the text, the regular expression or the file
	negated  bool
}

const conditionForm = "it is ($variable), ($variable = text), ($variable ~ regex) or (-f file), with !=, ~*, !~, !~*, -d, -e, -x and ! before them"

// parseCondition reads the words between "if" and "{".
func parseCondition(args []config.Arg) (question, error) {
	words, err := insideParens(args)
	if err != nil {
		return question{}, err
	}
	first := words[0].Text
	negated, rest := strings.HasPrefix(first, "!"), strings.TrimPrefix(first, "!")
	switch {
	case len(first) > 1 && first[0] == '$' && len(words) == 1:
		return question{variable: words[0]}, nil
	case len(first) > 1 && first[0] == '$' && len(words) == 3:
		q := question{variable: words[0], operand: words[2]}
		switch op := words[1].Text; op {
		case "=", "~", "~*":
			q.operator = op
		case "!=", "!~", "!~*":
			q.operator, q.negated = op[1:], true
		default:
			return q, &config.Error{Pos: words[1].Pos, Msg: fmt.Sprintf("unexpected %q in a condition; %s", op, conditionForm)}
		}
		return q, nil
	case len(rest) == 2 && rest[0] == '-' && strings.IndexByte("fdex", rest[1]) >= 0 && len(words) == 2:
		return question{test: rest[1:], operand: words[1], negated: negated}, nil
	}
	return question{}, invalid(words[0])
}

func invalid(a config.Arg) error {
	return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("invalid condition %q; %s", a.Text, conditionForm)}
}

// insideParens returns the words between the parentheses, at least one. A parenthesis may
// be a word of its own, or be at the end of one.
func insideParens(args []config.Arg) ([]config.Arg, error) {
	words := append([]config.Arg(nil), args...)
	last := len(words) - 1
	inner, ok := strings.CutPrefix(words[0].Text, "(")
	if !ok {
		return nil, invalid(args[0])
	}
	words[0].Text = inner
	words[0].Pos.Col++
	if inner, ok = strings.CutSuffix(words[last].Text, ")"); !ok {
		return nil, invalid(args[last])
	}
	if words[last].Text = inner; inner == "" {
		words = words[:last]
	}
	if len(words) > 0 && words[0].Text == "" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, invalid(args[0])
	}
	return words, nil
}

func (m module) setIf(s *config.Scope, n *config.Node) error {
	q, err := parseCondition(n.Args)
	if err == nil {
		m.k.In(s).condition, err = q.compile(s.Load())
	}
	return err
}

func (q question) compile(l *config.Load) (condition, error) {
	if q.test != "" {
		return &fileTest{parseValue(l, q.operand), q.test[0], q.negated}, nil
	}
	if strings.ContainsAny(q.variable.Text[1:], "=~!$(){}") {
		return nil, invalid(q.variable)
	}
	subject := variable(l, q.variable)
	switch q.operator {
	case "":
		return &truth{subject}, nil
	case "=":
		return &equality{subject, parseValue(l, q.operand), q.negated}, nil
	}
	re, err := proxy.ParseRegexp(l, q.operand.Pos, q.operand.Text, q.operator == "~*")
	if err != nil {
		return nil, &config.Error{Pos: q.operand.Pos, Msg: err.Error()}
	}
	return &match{subject, re, q.negated}, nil
}

// variable returns the variable of a condition. As in nginx, the whole word is its name:
// $arg_a-b is the argument a-b. In other places the name of a variable ends before a hyphen.
func variable(l *config.Load, a config.Arg) *value {
	v := &value{}
	name := a.Text[1:]
	proxy.ParseVariable(l, a.Pos, name, func(get proxy.Getter) {
		v.pieces, v.text = compilePieces([]proxy.Piece{{Name: name, Get: get}})
	})
	return v
}

// truth is a condition of a variable alone. It holds unless that is empty or "0".
type truth struct{ subject *value }

func (t *truth) holds(x *proxy.Exchange, _ round) (bool, error) {
	b := borrow()
	defer b.giveBack()
	b.text = t.subject.appendTo(x, b.text, false)
	return len(b.text) > 0 && string(b.text) != "0", nil
}

// equality is a condition with = or !=.
type equality struct {
	subject, text *value
	negated       bool
}

func (e *equality) holds(x *proxy.Exchange, r round) (bool, error) {
	b := borrow()
	defer b.giveBack()
	b.text = e.subject.appendTo(x, b.text, false)
	n := len(b.text)
	if e.text.pieces == nil {
		return (string(b.text) == e.text.text) != e.negated, nil
	}
	b.text = e.text.appendTo(x, b.text, r.escapes(x))
	return (string(b.text[:n]) == string(b.text[n:])) != e.negated, nil
}

// match is a condition with ~, ~*, !~ or !~*.
type match struct {
	subject *value
	re      *proxy.Regexp
	negated bool
}

func (m *match) holds(x *proxy.Exchange, r round) (bool, error) {
	ok, err := matches(x, r, m.re, m.subject.string(x, false))
	return ok != m.negated, err
}

// matches reports whether re matches text. With rewrite_log it logs that, as nginx does.
func matches(x *proxy.Exchange, r round, re *proxy.Regexp, text string) (bool, error) {
	ok, err := re.Match(x, text)
	if err != nil {
		return false, err
	}
	if !ok {
		x.ForgetCaptures()
	}
	if r.log && x.Logs(proxy.LevelNotice) {
		verb := "matches"
		if !ok {
			verb = "does not match"
		}
		x.Log(proxy.LevelNotice, "\"%s\" %s %q", re.Pattern, verb, text)
	}
	return ok, nil
}

// fileTest is a condition with -f, -d, -e or -x.
type fileTest struct {
	name    *value
	kind    byte
	negated bool
}

func (t *fileTest) holds(x *proxy.Exchange, r round) (bool, error) {
	name := t.name.string(x, r.escapes(x))
	info, err := os.Stat(name)
	if err != nil {
		absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
		if !absent && x.Logs(proxy.LevelCrit) {
			x.Log(proxy.LevelCrit, "cannot test the file of an if condition: %s", err)
		}
		return t.negated, nil
	}
	is := false
	switch t.kind {
	case 'f':
		is = info.Mode().IsRegular()
	case 'd':
		is = info.IsDir()
	case 'e':
		is = info.Mode().IsRegular() || info.IsDir()
	case 'x':
		is = info.Mode()&0o100 != 0
	}
	return is != t.negated, nil
}
