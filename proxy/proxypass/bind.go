package proxypass

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy"
)

// bindSettings are proxy_bind and proxy_socket_keepalive.
type bindSettings struct {
	address     *proxy.Template // nil: the system chooses
	transparent bool
	keepalive   bool
}

func (p *protocol) socketDirectives() []config.Directive {
	in, k := config.AnyLevel, p.key
	return []config.Directive{
		{Name: p.name + "_bind", In: in, Args: config.Arity{Min: 1, Max: 2}, Syntax: "ADDRESS[:PORT] [transparent] | off", Set: setBind(k),
			Help: "The local address of connections to servers. It may have variables. With an empty value, and with off, the system chooses. With transparent it may be an address that this machine does not have, such as $remote_addr: then the system must route the servers' packets back to this machine, and the process needs the capability CAP_NET_ADMIN, otherwise the answer is 500. A kept connection is used only for requests with the same address."},
		{Name: p.name + "_socket_keepalive", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.bind.keepalive }),
			Help: "Whether the system checks from time to time that a silent server is still there (SO_KEEPALIVE)."},
	}
}

func setBind(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := &k.In(s).bind
		c.address, c.transparent = nil, false
		if len(n.Args) == 2 {
			if n.Arg(1) != "transparent" {
				return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("%s: invalid parameter %q; it takes \"transparent\"", n.Name, n.Arg(1))}
			}
			c.transparent = true
		}
		if n.Arg(0) == "off" && len(n.Args) == 1 {
			return nil
		}
		if !strings.Contains(n.Arg(0), "$") {
			if _, err := parseLocal(n.Arg(0)); err != nil {
				return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: invalid address %q", n.Name, n.Arg(0))}
			}
		}
		c.address = proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))
		return nil
	}
}

// parseLocal reads an address with or without a port.
func parseLocal(text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), 0), nil
	}
	addr, err := netip.ParseAddrPort(text)
	if err == nil && addr.Port() == 0 {
		err = errors.New("invalid port")
	}
	return addr, err
}

// local returns the local address of connections for x; "": the system chooses. As in nginx,
// the system also chooses if the value is not an address.
func (b *bindSettings) local(x *proxy.Exchange) string {
	if b.address == nil {
		return ""
	}
	from := b.address.String(x)
	if _, err := parseLocal(from); err != nil && from != "" {
		x.Log(proxy.LevelError, "invalid local address %q", from)
		return ""
	}
	return from
}

// special reports whether sockets need prepare.
func (b *bindSettings) special() bool { return b.address != nil || b.keepalive }

// prepare sets the options of a socket, and binds it to the local address from; "": any.
func (b *bindSettings) prepare(fd int, from string, to unix.Sockaddr) error {
	if b.keepalive {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
			return os.NewSyscallError("setsockopt(SO_KEEPALIVE)", err)
		}
	}
	if _, isUnix := to.(*unix.SockaddrUnix); isUnix || from == "" {
		return nil
	}
	addr, _ := parseLocal(from) // local has checked it
	if err := freely(fd, b.transparent, addr.Port() == 0, addr.Addr().Is4()); err != nil {
		return err
	}
	var local unix.Sockaddr = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if addr.Addr().Is4() {
		local = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	if err := unix.Bind(fd, local); err != nil {
		return &failure{status: 500, reason: "bind(" + from + ") failed (" + systemText(err) + ") " + whileConnecting, crit: true}
	}
	return nil
}
