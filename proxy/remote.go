package proxy

import (
	"net/netip"
	"strconv"
	"strings"
)

// Remote is a client's address that differs from its connection's: see Exchange.Remote.
// The fields have the form of Conn's RemoteAddr, RemotePort and RemoteBinary. Port is ""
// if the port is not known.
type Remote struct{ Addr, Port, Binary string }

// NewRemote returns the Remote for a. Port 0 means that the port is not known.
func NewRemote(a netip.AddrPort) *Remote {
	r := &Remote{Addr: a.Addr().String(), Binary: string(a.Addr().AsSlice())}
	if a.Port() != 0 {
		r.Port = strconv.Itoa(int(a.Port()))
	}
	return r
}

// RemoteAddr returns the client's address, $remote_addr: that of x.Remote, or the
// connection's. Use Conn.RemoteAddr in lines that are logged before the request is
// complete, and to find out whether the peer is a proxy.
func (x *Exchange) RemoteAddr() string {
	if x.Remote != nil {
		return x.Remote.Addr
	}
	return x.Conn.RemoteAddr
}

// RemotePort returns the client's port, $remote_port; "" if it is not known.
func (x *Exchange) RemotePort() string {
	if x.Remote != nil {
		return x.Remote.Port
	}
	return x.Conn.RemotePort
}

// RemoteBinary returns the client's address as bytes in network order,
// $binary_remote_addr: 4 or 16, none on a unix socket.
func (x *Exchange) RemoteBinary() string {
	if x.Remote != nil {
		return x.Remote.Binary
	}
	return x.Conn.RemoteBinary
}

// RemoteIP returns the client's address, which may be an IPv4 address in IPv6; false for
// a client on a unix socket.
func (x *Exchange) RemoteIP() (netip.Addr, bool) { return addrOf(x.RemoteBinary()) }

// RemoteIP returns the address of the connection's peer, never an IPv4 address in IPv6;
// false on a unix socket.
func (c *Conn) RemoteIP() (netip.Addr, bool) {
	addr, ok := addrOf(c.RemoteBinary)
	return addr.Unmap(), ok
}

// Nearby reports whether the sender of the connection's requests is on a loopback or private
// address, or on a unix socket, where permissions decide who can connect. Such a sender counts
// as a proxy, which may say for whom a request is. The sender is the source in the PROXY
// header if there is one, and otherwise the connection's peer: a peer that sends a PROXY
// header passes on the bytes of its clients, and these may make up any field.
func (c *Conn) Nearby() bool {
	addr, ok := c.RemoteIP()
	if h := c.ProxyProtocol; h != nil {
		addr, ok = h.Source.Addr().Unmap(), true
	}
	if !ok {
		return strings.HasPrefix(c.RemoteAddr, "unix:")
	}
	return addr.IsLoopback() || addr.IsPrivate()
}

func addrOf(binary string) (netip.Addr, bool) {
	var b [16]byte
	return netip.AddrFromSlice(b[:copy(b[:], binary)])
}
