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
	name    osfile.Name // of a unix socket
	tuned   Tuning      // the options in effect; only the Engine uses it
	accepts acceptor    // nil until the Engine starts it
	closed  atomic.Bool
}

// acceptor accepts on a Listener's socket until Close, which waits for accepts that are
// running.
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
		return nil, fmt.Errorf("cannot tell the address of a socket: %w", cmp.Or(e, err))
	}
	l.addr = eventloop.Addr(sa)
	return l, nil
}

// control calls f with the descriptor and leaves its flags alone.
func (l *Listener) control(f func(fd int)) error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

// Addr returns the address that the socket is bound to; if port 0 was asked for, with the
// port that the system has chosen.
func (l *Listener) Addr() net.Addr { return l.addr }

// File returns the listening descriptor, to hand it to another process.
func (l *Listener) File() *os.File { return l.file }

// Closed reports that no configuration listens here any more: its connections
// close after their next response.
func (l *Listener) Closed() bool { return l.closed.Load() }

// Unreachable reports that the file of a unix socket has been removed, or
// replaced: nobody can connect to it any more.
func (l *Listener) Unreachable() bool { return l.name.Lost() }

// RemoveName removes the file of a unix socket, unless another server has put
// its own there.
func (l *Listener) RemoveName() { l.name.Remove() }

// Close stops accepting. Connections go on, and learn of it by Closed.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	if l.accepts != nil {
		l.accepts.Close()
	}
	return l.file.Close()
}

// Site is the servers of one Generation that listen on one address: the default server,
// and all by their names.
type Site struct {
	Listener *Listener
	Default  *Server
	Servers  []*Server
	// SSL says that "listen ... ssl" stands for this address.
	SSL bool
	// ProxyProtocol says whether connections begin with a PROXY header, by the listen
	// of this address that says so.
	ProxyProtocol ProxyProtocol
	// TLS is the configuration of handshakes; the ssl module sets it for every Site
	// with SSL before the Generation runs.
	TLS *tls.Config

	generation *Generation
	names      serverNames
}

// listenerSites maps local addresses of a socket to Sites: a socket bound to a
// wildcard address serves listen directives of specific addresses of its port too.
type listenerSites struct {
	any  *Site            // the socket's own address
	addr map[string]*Site // more specific local addresses; nil when none

	tuning Tuning
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
