package rewrite

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// answer is one return directive.
type answer struct {
	code int
	text *proxy.Template // the text, or the target of a redirect; nil: the status page
}

func newAnswer(s *config.Scope, n *config.Node) (instruction, error) {
	code, err := config.ParseInt(n.Arg(0), 0, 999)
	switch {
	case err != nil && len(n.Args) == 1 && isURL(n.Arg(0)):
		return &answer{302, proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))}, nil
	case err != nil:
		return nil, &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid return code %q", n.Arg(0))}
	case len(n.Args) == 2 && (n.Arg(1) != "" || code < 400): // as in nginx, an error with an empty text has the status page
		return &answer{code, proxy.ParseTemplate(s.Load(), n.Args[1].Pos, n.Arg(1))}, nil
	}
	return &answer{code, nil}, nil
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "$scheme")
}

// do responds. As in nginx, a text has the content type of the path, and error_page applies
// to a redirect.
func (a *answer) do(x *proxy.Exchange, r round) (round, error) { return r, a.give(x) }

func (a *answer) give(x *proxy.Exchange) error {
	text := ""
	if a.text != nil {
		text = a.text.String(x)
	}
	switch a.code {
	case 301, 302, 303, 307, 308:
		if text == "" {
			return proxy.Status(a.code)
		}
		return redirect(x, proxy.Status(a.code), text)
	}
	if a.text == nil && (a.code >= 400 || a.code == 0) {
		return proxy.Status(a.code)
	}
	contentType := ""
	if a.code != 204 || x.GivenStatus() != 0 {
		contentType = x.Core().TypeOf(x.Req.Path)
	}
	if err := x.Res.Reply(a.code, contentType, []byte(text)); err != nil {
		return err
	}
	return proxy.Done
}

// redirect returns the error that redirects to to. It encodes control bytes, which a
// decoded path in a variable may have: in nginx a client can add header fields with them.
func redirect(x *proxy.Exchange, status proxy.Status, to string) error {
	return &proxy.Fail{Status: status, Field: proxy.Field{Name: "Location", Value: x.AbsoluteLocation(encodeControls(to))}}
}

func encodeControls(s string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; control(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
