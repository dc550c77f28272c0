package gateway

import (
	"cmp"
	"net/netip"
	"strings"

	"alicorn/proxy"
)

// Way is what the front believes of a request's way from its client.
type Way struct {
	Scheme  string // that the client used
	Trusted bool   // the peer is a proxy, which may say more in header fields
	Keep    bool   // X-Forwarded-For stays as a trusted peer sent it
}

// Request is a request for an application.
type Request struct {
	*proxy.Exchange
	Way    Way
	Length int64 // of the body; -1: there is none, or it is not known

	// For ASGI alone.
	WebSocket bool   // it asks for a WebSocket
	RootPath  string // the path below which the application lies; "" or "/prefix"
}

// ServerName returns the host of the server, which is never empty: the server's own name,
// else the host that the client asks for. fixed is false where the client chooses it.
func (q *Request) ServerName() (name string, fixed bool) {
	name = q.ownName()
	switch {
	case name != "":
		return name, true
	case q.Req.Host != "":
		return q.Req.Host, false
	case isAddress(q.Conn.LocalAddr):
		return q.Conn.LocalAddr, false
	}
	return "localhost", true
}

// ListeningName returns the server's own name, else the address that the client has connected
// to: what the client asks for has no part in it.
func (q *Request) ListeningName() string {
	return cmp.Or(q.ownName(), q.Conn.LocalAddr, "localhost")
}

// ownName returns the name of the server where it has one, without an asterisk.
func (q *Request) ownName() string {
	if q.Server == nil {
		return ""
	}
	if n := q.Server.Name; n != "" && n != "_" && n[0] != '~' && strings.IndexByte(n, '*') < 0 {
		return strings.TrimPrefix(n, ".")
	}
	return ""
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// ServerPort returns the port that the client has connected to, or that of the scheme where
// the connection has none.
func (q *Request) ServerPort(scheme string) string {
	switch {
	case q.Conn.LocalPort != "":
		return q.Conn.LocalPort
	case scheme == "https":
		return "443"
	}
	return "80"
}
