package wsgi

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// always are the names that every environ has, in the order of their values.
const always = "PATH_INFO\x00QUERY_STRING\x00RAW_URI\x00REQUEST_URI\x00REMOTE_ADDR\x00REMOTE_PORT\x00"

// manyFields is how many field lines are joined by comparing each with each.
const manyFields = 64

// Way is what the front believes of a request's way from its client.
type Way struct {
	Scheme  string // that the client used
	Trusted bool   // the peer is a proxy, which may say more in header fields
	Keep    bool   // X-Forwarded-For stays as a trusted peer sent it
}

// Environ makes the environ of x's request in e, as PEP 3333 and CGI (RFC 3875) have
// it. length is the body's, -1 for none.
func Environ(e *wire.Environ, x *proxy.Exchange, way Way, length int64) {
	r, scheme := &x.Req, way.Scheme
	e.Reset()
	e.Fix("SCRIPT_NAME", "")
	e.Fix("SERVER_PROTOCOL", r.Proto)
	e.Fix("SERVER_PORT", serverPort(x, scheme))
	e.Fix("wsgi.url_scheme", scheme)
	if scheme == "https" {
		e.Fix("HTTPS", "on")
	}
	addMethod(e, r.Method)
	addServerName(e, x)
	e.Names(always)
	e.Value(r.Asked)
	e.Value(r.Args)
	e.Value(r.Target)
	e.Value(r.Target)
	e.Value(x.RemoteAddr())
	e.Value(x.RemotePort())
	addProxied(e, x.Conn)
	if x.User != "" {
		e.Add("REMOTE_USER", x.User)
	}
	if x.HasRequestID() {
		e.Add("REQUEST_ID", x.RequestID())
	}
	if length >= 0 {
		e.AddNumber("CONTENT_LENGTH", length)
	}
	rules := fieldRules{underscores: x.Core().Underscores}
	switch {
	case !way.Trusted:
		rules.noForwarding = true
		addOwn(e, x)
	case !way.Keep:
		rules.noForwardedFor = true
		addChain(e, x)
	}
	addFields(e, r, rules)
}

// addMethod adds the method. The usual ones are part of the shape; a client may
// make up any number of others.
func addMethod(e *wire.Environ, method string) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		e.Fix("REQUEST_METHOD", method)
	default:
		e.Add("REQUEST_METHOD", method)
	}
}

// addProxied adds, as gunicorn does, what a header of the PROXY protocol says of the
// address that the client connected to.
func addProxied(e *wire.Environ, c *proxy.Conn) {
	h := c.ProxyProtocol
	if h == nil {
		return
	}
	family, to := "TCP4", h.Destination
	if to.Addr().Is6() {
		family = "TCP6"
	}
	e.Add("PROXY_PROTOCOL", family)
	e.Add("PROXY_ADDR", to.Addr().String())
	e.Add("PROXY_PORT", strconv.Itoa(int(to.Port())))
}

// addServerName adds a name that is never empty, as PEP 3333 asks: the server's
// own, else the host that the client asks for.
func addServerName(e *wire.Environ, x *proxy.Exchange) {
	if x.Server != nil {
		if n := x.Server.Name; n != "" && n != "_" && n[0] != '~' && strings.IndexByte(n, '*') < 0 {
			e.Fix("SERVER_NAME", strings.TrimPrefix(n, "."))
			return
		}
	}
	switch {
	case x.Req.Host != "":
		e.Add("SERVER_NAME", x.Req.Host)
	case isAddress(x.Conn.LocalAddr):
		e.Add("SERVER_NAME", x.Conn.LocalAddr)
	default:
		e.Fix("SERVER_NAME", "localhost")
	}
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func serverPort(x *proxy.Exchange, scheme string) string {
	switch {
	case x.Conn.LocalPort != "":
		return x.Conn.LocalPort
	case scheme == "https":
		return "443"
	}
	return "80"
}

// fieldRules say which fields an application does not see.
type fieldRules struct {
	underscores    bool // names with an underscore are seen: underscores_in_headers
	noForwarding   bool // those of isForwarding are not
	noForwardedFor bool // X-Forwarded-For is not
}

// addFields adds the header. Dropped are Proxy (it would become the
// HTTP_PROXY that clients of the application obey), hop-by-hop fields, and what
// rules say. Names are compared as keys of the environ, in which an underscore
// is a hyphen: no spelling passes for another field.
func addFields(e *wire.Environ, r *proxy.Request, rules fieldRules) {
	h := &r.Header
	if r.Authority != "" {
		e.Add("HTTP_HOST", r.Authority)
	}
	repeated := repeatedMarks(h)
	var chain []link
	if rules.underscores && hasUnderscores(h) {
		repeated, chain = ^uint64(0), chainLines(h, true)
	} else if repeated != 0 && h.Len() > manyFields {
		chain = chainLines(h, false)
	}
	typed := false
	for i := range h.Len() {
		f := h.At(i)
		switch f.ID() {
		case proxy.FieldHost:
			if r.Authority != "" {
				continue
			}
		case proxy.FieldContentType:
			if !typed {
				e.Add("CONTENT_TYPE", f.Value)
				typed = true
			}
			continue
		case proxy.FieldContentLength, proxy.FieldTransferEncoding, proxy.FieldConnection, proxy.FieldKeepAlive, proxy.FieldUpgrade, proxy.FieldTE:
			continue
		case proxy.FieldXForwardedFor:
			if rules.noForwarding || rules.noForwardedFor {
				continue
			}
		case proxy.FieldOther:
			if rules.drops(f) {
				continue
			}
		}
		if repeated&mark(f.Name) == 0 {
			e.AddField(f.Name, f.Value)
			continue
		}
		switch {
		case chain == nil && firstOf(h, i), chain != nil && !chain[i].later:
			e.AddField(f.Name, joined(h, i, chain))
		}
	}
}

// link says what other lines have a field line's name.
type link struct {
	next  int32 // index of the next one; 0: none
	later bool  // an earlier line has the name, too
}

// chainLines links the lines of each name, in time that is linear in their
// number: a client chooses how many there are. underscores makes names of one
// environ key one name.
func chainLines(h *proxy.Header, underscores bool) []link {
	chain := make([]link, h.Len())
	last := make(map[string]int32, h.Len())
	for i := range chain {
		name := strings.ToLower(h.At(i).Name)
		if underscores {
			name = strings.ReplaceAll(name, "_", "-")
		}
		if before, ok := last[name]; ok {
			chain[before].next, chain[i].later = int32(i), true
		}
		last[name] = int32(i)
	}
	return chain
}

// nextOf returns the next line of line i's name, 0 when there is none. chain is
// nil where there are few lines.
func nextOf(h *proxy.Header, i int, chain []link) int {
	if chain != nil {
		return int(chain[i].next)
	}
	for j := i + 1; j < h.Len(); j++ {
		if sameName(h.At(j), h.At(i)) {
			return j
		}
	}
	return 0
}

// repeatedMarks has the marks that more than one field line has: a line whose
// mark it lacks is the only one of its name, without a comparison.
func repeatedMarks(h *proxy.Header) (repeated uint64) {
	var once uint64
	for i := range h.Len() {
		m := mark(h.At(i).Name)
		repeated |= once & m
		once |= m
	}
	return repeated
}

// mark is a bit that equal names share, whatever their case.
func mark(name string) uint64 {
	n := len(name)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(n)*7 + uint(name[0]|0x20)*3 + uint(name[n-1]|0x20)*5 + uint(name[n/2]|0x20)) & 63)
}

// drops reports whether the application does not see f, whose name is none of
// the known ones as it is spelled.
func (rules fieldRules) drops(f proxy.Field) bool {
	name := f.Name
	if strings.IndexByte(name, '_') >= 0 && (!rules.underscores || slices.ContainsFunc(connectionFields, func(key string) bool { return IsKey(name, key) })) {
		return true
	}
	if rules.noForwarding && isForwarding(f) || rules.noForwardedFor && isForwardedFor(f) {
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

func hasUnderscores(h *proxy.Header) bool {
	for i := range h.Len() {
		if f := h.At(i); f.ID() == proxy.FieldOther && strings.IndexByte(f.Name, '_') >= 0 {
			return true
		}
	}
	return false
}

func sameName(a, b proxy.Field) bool {
	return a.ID() == b.ID() && len(a.Name) == len(b.Name) && (a.ID() != proxy.FieldOther || strings.EqualFold(a.Name, b.Name))
}

func firstOf(h *proxy.Header, i int) bool {
	f := h.At(i)
	for j := range i {
		if sameName(h.At(j), f) {
			return false
		}
	}
	return true
}

// joined returns the value of field line i and of the later ones of its name.
func joined(h *proxy.Header, i int, chain []link) string {
	f := h.At(i)
	j := nextOf(h, i, chain)
	if j == 0 {
		return f.Value
	}
	sep := ","
	if f.ID() == proxy.FieldCookie {
		sep = "; "
	}
	var b strings.Builder
	for b.WriteString(f.Value); j != 0; j = nextOf(h, j, chain) {
		b.WriteString(sep)
		b.WriteString(h.At(j).Value)
	}
	return b.String()
}
