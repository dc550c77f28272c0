package gateway

import (
	"slices"
	"strings"

	"alicorn/proxy"
)

// Rules say which header fields an application sees. Names are compared as keys of a CGI
// environment, in which an underscore is a hyphen: no spelling passes for another field.
type Rules struct {
	Underscores    bool // names with an underscore are seen: underscores_in_headers
	NoForwarding   bool // fields in which proxies tell the way of a request are not
	NoForwardedFor bool // X-Forwarded-For is not
}

// Rules returns the rules for q. Where NoForwarding is set the server's own fields take the
// place of those that are dropped, and with NoForwardedFor ForwardedFor does.
func (q *Request) Rules() Rules {
	return Rules{
		Underscores:  q.Core().Underscores,
		NoForwarding: !q.Way.Trusted, NoForwardedFor: q.Way.Trusted && !q.Way.Keep,
	}
}

// Passes reports whether the application sees f. Dropped are Proxy (it would become the
// HTTP_PROXY that clients of an application obey), fields of the connection, and what the
// rules say.
func (rules Rules) Passes(f proxy.Field) bool {
	switch f.ID() {
	case proxy.FieldContentLength, proxy.FieldTransferEncoding, proxy.FieldConnection, proxy.FieldKeepAlive, proxy.FieldUpgrade, proxy.FieldTE:
		return false
	case proxy.FieldXForwardedFor:
		return !rules.NoForwarding && !rules.NoForwardedFor
	case proxy.FieldOther:
		return !rules.drops(f)
	}
	return true
}

// drops reports whether the application does not see f, whose name is none of
// the known ones as it is spelled.
func (rules Rules) drops(f proxy.Field) bool {
	name := f.Name
	if strings.IndexByte(name, '_') >= 0 && (!rules.Underscores || slices.ContainsFunc(connectionFields, func(key string) bool { return IsKey(name, key) })) {
		return true
	}
	if rules.NoForwarding && isForwarding(f) || rules.NoForwardedFor && isForwardedFor(f) {
		return true
	}
	switch len(name) {
	case 5:
		return IsKey(name, "proxy")
	case 7:
		return IsKey(name, "trailer")
	case 16:
		return IsKey(name, "proxy-connection")
	case 19:
		return IsKey(name, "proxy-authorization")
	}
	return false
}

// connectionFields are known names that belong to the connection or the body's
// framing, as keys: an application must not take another spelling for them.
var connectionFields = []string{"content-length", "content-type", "transfer-encoding", "keep-alive"}

// IsKey reports whether name has the same environ key as key, which is in lower
// case and has no underscores.
func IsKey(name, key string) bool {
	if len(name) != len(key) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_':
			c = '-'
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != key[i] {
			return false
		}
	}
	return true
}
