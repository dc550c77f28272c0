package proxy

import (
	"net/netip"
	"strconv"
)

// Remote is the address of a client that is not its connection's: see Exchange.Remote.
// Its fields are as those of Conn; Port is "" where it is not known.
type Remote struct{ Addr, Port, Binary string }

// NewRemote returns a's Remote. Port 0 is not known.
func NewRemote(a netip.AddrPort) *Remote {
	r := &Remote{Addr: a.Addr().String(), Binary: string(a.Addr().AsSlice())}
	if a.Port() != 0 {
		r.Port = strconv.Itoa(int(a.Port()))
	}
	return r
}

// RemoteAddr returns the client's address, $remote_addr: that of x.Remote, or
// the connection's. Lines that are logged before the request is complete, and
// the question whether the peer is a proxy, want Conn.RemoteAddr instead.
func (x *Exchange) RemoteAddr() string {
	if x.Remote != nil {
		return x.Remote.Addr
	}
	return x.Conn.RemoteAddr
}

// RemotePort is RemoteAddr for $remote_port.
func (x *Exchange) RemotePort() string {
	if x.Remote != nil {
		return x.Remote.Port
	}
	return x.Conn.RemotePort
}

// RemoteBinary is RemoteAddr for $binary_remote_addr.
func (x *Exchange) RemoteBinary() string {
	if x.Remote != nil {
		return x.Remote.Binary
	}
	return x.Conn.RemoteBinary
}

// RemoteIP is RemoteAddr as an address, which may be an IPv4 address in IPv6; false for a
// client on a unix socket.
func (x *Exchange) RemoteIP() (netip.Addr, bool) { return addrOf(x.RemoteBinary()) }

// RemoteIP returns the address of the connection's peer; false on a unix socket.
func (c *Conn) RemoteIP() (netip.Addr, bool) {
	addr, ok := addrOf(c.RemoteBinary)
	return addr.Unmap(), ok
}

func addrOf(binary string) (netip.Addr, bool) {
	var b [16]byte
	return netip.AddrFromSlice(b[:copy(b[:], binary)])
}
