package proxy

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy/eventloop"
)

// Listener is a bound socket. It is a Resource: reloads keep it while some
// server listens on its address.
type Listener struct {
	Network string // "tcp4", "tcp6" or "unix"
	Address string // as bound: "0.0.0.0:80", "[::]:80", "/run/x.sock"
	Key     string // identifies it across reloads

	file    *os.File
	addr    net.Addr
	name    osfile.Name // the file of a unix socket
	tuned   Tuning      // the options in effect; only the Engine uses it
	accepts acceptor    // nil until the Engine starts to accept
	closed  atomic.Bool
}

// acceptor accepts on a Listener's socket until Close. Close waits until no accept runs.
type acceptor interface{ Close() error }

// openListener binds a Listener through host.
func openListener(h config.Host, key, network, address string, o config.ListenOptions) (*Listener, error) {
	f, err := h.Listen(network, address, o)
	if err != nil {
		return nil, err
	}
	l := &Listener{Network: network, Address: address, Key: key, file: f}
	if network == "unix" {
		l.name = osfile.NameOf(address)
	}
	var sa unix.Sockaddr
	if e := l.control(func(fd int) { sa, err = unix.Getsockname(fd) }); e != nil || err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot get the address of the socket %q: %w", address, cmp.Or(e, err))
	}
	l.addr = eventloop.Addr(sa)
	return l, nil
}

// control calls f with the descriptor. Unlike os.File.Fd it leaves the flags alone.
func (l *Listener) control(f func(fd int)) error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

// Addr returns the address that the socket is bound to. If the configuration has port 0,
// Addr has the port that the system chose.
func (l *Listener) Addr() net.Addr { return l.addr }

// File returns the listening descriptor, to hand it to another process.
func (l *Listener) File() *os.File { return l.file }

// Closed reports whether l accepts no more, because the current configuration does not
// listen here or the Engine shuts down. Its connections close after their next response.
func (l *Listener) Closed() bool { return l.closed.Load() }

// Unreachable reports whether the file of a unix socket was removed or replaced: nobody
// can connect to the socket any more.
func (l *Listener) Unreachable() bool { return l.name.Lost() }

// RemoveName removes the file of a unix socket, unless another server has put its own
// file there.
func (l *Listener) RemoveName() { l.name.Remove() }

// Close stops accepting. Connections go on; Closed tells them.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	if l.accepts != nil {
		l.accepts.Close()
	}
	return l.file.Close()
}

// Site is the servers of one Generation that listen on one address, with their names.
type Site struct {
	Listener *Listener
	Default  *Server // for hosts that no server_name matches
	Servers  []*Server
	// SSL says that a listen directive of this address has the parameter ssl.
	SSL bool
	// ProxyProtocol is that of the listen directives of this address.
	ProxyProtocol ProxyProtocol
	// TLS is the configuration of handshakes. The ssl module sets it for each Site with
	// SSL before the Generation runs.
	TLS *tls.Config

	generation *Generation
	names      serverNames
}

// listenerSites are the Sites of one socket. A socket that is bound to a wildcard address
// also serves the listen directives of specific addresses with the same port.
type listenerSites struct {
	any  *Site            // the Site of the socket's own address
	addr map[string]*Site // the Sites of specific addresses, by local address; nil: none

	tuning Tuning // the options that the socket gets
}

// fill sets c's addresses from nc.
func (c *Conn) fill(nc net.Conn, l *Listener) {
	c.Listener = l
	if l.Network == "unix" {
		c.RemoteAddr, c.LocalAddr = "unix:", "unix:"+l.Address
		return
	}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.SetRemote(a.AddrPort())
	}
	if a, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		c.LocalAddr, c.LocalPort = ap.Addr().Unmap().String(), strconv.Itoa(int(ap.Port()))
	}
}

// SetRemote sets the client's address. It must be called before c's first request.
func (c *Conn) SetRemote(a netip.AddrPort) {
	ip := a.Addr().Unmap()
	c.RemoteAddr, c.RemotePort = ip.String(), strconv.Itoa(int(a.Port()))
	c.RemoteBinary = string(ip.AsSlice())
}
