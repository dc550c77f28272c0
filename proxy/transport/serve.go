package transport

import (
	"net"

	"alicorn/proxy"
)

// HTTP1 is ALPN's name of HTTP/1.1, which is spoken where nothing was negotiated.
const HTTP1 = "http/1.1"

// Protocols are the protocols that connections speak, by ALPN's names. HTTP1 must
// be among them.
type Protocols map[string]proxy.ServeConn

// Serve returns what an Engine calls with each connection that it has accepted.
func Serve(p Protocols) proxy.ServeConn {
	http1 := p[HTTP1]
	return func(e *proxy.Engine, nc net.Conn, info *proxy.Conn) {
		site := e.Site(info)
		switch {
		case site == nil:
			nc.Close()
		case site.TLS == nil && site.ProxyProtocol.IsZero():
			http1(e, nc, info)
		default:
			open(p, e, nc, info, site)
		}
	}
}
