package appserver

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// The environ's keys, marshalled. Values follow them.
type environKey string

func keyOf(name string) environKey {
	return environKey(string([]byte{wire.TypeShortASCII, byte(len(name))}) + name)
}

var (
	keyMethod      = keyOf("REQUEST_METHOD")
	keyScript      = keyOf("SCRIPT_NAME") + environKey([]byte{wire.TypeShortASCII, 0})
	keyPath        = keyOf("PATH_INFO")
	keyQuery       = keyOf("QUERY_STRING")
	keyRaw         = keyOf("RAW_URI")
	keyURI         = keyOf("REQUEST_URI")
	keyProtocol    = keyOf("SERVER_PROTOCOL")
	keyRemote      = keyOf("REMOTE_ADDR")
	keyRemotePort  = keyOf("REMOTE_PORT")
	keyProxied     = keyOf("PROXY_PROTOCOL")
	keyProxiedAddr = keyOf("PROXY_ADDR")
	keyProxiedPort = keyOf("PROXY_PORT")
	keyRemoteUser  = keyOf("REMOTE_USER")
	keyServer      = keyOf("SERVER_NAME")
	keyPort        = keyOf("SERVER_PORT")
	keyScheme      = keyOf("wsgi.url_scheme")
	keyHTTPS       = keyOf("HTTPS") + environKey(append([]byte{wire.TypeShortASCII, 2}, "on"...))
	keyType        = keyOf("CONTENT_TYPE")
	keyLength      = keyOf("CONTENT_LENGTH")
	keyHost        = keyOf("HTTP_HOST")
	keyCookie      = keyOf("HTTP_COOKIE")
	keyOfAgent     = keyOf("HTTP_USER_AGENT")
	keyRequestID   = keyOf("REQUEST_ID")
	keyOfReferer   = keyOf("HTTP_REFERER")
	keyOfEncodings = keyOf("HTTP_ACCEPT_ENCODING")
)

// manyFields is how many field lines are joined by comparing each with each.
const manyFields = 64

// appendEnviron appends the marshalled environ of x's request, as PEP 3333
// and CGI (RFC 3875) have it. length is the body's, -1 for none.
func appendEnviron(dst []byte, x *proxy.Exchange, way *forwarding, length int64) []byte {
	r := &x.Req
	trusted := way.trusts(x.Conn)
	scheme := schemeOf(r, trusted, way)
	dst = append(dst, wire.TypeDict)
	dst = appendPair(dst, keyMethod, r.Method)
	dst = append(dst, keyScript...)
	dst = appendPair(dst, keyPath, r.Asked)
	dst = appendPair(dst, keyQuery, r.Args)
	dst = appendPair(dst, keyRaw, r.Target)
	dst = appendPair(dst, keyURI, r.Target)
	dst = appendPair(dst, keyProtocol, r.Proto)
	dst = appendPair(dst, keyRemote, x.RemoteAddr())
	dst = appendPair(dst, keyRemotePort, x.RemotePort())
	dst = appendProxied(dst, x.Conn)
	if x.User != "" {
		dst = appendPair(dst, keyRemoteUser, x.User)
	}
	if x.HasRequestID() {
		dst = appendPair(dst, keyRequestID, x.RequestID())
	}
	dst = appendPair(dst, keyServer, serverName(x))
	dst = appendPair(dst, keyPort, serverPort(x, scheme))
	dst = appendPair(dst, keyScheme, scheme)
	if scheme == "https" {
		dst = append(dst, keyHTTPS...)
	}
	if length >= 0 {
		var digits [20]byte
		text := strconv.AppendInt(digits[:0], length, 10)
		dst = append(append(dst, keyLength...), wire.TypeShortASCII, byte(len(text)))
		dst = append(dst, text...)
	}
	rules := fieldRules{underscores: x.Core().Underscores}
	switch {
	case !trusted:
		rules.noForwarding = true
		dst = appendOwn(dst, x)
	case !way.keep:
		rules.noForwardedFor = true
		dst = appendChain(dst, x)
	}
	return append(appendFields(dst, r, rules), wire.TypeNull)
}

// appendProxied appends, as gunicorn does, what a header of the PROXY protocol says
// of the address that the client connected to.
func appendProxied(dst []byte, c *proxy.Conn) []byte {
	h := c.ProxyProtocol
	if h == nil {
		return dst
	}
	family, to := "TCP4", h.Destination
	if to.Addr().Is6() {
		family = "TCP6"
	}
	dst = appendPair(dst, keyProxied, family)
	dst = appendPair(dst, keyProxiedAddr, to.Addr().String())
	return appendPair(dst, keyProxiedPort, strconv.Itoa(int(to.Port())))
}

func appendPair(dst []byte, k environKey, v string) []byte {
	return wire.AppendText(append(dst, k...), v)
}

// serverName returns a name that is never empty, as PEP 3333 asks.
func serverName(x *proxy.Exchange) string {
	if x.Server != nil {
		if n := x.Server.Name; n != "" && n != "_" && n[0] != '~' && strings.IndexByte(n, '*') < 0 {
			return strings.TrimPrefix(n, ".")
		}
	}
	switch {
	case x.Req.Host != "":
		return x.Req.Host
	case isAddress(x.Conn.LocalAddr):
		return x.Conn.LocalAddr
	}
	return "localhost"
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

// appendFields appends the header. Dropped are Proxy (it would become the
// HTTP_PROXY that clients of the application obey), hop-by-hop fields, and what
// rules say. Names are compared as keys of the environ, in which an underscore
// is a hyphen: no spelling passes for another field.
func appendFields(dst []byte, r *proxy.Request, rules fieldRules) []byte {
	h := &r.Header
	if r.Authority != "" {
		dst = appendPair(dst, keyHost, r.Authority)
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
				dst, typed = appendPair(dst, keyType, f.Value), true
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
			dst = wire.AppendText(appendFieldName(dst, f), f.Value)
			continue
		}
		switch {
		case chain == nil && firstOf(h, i), chain != nil && !chain[i].later:
			dst = appendField(dst, h, i, chain)
		}
	}
	return dst
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
	if strings.IndexByte(name, '_') >= 0 && (!rules.underscores || slices.ContainsFunc(connectionFields, func(key string) bool { return isKey(name, key) })) {
		return true
	}
	if rules.noForwarding && isForwarding(f) || rules.noForwardedFor && isForwardedFor(f) {
		return true
	}
	switch len(name) {
	case 5:
		return isKey(name, "proxy")
	case 7:
		return isKey(name, "trailer")
	case 16:
		return isKey(name, "proxy-connection")
	case 19:
		return isKey(name, "proxy-authorization")
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

// appendField appends field line i and the later ones of its name, joined.
func appendField(dst []byte, h *proxy.Header, i int, chain []link) []byte {
	f := h.At(i)
	sep := ","
	if f.ID() == proxy.FieldCookie {
		sep = "; "
	}
	dst = appendFieldName(dst, f)
	j := nextOf(h, i, chain)
	if j == 0 {
		return wire.AppendText(dst, f.Value)
	}
	var joined strings.Builder
	for joined.WriteString(f.Value); j != 0; j = nextOf(h, j, chain) {
		joined.WriteString(sep)
		joined.WriteString(h.At(j).Value)
	}
	return wire.AppendText(dst, joined.String())
}

// appendFieldName appends the key of a field.
func appendFieldName(dst []byte, f proxy.Field) []byte {
	switch f.ID() {
	case proxy.FieldCookie:
		return append(dst, keyCookie...)
	case proxy.FieldUserAgent:
		return append(dst, keyOfAgent...)
	case proxy.FieldReferer:
		return append(dst, keyOfReferer...)
	case proxy.FieldAcceptEncoding:
		return append(dst, keyOfEncodings...)
	}
	return appendFieldKey(dst, f.Name)
}

func appendFieldKey(dst []byte, name string) []byte {
	n := len(name) + len("HTTP_")
	if n < 256 {
		dst = append(dst, wire.TypeShortASCII, byte(n))
	} else {
		dst = binary.LittleEndian.AppendUint32(append(dst, wire.TypeUnicode), uint32(n))
	}
	dst = append(dst, "HTTP_"...)
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-':
			c = '_'
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
