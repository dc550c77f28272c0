package proxypass

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// sticky binds clients to peers: a sticky directive. lookup returns the sid of a peer, or with
// learn the name of a session.
type sticky struct {
	lookup   []proxy.Getter
	create   []proxy.Getter // of learn: return the name of a session in an answer
	atHead   bool           // of learn: "header"
	sessions *sessions      // of learn; otherwise nil
	cookie   *stickyCookie  // of cookie; otherwise nil

	text string // the arguments of the directive
	zone string // of learn
}

// stickyCookie is the cookie that binds a client to a peer.
type stickyCookie struct {
	name     string
	expires  time.Duration // 0: at the end of the browser's session
	forever  bool          // expires=max
	path     string
	domain   *proxy.Template
	sameSite *proxy.Template
	httpOnly bool
	secure   bool
}

// sidOf returns the sid of a peer without a route, as in nginx: the MD5 of its address.
func sidOf(address string) string {
	sum := md5.Sum([]byte(address))
	return hex.EncodeToString(sum[:])
}

// hint returns the sid of the peer that x's request is bound to; "": none.
func (s *sticky) hint(x *proxy.Exchange) string {
	id := first(x, s.lookup)
	if s.sessions == nil || len(id) == 0 {
		return string(id)
	}
	return s.sessions.find(id, x.Now())
}

// first returns the first value that is not empty.
func first(x *proxy.Exchange, of []proxy.Getter) (value []byte) {
	for _, get := range of {
		if value, _ = get(x, value[:0]); len(value) > 0 {
			return value
		}
	}
	return nil
}

// headCame adds the peer's cookie to an answer whose head has come, or learns its session.
func (s *sticky) headCame(x *proxy.Exchange, p *pass) {
	if s.cookie != nil {
		p.head.Fields = append(p.head.Fields, upstream.Field{ID: proxy.FieldSetCookie, Name: "Set-Cookie", Value: s.cookie.value(x, p.peer.sid)})
	}
	if s.atHead {
		s.learn(x, p.peer.sid)
	}
}

// ended learns the session of a complete answer from m.
func (s *sticky) ended(x *proxy.Exchange, m *member) {
	if s.sessions != nil && !s.atHead {
		s.learn(x, m.sid)
	}
}

// learn binds the session of an answer to the peer with that sid. If the answer has none, it
// binds the session of the request, if that is known.
func (s *sticky) learn(x *proxy.Exchange, sid string) {
	if id := first(x, s.create); len(id) > 0 {
		s.sessions.set(id, sid, x.Now(), true)
	} else if id := first(x, s.lookup); len(id) > 0 {
		s.sessions.set(id, sid, x.Now(), false)
	}
}

// forever is the lifetime of a cookie with expires=max, as in nginx.
const forever = 315360000 * time.Second

// cookieDate is the format of a cookie's expires: RFC 6265 section 4.1.1.
const cookieDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// value returns the value of Set-Cookie.
func (c *stickyCookie) value(x *proxy.Exchange, sid string) string {
	b := append(append(append(make([]byte, 0, 128), c.name...), '='), sid...)
	switch {
	case c.forever:
		b = append(b, "; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age="...)
		b = strconv.AppendInt(b, int64(forever/time.Second), 10)
	case c.expires > 0:
		b = append(b, "; expires="...)
		b = x.Now().Add(c.expires).UTC().AppendFormat(b, cookieDate)
		b = append(b, "; max-age="...)
		b = strconv.AppendInt(b, int64(c.expires/time.Second), 10)
	}
	if domain := c.domainFor(x); domain != "" {
		b = append(append(b, "; domain="...), domain...)
	}
	if c.httpOnly {
		b = append(b, "; httponly"...)
	}
	if c.secure {
		b = append(b, "; secure"...)
	}
	if site := c.site(x); site != "" {
		b = append(append(b, "; samesite="...), site...)
	}
	if c.path != "" {
		b = append(append(b, "; path="...), c.path...)
	}
	return string(b)
}

// domainFor returns the value of domain, which may have variables; "": none, or an invalid one.
func (c *stickyCookie) domainFor(x *proxy.Exchange) string {
	if c.domain == nil {
		return ""
	}
	text := c.domain.String(x)
	if !isAttribute(text) {
		return ""
	}
	return text
}

// isAttribute reports whether text can be the value of an attribute: RFC 6265 section 4.1.1.
func isAttribute(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c >= 0x7f || c == ';' })
}

// site returns the value of samesite, which may have variables; "": none. An invalid value
// counts as strict.
func (c *stickyCookie) site(x *proxy.Exchange) string {
	if c.sameSite == nil {
		return ""
	}
	text := c.sameSite.String(x)
	if text != "" && !isSameSite(text) {
		return "strict"
	}
	return text
}

func isSameSite(text string) bool {
	return strings.EqualFold(text, "strict") || strings.EqualFold(text, "lax") || strings.EqualFold(text, "none")
}
