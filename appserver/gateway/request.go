package gateway

import (
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
	if q.Server != nil {
		if n := q.Server.Name; n != "" && n != "_" && n[0] != '~' && strings.IndexByte(n, '*') < 0 {
			return strings.TrimPrefix(n, "."), true
		}
	}
	switch {
	case q.Req.Host != "":
		return q.Req.Host, false
	case isAddress(q.Conn.LocalAddr):
		return q.Conn.LocalAddr, false
	}
	return "localhost", true
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
