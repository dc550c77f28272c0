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
	if a.code == 200 {
		if done, err := precondition(x); done {
			return err
		}
	}
	contentType := ""
	switch {
	case x.Res.ContentType != "": // that of the answer whose X-Accel-Redirect has led here
		contentType = x.Res.ContentType
	case a.code != 204 || x.GivenStatus() != 0:
		contentType = x.Core().TypeOf(x.Req.Path)
	}
	if err := x.Res.Reply(a.code, contentType, []byte(text)); err != nil {
		return err
	}
	return proxy.Done
}

// precondition answers a request whose condition a text does not meet, which has neither
// an entity tag nor a date; done reports that it does. As in nginx it counts as modified
// for If-Modified-Since, which goes before If-None-Match.
func precondition(x *proxy.Exchange) (done bool, err error) {
	if x.Main() != x || x.GivenStatus() != 0 && x.GivenStatus() != 200 {
		return false, nil
	}
	h := &x.Req.Header
	if value, ok := h.Lookup(proxy.FieldIfMatch); ok && strings.TrimSpace(value) != "*" {
		return true, proxy.Status(412)
	}
	if _, ok := h.Lookup(proxy.FieldIfUnmodifiedSince); ok {
		return true, proxy.Status(412)
	}
	if value, ok := h.Lookup(proxy.FieldIfNoneMatch); !ok || strings.TrimSpace(value) != "*" {
		return false, nil
	}
	if _, ok := h.Lookup(proxy.FieldIfModifiedSince); ok {
		return false, nil
	}
	x.TakeOK()
	r := &x.Res
	r.Status, r.ContentType, r.Length = 304, "", -1
	if err := r.Send(); err != nil {
		return true, err
	}
	if err := r.Finish(); err != nil {
		return true, err
	}
	return true, proxy.Done
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
