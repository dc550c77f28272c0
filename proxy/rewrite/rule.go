package rewrite

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// rule is one rewrite directive.
type rule struct {
	replacement
	re   *proxy.Regexp
	path *value // the new path; for a redirect the whole target
	args *value // nil: the replacement has no "?"
}

// replacement is the second and third word of rewrite.
type replacement struct {
	text     string       // without the "?" that drops the arguments
	keepArgs bool         // the request's arguments are appended
	redirect proxy.Status // the status of a redirect; 0: the path changes
	stay     bool         // break: the location stays
	last     bool         // the program ends if the rule matches
}

func parseReplacement(text, flag string) (replacement, error) {
	if text == "" {
		return replacement{}, fmt.Errorf("empty replacement")
	}
	var p replacement
	short, drop := strings.CutSuffix(text, "?")
	p.text, p.keepArgs = short, !drop
	if isURL(short) {
		p.redirect, p.last = 302, true
	}
	switch flag {
	case "":
		return p, nil
	case "last":
	case "break":
		p.stay = true
	case "redirect":
		p.redirect = 302
	case "permanent":
		p.redirect = 301
	default:
		return p, fmt.Errorf("invalid flag %q of rewrite; it is last, break, redirect or permanent", flag)
	}
	p.last = true
	return p, nil
}

func newRule(s *config.Scope, n *config.Node) (instruction, error) {
	re, err := proxy.ParseRegexp(s.Load(), n.Args[0].Pos, n.Arg(0), false)
	if err != nil {
		return nil, &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
	}
	flag := ""
	if len(n.Args) == 3 {
		flag = n.Arg(2)
	}
	p, err := parseReplacement(n.Arg(1), flag)
	if err != nil {
		return nil, &config.Error{Pos: n.Args[len(n.Args)-1].Pos, Msg: err.Error()}
	}
	r := &rule{replacement: p, re: re, path: &value{}}
	proxy.ParsePieces(s.Load(), n.Args[1].Pos, p.text, r.compile)
	return r, nil
}

// compile splits the replacement at its first "?" outside a variable. The target
// of a redirect stays whole.
func (r *rule) compile(pieces []proxy.Piece) {
	for i, p := range pieces {
		before, after, ok := strings.Cut(p.Literal, "?")
		if !ok {
			continue
		}
		r.args = &value{}
		if r.redirect != 0 {
			break
		}
		rest := append([]proxy.Piece{{Literal: after}}, pieces[i+1:]...)
		r.args.pieces, r.args.text = compilePieces(rest)
		pieces = append(pieces[:i:i], proxy.Piece{Literal: before})
		break
	}
	r.path.pieces, r.path.text = compilePieces(pieces)
}

func (r *rule) do(x *proxy.Exchange, state round) (round, error) {
	if ok, err := matches(x, state, r.re, x.Req.Path); err != nil || !ok {
		return state, err
	}
	if r.redirect != 0 {
		return state, r.redirectTo(x, state)
	}
	x.Internal = true
	state.changed = !r.stay
	path := r.path.string(x, false)
	args := r.arguments(x)
	x.ChangeURI(path, args)
	if path == "" {
		return state, &proxy.Fail{Status: 500, Level: proxy.LevelError, Reason: "the rewritten URI has a zero length"}
	}
	state.plain = true
	if state.log && x.Logs(proxy.LevelNotice) {
		x.Log(proxy.LevelNotice, "rewritten data: %q, args: %q", path, args)
	}
	if r.last {
		return state, errEnd
	}
	return state, nil
}

// arguments returns the replacement's arguments, with captures escaped, and the request's.
func (r *rule) arguments(x *proxy.Exchange) string {
	old := ""
	if r.keepArgs {
		old = x.Req.Args
	}
	if r.args == nil {
		return old
	}
	b := r.args.appendTo(x, make([]byte, 0, 64), encoded(x.Req.Target))
	if old != "" {
		b = append(append(b, '&'), old...)
	}
	return owned(b)
}

func (r *rule) redirectTo(x *proxy.Exchange, state round) error {
	b := unescapeRedirect(r.path.appendTo(x, make([]byte, 0, 128), encoded(x.Req.Target)))
	if r.keepArgs && x.Req.Args != "" {
		sep := byte('?')
		if r.args != nil {
			sep = '&'
		}
		b = append(append(b, sep), x.Req.Args...)
	}
	to := owned(b)
	if state.log && x.Logs(proxy.LevelNotice) {
		x.Log(proxy.LevelNotice, "rewritten redirect: %q", to)
	}
	return redirect(x, r.redirect, to)
}

// unescapeRedirect decodes, in place, those bytes before the arguments that need no
// encoding, as nginx does.
func unescapeRedirect(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != '%' {
			out = append(out, c)
			if c == '?' {
				return append(out, b[i+1:]...)
			}
			continue
		}
		if i+1 == len(b) {
			break // as in nginx, a last "%" is dropped
		}
		hi := proxy.HexValue(b[i+1])
		if hi < 0 {
			i++
			out = append(out, b[i])
			continue
		}
		if i+2 == len(b) {
			break
		}
		lo := proxy.HexValue(b[i+2])
		if lo < 0 {
			i += 2
			continue
		}
		switch c = byte(hi<<4 | lo); {
		case c == '?':
			out = append(out, c)
			return append(out, b[i+3:]...)
		case c > '%' && c < 0x7f:
			out = append(out, c)
		default:
			out = append(out, '%', b[i+1], b[i+2])
		}
		i += 2
	}
	return out
}
