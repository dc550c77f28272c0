package transport

import (
	"net"

	"alicorn/proxy"
)

// ALPN's names of HTTP/1. HTTP1 is the protocol of a connection without ALPN, too.
const (
	HTTP1  = "http/1.1"
	HTTP10 = "http/1.0"
)

// Protocol is a protocol for clients.
type Protocol struct {
	Name  string // its name in ALPN
	Serve proxy.ServeConn
}

// Protocols are the protocols for clients, in the order in which ALPN prefers them.
// HTTP1 must be among them.
type Protocols []Protocol

// Names returns the names for ALPN, in that order.
func (p Protocols) Names() []string {
	names := make([]string, len(p))
	for i, protocol := range p {
		names[i] = protocol.Name
	}
	return names
}

// find returns the function that serves the named protocol; nil if there is none.
func (p Protocols) find(name string) proxy.ServeConn {
	for i := range p {
		if p[i].Name == name {
			return p[i].Serve
		}
	}
	return nil
}

// Serve returns the function that an Engine calls with each connection that it has
// accepted.
func Serve(p Protocols) proxy.ServeConn {
	http1 := p.find(HTTP1)
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
