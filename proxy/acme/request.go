package acme

import (
	"strings"

	"alicorn/proxy"
	"alicorn/tls/acme"
)

// challenge answers HTTP-01 in every server.
type challenge struct{ source *acme.Source }

// answer serves the token of a challenge. It leaves unknown tokens to the server:
// another ACME client may serve its tokens from files.
func (c challenge) answer(x *proxy.Exchange) error {
	token, ok := strings.CutPrefix(x.Req.Path, acme.ChallengePath)
	if !ok {
		return nil
	}
	text, ok := c.source.KeyAuthorization(token)
	if !ok {
		return nil
	}
	if err := x.Res.Reply(200, "text/plain", []byte(text)); err != nil {
		return err
	}
	return proxy.Done
}

// toHTTPS redirects plain requests on port 80 to https:// once a certificate is there.
func (t *site) toHTTPS(x *proxy.Exchange) error {
	if x.Conn.TLS != nil || x.Conn.LocalPort != "80" {
		return nil
	}
	host := t.certified(x.Req.Host)
	if host == "" {
		return nil
	}
	status := 301
	if x.Req.Method != "GET" && x.Req.Method != "HEAD" {
		status = 308
	}
	target := x.Req.Target
	if !strings.HasPrefix(target, "/") { // the absolute form (RFC 9112 section 3.2.2)
		_, target, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(target, "http://"), "HTTP://"), "/")
		target = "/" + target
	}
	if err := x.Res.RedirectTo(status, "https://"+host+target); err != nil {
		return err
	}
	return proxy.Done
}

// certified returns host when there is a certificate for it, else the first name
// that has one, else "".
func (t *site) certified(host string) string {
	first := ""
	for _, w := range t.wants {
		if t.source.Certificate(w.Name) == nil {
			continue
		}
		if covers(w.Name, host) {
			return host
		}
		if first == "" && !strings.HasPrefix(w.Name, "*.") {
			first = w.Name
		}
	}
	return first
}
